"""Access logs of a time that was received live, in part: only what is missing is added."""

import time

import pytest

from footfall import main
from footfall.enrich.visitor import device_hash
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.model.ids import uuid7
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, SenderContext, encode
from footfall.settings import load
from footfall.state.salts import Salts
from footfall.state.tables import open_state
from tests.contract.access_log import AGENT, IMPORT, NOW, console, line, select, send, site_of

pytestmark = pytest.mark.anyio


async def received_live(data, events, source):
    """Have the worker store what a door would have appended. `events`: RawEvent and user agent."""
    settings = load(data=data)
    await main.prepare(settings)
    log = await open_log(settings)
    for event, agent in events:
        record = Record(
            FORMAT_VERSION, event.occurred_at, "default", source, [event], [SenderContext(user_agent=agent)]
        )
        await log.append(Entry("", encode(record)))
    await log.close()
    async with console(data) as http:
        return await site_of(http)


async def salt_of_today(data):
    state = open_state(data / "state.db")
    salts = Salts(state)
    await salts.refresh(time.time())
    await state.close()
    return salts.for_day(NOW // 86_400)


def page_view(site, at_ms, device=0, path="/page"):
    return RawEvent(
        uuid7(at_ms), "page_view", at_ms, site_id=site, device_hash=device, visitor_id=device,
        page_url=f"https://www.example.com{path}",
    )  # fmt: skip


async def test_over_a_time_received_in_part_only_what_is_missing_is_added(tmp_path):
    site = await received_live(tmp_path, [], "beacon")
    salt = await salt_of_today(tmp_path)
    mine = device_hash(salt, "default", "203.0.113.9", AGENT)
    other = device_hash(salt, "default", "203.0.113.10", AGENT)
    await received_live(
        tmp_path,
        [
            (page_view(site, NOW * 1000 + 900, mine), AGENT),
            (page_view(site, NOW * 1000 + 100_500, mine), AGENT),
            (page_view(site, NOW * 1000 + 200_000, other), AGENT),
            (page_view(site, NOW * 1000 + 300_000), AGENT),
            (page_view(site, NOW * 1000 + 400_000, mine, "/other"), AGENT),
            (page_view(site, NOW * 1000 + 500_000, mine), "another"),
            (page_view("site_of_nobody", NOW * 1000 + 600_000, mine), AGENT),
        ],
        "beacon",
    )
    lines = [
        line(NOW),  # received
        line(NOW),  # once only
        line(NOW + 97),  # the browser took three seconds
        line(NOW + 112),  # the browser cannot have been before
        line(NOW + 200),  # another device's
        line(NOW + 300),  # of a device that live traffic did not know
        line(NOW + 400),  # another page
        line(NOW + 500),  # another user agent
        line(NOW + 600),  # another site
        line(NOW + 700),  # nothing was received
    ]
    async with console(tmp_path) as http:
        said = await send(http, lines, dry_run=True)
        assert said == {"page_view": 7, "received": 3}
        assert await send(http, lines) == said
        assert await send(http, lines, again=True) == {"present": 7, "received": 3}
    assert await select(tmp_path, "SELECT count(), uniqExact(event_id) FROM events") == [(14, 14)]
    # The same device, whether it was received or imported.
    assert await select(
        tmp_path,
        "SELECT uniqExact(device_hash) FROM events WHERE startsWith(source, 'import:')",
    ) == [(1,)]
    ((device,),) = await select(
        tmp_path, "SELECT any(device_hash) FROM events WHERE startsWith(source, 'import:')"
    )
    assert device == mine


async def test_a_live_event_stands_for_one_line_also_across_chunks(tmp_path):
    site = await received_live(tmp_path, [], "beacon")
    await received_live(tmp_path, [(page_view(site, NOW * 1000 + 5000), AGENT)], "beacon")
    async with console(tmp_path) as http:
        assert await send(http, [line(NOW)]) == {"received": 1}
        assert await send(http, [line(NOW + 1)]) == {"page_view": 1}


async def test_clicks_received_live_are_not_added_again(tmp_path):
    async with console(tmp_path) as http:
        made = await http.post("/api/v1/links", json={"url": "https://example.com/", "code": "sale"})
        link = made.json()
    clicks = [
        RawEvent(uuid7(at), "click", at, link_id=link["id"], short_code="sale")
        for at in (NOW * 1000 + 950, NOW * 1000 + 60_010)
    ]
    await received_live(tmp_path, [(click, AGENT) for click in clicks], "redirect")
    lines = [
        line(NOW + 1, path="/sale", status=302),  # noted when it was answered
        line(NOW + 60, path="/sale", status=302),
        line(NOW + 63, path="/sale", status=302),
    ]
    async with console(tmp_path) as http:
        assert await send(http, lines) == {"click": 1, "received": 2}


async def test_lines_of_this_minute_must_wait_until_they_can_be_compared(tmp_path):
    async with console(tmp_path) as http:
        body = {"site_id": await site_of(http), "lines": [line(int(time.time()) - 5)], "occurrences": [1]}
        answer = await http.post(IMPORT, json=body)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert (await http.post(IMPORT, json=body | {"dry_run": True})).json()["added"] == {"page_view": 1}
