"""What the sender of an accepted event is told all the same: times set otherwise, near misses, links."""

import time

import pytest

from tests.contract.door import open_door

pytestmark = pytest.mark.anyio

PAGE = {"event_type": "page_view", "page_url": "https://example.com/a"}
DAY = 86400


async def post(rig, *events, scopes=("ingest",)):
    _, secret = await rig.tenants.create_key("default", "sdk", scopes)
    answer = await rig.post(list(events), authorization=f"Bearer {secret}")
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_a_time_that_is_set_otherwise_is_told(tmp_path):
    now = time.time()
    async with open_door(tmp_path, max_past=30 * DAY, max_future=3600) as rig:
        answer = await post(
            rig,
            PAGE | {"occurred_at": now - 60 * DAY},
            PAGE | {"occurred_at": now - 20 * DAY},
            PAGE | {"occurred_at": now + 2 * DAY},
            PAGE | {"occurred_at": 0},
            PAGE,
        )
        events = await rig.events()
    assert (answer["accepted"], answer["rejected"]) == (5, 0)
    told = {verdict.pop("index"): verdict for verdict in answer["results"]}
    assert set(told) == {0, 2, 3}
    for index, words in ((0, "more than 30d ago"), (2, "more than 1h ahead"), (3, "more than 30d ago")):
        message = told[index].pop("message")
        assert told[index] == {"status": "accepted", "adjusted": "occurred_at", "field": "occurred_at"}
        assert words in message
        assert events[index].occurred_at_original != 0


async def test_whoever_may_send_old_events_is_told_nothing(tmp_path):
    async with open_door(tmp_path) as rig:
        old = PAGE | {"occurred_at": time.time() - 60 * DAY}
        assert (await post(rig, old, scopes=("admin",)))["results"] == []


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("page view", "page_view"),
        ("pageview", "page_view"),
        ("Page_View", "page_view"),
        ("page-view", "page_view"),
        ("PageViews", "page_view"),
        ("CLICK", "click"),
        ("clicks", "click"),
        ("convertion", "conversion"),
        ("Conversion ", "conversion"),
        ("widget impression", "widget_impression"),
        ("widget_clicks", "widget_click"),
        ("device.page.view", "device_page_view"),
    ],
)
async def test_a_type_that_is_nearly_a_known_one_is_stored_and_told_once(tmp_path, sent, meant):
    async with open_door(tmp_path) as rig:
        event = {"event_type": sent}
        answer = await post(rig, PAGE, event, event)
        assert [each.event_type for each in await rig.events()][1:] == [sent, sent]
    assert answer["results"] == [
        {
            "index": 1,
            "status": "accepted",
            "field": "event_type",
            "message": f"event_type: stored as a type of its own; did you mean {meant}?",
        }
    ]


@pytest.mark.parametrize("sent", ["signup", "download", "purchase", "view", "page", "link_opened", "x" * 100])
async def test_a_type_of_its_own_is_told_nothing(tmp_path, sent):
    async with open_door(tmp_path) as rig:
        assert (await post(rig, {"event_type": sent}))["results"] == []


async def test_a_page_without_a_key_is_told_too(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        body = {"site_id": site.id, "events": [{"event_type": "pageview"}]}
        answer = (await rig.http.post("/v1/events", json=body)).json()
    assert answer["results"][0]["message"].endswith("did you mean page_view?")


async def test_an_event_of_a_link_gets_its_code_and_destination(tmp_path):
    async with open_door(tmp_path) as rig:
        link = await rig.tenants.create_link("default", "https://example.com/x", code="spring")
        own = {"event_type": "click", "link_id": link.id}
        answer = await post(
            rig, own, own | {"short_code": "other"}, own | {"destination_url": "https://example.com/y"}
        )
        events = await rig.events()
    assert answer["results"] == []
    assert [(each.short_code, each.destination_url) for each in events] == [
        ("spring", "https://example.com/x"),
        ("other", "https://example.com/x"),
        ("spring", "https://example.com/y"),
    ]


async def test_an_id_that_no_link_of_the_workspace_has_is_stored_and_told_once(tmp_path):
    async with open_door(tmp_path) as rig:
        other = await rig.tenants.create_workspace("other")
        theirs = await rig.tenants.create_link(
            other.id, "https://example.com/theirs", domain="go.example.org"
        )
        gone = await rig.tenants.create_link("default", "https://example.com/gone")
        await rig.tenants.delete_link("default", gone.id)
        ids = ["link_nothere", "link_nothere", theirs.id, gone.id, "4711", "x" * 150]
        answer = await post(rig, *({"event_type": "click", "link_id": each} for each in ids))
        events = await rig.events()
    assert [event.link_id for event in events] == ids
    assert all(not event.short_code for event in events)
    words = "link_id: stored, though no link of this workspace has this id"
    assert [(each["index"], each["message"]) for each in answer["results"]] == [
        (0, words),
        (2, words),
        (3, words),
    ]


async def test_all_that_there_is_to_tell_stands_in_one_verdict(tmp_path):
    async with open_door(tmp_path) as rig:
        answer = await post(
            rig, {"event_type": "clicks", "link_id": "link_nothere", "occurred_at": "2020-01-01T00:00:00Z"}
        )
    (verdict,) = answer["results"]
    assert verdict["adjusted"] == verdict["field"] == "occurred_at"
    for words in ("2020-01-01T00:00:00+00:00 is more than 7d ago", "did you mean click?", "no link of this"):
        assert words in verdict["message"]
