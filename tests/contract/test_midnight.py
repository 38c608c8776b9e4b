"""A visit over midnight (UTC), when the salt of the devices changes, from the door to the answer."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from footfall import main
from footfall.enrich.visitor import device_hash
from footfall.settings import load
from tests.contract.access_log import console, line, select, send
from tests.contract.door import KEY, open_door

pytestmark = pytest.mark.anyio

DAY = 86_400
# Of yesterday: nothing of what follows lies in the future, and its salts are there.
MIDNIGHT = (int(time.time()) // DAY - 1) * DAY
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
METRICS = ["sessions", "bounce_rate", "session_duration"]


async def received(data, times, *, midnight=MIDNIGHT, salts=(-1, 0, 1), site="", **fields):
    """Page views that a door took at these seconds after midnight; returns the site's id."""
    await main.prepare(load(data=data, admin_key=KEY))
    async with open_door(data) as rig:
        for day in salts:
            await rig.salts.refresh(midnight + day * DAY)
        site = site or (await rig.tenants.create_site("default", "Shop")).id
        answer = await rig.post([view(site, midnight + at, **fields) for at in times])
        assert answer.json()["accepted"] == len(times), answer.text
    return site


def view(site, at, **fields):
    return {
        "event_type": "page_view", "site_id": site, "page_url": f"https://ex.com/{at}",
        "occurred_at": datetime.fromtimestamp(at, UTC).isoformat(), "ip_address": "203.0.113.80",
        "user_agent": FIREFOX,
    } | fields  # fmt: skip


async def stored(data):
    async with console(data):
        pass


async def ask(data, site, midnight=MIDNIGHT, zone="America/Los_Angeles"):
    """What a question about the days, there, of four hours around midnight answers."""
    there = [
        (datetime.fromtimestamp(midnight, UTC) + timedelta(hours=hours)).astimezone(ZoneInfo(zone))
        for hours in (-2, 2)
    ]
    await stored(data)
    async with console(data) as http:
        answer = await http.post(
            "/v1/query",
            json={
                "metrics": METRICS, "site_id": site, "timezone": zone,
                "date_range": [each.date().isoformat() for each in there],
            },
        )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][0]["metrics"]


async def visits(data):
    """The seconds after midnight of each visit, and how many visitors each has."""
    rows = await select(
        data,
        "SELECT arraySort(groupArray(toInt64(toUnixTimestamp(occurred_at)))) AS times, uniqExact(visitor_id)"
        " FROM events GROUP BY session_id ORDER BY times",
    )
    return [([at - MIDNIGHT for at in times], visitors) for times, visitors in rows]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Asia/Kathmandu", "Pacific/Auckland"])
async def test_a_visit_over_midnight_is_one(tmp_path, zone):
    site = await received(tmp_path, [-120, 120])
    found = await ask(tmp_path, site, zone=zone)
    assert found == [1, 0.0, 240.0]
    assert await visits(tmp_path) == [([-120, 120], 1)]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Los_Angeles", datetime(2025, 11, 2, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2025, 11, 3, tzinfo=UTC)),
        ("Europe/London", datetime(2026, 3, 29, tzinfo=UTC)),
        ("Atlantic/Azores", datetime(2025, 10, 26, tzinfo=UTC)),  # an hour later its midnight comes back
        ("Asia/Beirut", datetime(2026, 3, 29, tzinfo=UTC)),  # two hours before, its midnight was skipped
    ],
)
async def test_also_where_clocks_change(tmp_path, zone, day):
    midnight = int(day.timestamp())
    site = await received(tmp_path, [-120, 120], midnight=midnight)
    found = await ask(tmp_path, site, midnight=midnight, zone=zone)
    assert found == [1, 0.0, 240.0]


async def test_a_long_visit_goes_on_and_after_its_end_todays_hash_counts(tmp_path):
    minutes = [-20, 5, 29, 55, 80, 200, 210]
    await received(tmp_path, [60 * minute for minute in minutes])
    await stored(tmp_path)
    assert await visits(tmp_path) == [
        ([60 * minute for minute in minutes[:5]], 1),
        ([60 * minute for minute in minutes[5:]], 1),
    ]
    assert await select(tmp_path, "SELECT uniqExact(visitor_id), uniqExact(device_hash) FROM events") == [
        (2, 2)
    ]
    assert await select(
        tmp_path,
        f"SELECT count() FROM events WHERE occurred_at >= toDateTime({MIDNIGHT + 7200})"
        " AND visitor_id = device_hash",
    ) == [(2,)]


async def test_a_restart_in_between_splits_no_visit_wherever_it_falls(tmp_path):
    minutes = [-20, 5, 29, 55, 80]
    site = ""
    for minute in minutes:
        site = await received(tmp_path, [60 * minute], site=site)
        await stored(tmp_path)
    assert await visits(tmp_path) == [([60 * minute for minute in minutes], 1)]


async def test_a_visitor_with_an_id_of_its_own_lends_it_to_nobody_not_after_a_restart_either(tmp_path):
    site = await received(tmp_path, [-120, 120], visitor_id="anna")
    await stored(tmp_path)
    await received(tmp_path, [180], site=site)
    await stored(tmp_path)
    assert await visits(tmp_path) == [([-120, 120], 1), ([180], 1)]
    assert await select(tmp_path, "SELECT uniqExact(visitor_id) FROM events") == [(2,)]


async def test_what_comes_out_of_order_joins_the_visit(tmp_path):
    await received(tmp_path, [120, -120, 300, -60])
    await stored(tmp_path)
    assert await visits(tmp_path) == [([-120, -60, 120, 300], 1)]


async def test_without_the_old_salt_the_visit_is_cut(tmp_path):
    async with open_door(tmp_path) as rig:
        for day in (-1, 0, 1):
            await rig.salts.refresh(MIDNIGHT + day * DAY)
        # The grace of the day before is over, and with it its salt.
        await rig.salts.refresh(MIDNIGHT + 2 * DAY)
        site = await rig.tenants.create_site("default", "Shop")
        await rig.post([view(site.id, MIDNIGHT + 120)])
        (event,) = await rig.events()
    assert rig.salts.for_day(MIDNIGHT // DAY - 1) is None
    assert event.device_hash
    assert event.previous_device == 0


async def test_only_soon_after_midnight_events_bear_the_hash_of_the_day_before(tmp_path):
    async with open_door(tmp_path, session_timeout=600) as rig:
        for day in (-1, 0, 1):
            await rig.salts.refresh(MIDNIGHT + day * DAY)
        site = await rig.tenants.create_site("default", "Shop")
        times = [-120, 0, 599, 600, 7200]
        await rig.post([view(site.id, MIDNIGHT + at) for at in times])
        await rig.post([view(site.id, MIDNIGHT, visitor_id="anna")])
        events = await rig.events()
    old, new = (
        device_hash(rig.salts.for_day(day), "default", "203.0.113.80", FIREFOX)
        for day in (MIDNIGHT // DAY - 1, MIDNIGHT // DAY)
    )
    assert [(event.device_hash, event.previous_device) for event in events] == [
        (old, 0), (new, old), (new, old), (new, 0), (new, 0), (new, 0),
    ]  # fmt: skip


async def test_a_click_on_a_short_link_before_midnight_opens_the_visit_after_it(tmp_path, monkeypatch):
    await main.prepare(load(data=tmp_path, admin_key=KEY))
    headers = {"user-agent": FIREFOX}
    async with open_door(tmp_path) as rig:
        for day in (-1, 0, 1):
            await rig.salts.refresh(MIDNIGHT + day * DAY)
        site = await rig.tenants.create_site("default", "Shop")
        with monkeypatch.context() as clock:
            clock.setattr("footfall.collect.redirect.time.time", lambda: MIDNIGHT - 30.0)
            await rig.http.get("/nowhere", headers=headers)
            await rig.wait_for_events(1)
            clock.setattr("footfall.collect.redirect.time.time", lambda: MIDNIGHT + 30.0)
            await rig.http.get("/nowhere", headers=headers)
            await rig.wait_for_events(2)
            await rig.http.post("/v1/events", json=[view(site.id, MIDNIGHT + 60)], headers=headers)
            events = await rig.wait_for_events(3)
    assert [bool(event.previous_device) for event in events] == [False, True, True]
    await stored(tmp_path)
    assert await visits(tmp_path) == [([-30, 30, 60], 1)]


@pytest.mark.parametrize("days_ago", [1, 200])
async def test_an_imported_visit_over_midnight_is_one(tmp_path, days_ago):
    midnight = (int(time.time()) // DAY - days_ago) * DAY
    async with console(tmp_path) as http:
        said = await send(
            http, [line(midnight - 120, "/a"), line(midnight + 120, "/b"), line(midnight + 7200)]
        )
    assert said == {"page_view": 3}
    assert [(len(times), visitors) for times, visitors in await visits(tmp_path)] == [(2, 1), (1, 1)]
