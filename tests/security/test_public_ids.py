"""What a site's public id may say: everybody who reads the page's source has it."""

import json
import uuid

import pytest

from footfall import main
from footfall.model.ids import format_event_id
from footfall.settings import load
from tests.contract.access_log import console, select
from tests.contract.door import KEY, open_door

pytestmark = pytest.mark.anyio

PAGE = {"event_type": "page_view", "page_url": "https://shop.example/a"}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"event_type": "click"}, "event_type"),
        ({"event_type": "orphan_click"}, "event_type"),
        ({"event_type": "click", "sample_weight": 1e6, "link_id": "link_abcdefghij"}, "event_type"),
        ({"sample_weight": 1_000_000}, "sample_weight"),
        ({"sample_weight": 0.0001}, "sample_weight"),
        ({"link_id": "link_abcdefghij"}, "link_id"),
        ({"short_code": "abc"}, "short_code"),
        ({"short_url": "https://go.example/abc"}, "short_code"),
        ({"code": "abc"}, "short_code"),
        ({"event_version": 2}, "event_version"),
        ({"version": 65535}, "event_version"),
        (
            {"event_type": "conversion", "properties": {"value_minor": 2**60}, "event_version": 9},
            "event_version",
        ),
    ],
)
async def test_what_only_a_key_may_say_is_refused_alone(tmp_path, said, field):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        answer = await rig.http.post(f"/v1/events?site_id={site.id}", json=[PAGE, PAGE | said, PAGE])
        [verdict] = answer.json()["results"]
        assert len(await rig.events()) == 2
    assert (verdict["index"], verdict["reason"], verdict["field"]) == (1, "forbidden", field)


async def test_what_says_nothing_new_is_taken(tmp_path):
    plain = PAGE | {"sample_weight": 1, "event_version": 1, "link_id": "", "short_code": None}
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        answer = await rig.http.post(f"/v1/events?site_id={site.id}", json=[plain])
    assert answer.json() == {"accepted": 1, "rejected": 0, "results": []}


async def test_a_pixel_is_no_click(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        for kind in ("click", "orphan_click", "page_view"):
            await rig.http.get("/v1/pixel.gif", params={"site_id": site.id, "event_type": kind})
        assert [event.event_type for event in await rig.events()] == ["page_view"]


async def test_a_stranger_who_sends_an_id_first_takes_nothing_from_a_key_or_another_site(tmp_path):
    event_id = str(uuid.uuid4())
    event = PAGE | {"event_id": event_id}
    await main.prepare(load(data=tmp_path, admin_key=KEY))
    async with open_door(tmp_path) as rig:
        sites = [await rig.tenants.create_site("default", name) for name in ("Shop", "Blog")]
        for _ in range(2):  # the second time in another request: a resend
            for site in sites:
                await rig.http.post(f"/v1/events?site_id={site.id}", json=[event])
            await rig.post([event | {"site_id": sites[0].id}])
            # Spelled in another way it is the same id.
            await rig.http.post(
                f"/v1/events?site_id={sites[1].id}", json=[event | {"event_id": event_id.upper()}]
            )
        kept = [format_event_id(each.event_id) for each in await rig.events()]
    for _ in range(2):
        async with console(tmp_path):
            pass
    rows = await select(tmp_path, "SELECT site_id, source, count() FROM events GROUP BY ALL ORDER BY ALL")
    expected = [(sites[0].id, "api", 1), (sites[0].id, "beacon", 1), (sites[1].id, "beacon", 1)]
    assert [tuple(row) for row in rows] == sorted(expected)
    assert len(set(kept)) == 3
    assert event_id in kept, "with a key an id stays what it is"


async def test_a_page_and_a_server_that_name_a_visitor_alike_speak_of_one(tmp_path):
    """What the server stores with a key belongs to the visit of the page, which has none."""
    await main.prepare(load(data=tmp_path, admin_key=KEY))
    named = PAGE | {"visitor_id": "4711", "session_id": "s1"}
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        await rig.post([named | {"site_id": site.id}])
        await rig.http.post(f"/v1/events?site_id={site.id}", json=[named])
    async with console(tmp_path):
        pass
    rows = await select(tmp_path, "SELECT count(), uniqExact(visitor_id), uniqExact(session_id) FROM events")
    assert [tuple(row) for row in rows] == [(2, 1, 1)]


@pytest.mark.parametrize("name", ["properties", "props"])
@pytest.mark.parametrize("amount", [-1, -(10**12)])
async def test_nobody_takes_revenue_away_without_a_key(tmp_path, name, amount):
    refund = {"event_type": "conversion", name: {"name": "refund", "value_minor": amount, "currency": "EUR"}}
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        answer = await rig.http.post(f"/v1/events?site_id={site.id}", json=[PAGE, refund, PAGE])
        keyed = await rig.post([refund])
    [verdict] = answer.json()["results"]
    assert (verdict["index"], verdict["reason"], verdict["field"]) == (
        1, "forbidden", "properties.value_minor"
    )  # fmt: skip
    assert keyed.json()["accepted"] == 1


async def test_a_page_that_sends_twice_within_a_request_is_told(tmp_path):
    event = PAGE | {"event_id": str(uuid.uuid4())}
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        answer = await rig.http.post(f"/v1/events?site_id={site.id}", json=[event, event])
    assert [verdict["status"] for verdict in answer.json()["results"]] == ["duplicate"]


@pytest.mark.parametrize(
    "origin",
    [
        "javascript://shop.example", "file://shop.example", "//shop.example", "shop.example", "null",
        "data://shop.example/", "ftp://shop.example", "chrome-extension://shop.example",
        "httpx://shop.example", "://shop.example",
    ],
)  # fmt: skip
async def test_an_origin_is_of_the_web(tmp_path, origin):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop", origins=["shop.example"])
        body = json.dumps({"site_id": site.id, "events": [PAGE]}).encode()
        refused = await rig.http.post("/v1/events", content=body, headers={"origin": origin})
        taken = await rig.http.post("/v1/events", content=body, headers={"origin": "HTTPS://SHOP.example"})
        for referer in (origin, "https://shop.example/x"):
            await rig.http.get("/v1/pixel.gif", params={"site_id": site.id}, headers={"referer": referer})
        assert len(await rig.events()) == 2
    assert refused.status_code == 403
    assert taken.json()["accepted"] == 1


@pytest.mark.parametrize(
    ("url", "logged"),
    [
        ("https://evil.example/", "no"),
        ("https://shop.example.evil.example/", "no"),
        ("javascript://shop.example/", "no"),
        ("/cart", "no"),
        ("https://shop.example/cart", "yes"),
        (None, "yes"),
    ],
)
async def test_without_a_referer_the_page_of_a_pixel_is_one_of_the_site(tmp_path, url, logged):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop", origins=["shop.example"])
        params = {"site_id": site.id} | ({"url": url} if url else {})
        answer = await rig.http.get("/v1/pixel.gif", params=params)
        events = await rig.events()
    assert answer.headers["footfall-logged"] == logged
    assert [event.page_url for event in events] == [url or ""] * (logged == "yes")
