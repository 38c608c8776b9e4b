"""Redirects, orphans and the pixel: the visitor goes on, the click is in the log."""

import asyncio
import time

import pytest

from footfall.model.ids import format_event_id
from tests.contract.door import open_door
from tests.contract.test_door_events import FullLog

pytestmark = pytest.mark.anyio


async def test_a_click_is_durable_when_the_redirect_says_so(tmp_path):
    async with open_door(tmp_path, redirect_cap=1) as rig:
        link = await rig.tenants.create_link("default", "https://example.com/x?utm_source=mail", code="hello")
        answer = await rig.http.get(
            "/hello", headers={"user-agent": "UA", "referer": "https://news.example/"}
        )
        [click] = await rig.events()
        [record] = await rig.records()
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://example.com/x?utm_source=mail"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["footfall-logged"] == "yes"
    assert answer.headers["footfall-event"] == format_event_id(click.event_id)
    assert (click.event_type, click.link_id, click.short_code) == ("click", link.id, "hello")
    assert (click.referrer, click.utm[0]) == ("https://news.example/", "mail")
    assert click.visitor_id == click.device_hash != 0
    assert record.visits[click.visit].user_agent == "UA"


async def test_many_clicks_share_records_and_none_is_lost(tmp_path):
    async with open_door(tmp_path, redirect_cap=1) as rig:
        for code in "abc":
            await rig.tenants.create_link("default", f"https://example.com/{code}", code=f"code{code}")
        answers = await asyncio.gather(
            *(rig.http.get(f"/code{'abc'[n % 3]}", headers={"user-agent": f"UA{n}"}) for n in range(300))
        )
        records = await rig.records()
    logged = {answer.headers["footfall-event"] for answer in answers}
    stored = [format_event_id(event.event_id) for record in records for event in record.events]
    assert set(stored) == logged
    assert len(stored) == 300
    assert len(records) < 100
    agents = {
        format_event_id(event.event_id): record.visits[event.visit].user_agent
        for record in records
        for event in record.events
    }
    assert all(agents[a.headers["footfall-event"]] == f"UA{n}" for n, a in enumerate(answers))


async def test_an_unknown_code_is_an_orphan_click(tmp_path):
    async with open_door(tmp_path) as rig:
        answer = await rig.http.get("/nothing-here")
        [orphan] = await rig.wait_for_events(1)
        [record] = await rig.records()
    assert answer.status_code == 404
    assert "does not exist" in answer.text
    assert (orphan.event_type, orphan.short_code, orphan.link_id) == ("orphan_click", "nothing-here", "")
    assert orphan.page_url == f"{rig.http.base_url}/nothing-here"  # so that reports know the host
    assert record.workspace_id == "default"


async def test_an_expired_link_is_gone_and_not_counted(tmp_path):
    async with open_door(tmp_path) as rig:
        past = int(time.time() * 1000) - 1
        await rig.tenants.create_link("default", "https://example.com/", code="old", expires_at=past)
        answer = await rig.http.get("/old")
        assert await rig.events() == []
    assert answer.status_code == 410


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"sec-purpose": "prefetch;prerender"}),
        ("GET", {"purpose": "prefetch"}),
        ("GET", {"x-moz": "prefetch"}),
    ],
)
async def test_what_nobody_asked_for_is_answered_and_not_counted(tmp_path, method, headers):
    async with open_door(tmp_path) as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        answer = await rig.http.request(method, "/page", headers=headers)
        unknown = await rig.http.request(method, "/unknown", headers=headers)
        assert await rig.events() == []
    assert (answer.status_code, unknown.status_code) == (302, 404)
    assert "footfall-event" not in answer.headers


async def test_a_custom_domain_has_codes_of_its_own(tmp_path):
    async with open_door(tmp_path, redirect_cap=1) as rig:
        team = await rig.tenants.create_workspace("Team")
        await rig.tenants.create_link("default", "https://example.com/ours", code="same")
        await rig.tenants.create_link(
            team.id, "https://example.com/theirs", code="same", domain="go.team.example"
        )
        await _until(lambda: rig.door.directory.domain_workspace("go.team.example"))
        ours = await rig.http.get("/same")
        theirs = await rig.http.get("/same", headers={"host": "go.team.example"})
        orphan = await rig.http.get("/nothing", headers={"host": "go.team.example"})
        await rig.wait_for_events(3)
        records = await rig.records()
    assert ours.headers["location"] == "https://example.com/ours"
    assert theirs.headers["location"] == "https://example.com/theirs"
    assert orphan.status_code == 404
    assert [record.workspace_id for record in records] == ["default", team.id, team.id]


async def _until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_full_log_delays_no_redirect_and_loses_no_click(tmp_path):
    log = FullLog()
    async with open_door(tmp_path, eventlog=log) as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        answer = await rig.http.get("/page")
        assert answer.headers["footfall-logged"] == "pending"
        assert log.entries == []
        log.full = False
        await _until(lambda: log.entries)
    assert answer.status_code == 302
    assert len(log.entries) == 1


async def test_async_mode_never_waits(tmp_path):
    log = FullLog()
    async with open_door(tmp_path, eventlog=log, redirect_mode="async", redirect_cap=1) as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        answer = await rig.http.get("/page")
        log.full = False
    assert answer.headers["footfall-logged"] == "pending"
    assert len(log.entries) == 1


async def test_the_pixel_records_a_page_view(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Mail")
        answer = await rig.http.get(
            "/v1/pixel.gif", params={"site_id": site.id}, headers={"referer": "https://shop.example/cart"}
        )
        unknown = await rig.http.get("/v1/pixel.gif", params={"site_id": "site_nobody"})
        [view] = await rig.events()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    assert answer.headers["footfall-logged"] == "yes"
    assert (view.event_type, view.site_id, view.page_url) == (
        "page_view",
        site.id,
        "https://shop.example/cart",
    )
    assert (unknown.status_code, unknown.headers["footfall-logged"]) == (200, "no")


async def test_a_posted_click_has_the_link_that_was_made_a_moment_before(tmp_path):
    async with open_door(tmp_path) as rig:
        await rig.door.directory.stop()  # it learns nothing by itself from here on
        clicks = [
            {"short_url": "https://go.team.example/new"},
            {"event_type": "click", "short_code": "own"},
        ]
        for click in clicks:  # the door knows that there are none
            assert (await rig.post([click])).status_code == 202
        made = [
            await rig.tenants.create_link("default", "https://example.com/1", "new", "go.team.example"),
            await rig.tenants.create_link("default", "https://example.com/2", "own"),
        ]
        assert (await rig.post(clicks)).json()["accepted"] == 2
        late = await rig.tenants.create_link("default", "https://example.com/3", "late")
        assert (await rig.post([{"event_type": "click", "link_id": late.id}])).json()["accepted"] == 1
        events = await rig.events()
    assert [event.link_id for event in events] == ["", "", *(link.id for link in made), late.id]
    assert [event.destination_url for event in events[2:]] == [link.url for link in (*made, late)]


async def test_an_event_is_of_the_site_that_was_made_a_moment_before(tmp_path):
    async with open_door(tmp_path) as rig:
        await rig.door.directory.stop()
        event = {"event_type": "page_view", "site_id": "new.example"}
        assert (await rig.post([event])).json()["rejected"] == 1
        site = await rig.tenants.create_site("default", "new.example", ["new.example"])
        assert (await rig.post([event])).json()["accepted"] == 1
        assert (await rig.post([event | {"site_id": site.id}])).json()["accepted"] == 1
        assert [event.site_id for event in await rig.events()] == [site.id, site.id]


async def test_many_that_name_no_link_ask_the_database_one_at_a_time(tmp_path, monkeypatch):
    async with open_door(tmp_path) as rig:
        await rig.door.directory.stop()
        asked = []
        read = rig.tenants.database.read

        async def counted(work):
            asked.append(work)
            return await read(work)

        monkeypatch.setattr(rig.tenants.database, "read", counted)
        await asyncio.gather(*(rig.door.directory.catch_up() for _ in range(100)))
        assert len(asked) <= 2


async def test_a_target_gets_the_query_of_a_visit_where_the_link_says_so(tmp_path):
    async with open_door(tmp_path, redirect_cap=1) as rig:
        made = await rig.tenants.create_link(
            "default", "https://example.com/?utm_source=mail&p=1", "on", pass_query=True
        )
        await rig.tenants.create_link("default", "https://example.com/?p=1", "off")
        on = await rig.http.get("/on?utm_source=qr&gclid=x")
        off = await rig.http.get("/off?utm_source=qr&gclid=x")
        events = await rig.wait_for_events(2)
        assert (await rig.tenants.link("default", made.id)) == made
        changed = await rig.tenants.update_link("default", made.id, pass_query=False, title="Off")
        await rig.door.directory.catch_up()
        again = await rig.http.get("/on?gclid=y")
        listed = await rig.tenants.links("default")
    assert on.headers["location"] == "https://example.com/?p=1&utm_source=qr&gclid=x"
    assert off.headers["location"] == "https://example.com/?p=1"
    assert again.headers["location"] == made.url
    assert (made.pass_query, changed.pass_query) == (True, False)
    assert [link.pass_query for link in listed.items] == [False, False]
    assert {event.destination_url for event in events} == {made.url, "https://example.com/?p=1"}
