"""What cannot be undone is announced a night before, and trusts neither a clock nor a setting of today."""

import time

import pytest
from structlog.testing import capture_logs

from footfall.errors import StoreDown
from footfall.retention.policy import Retention, at_start
from footfall.settings import Settings
from footfall.state import closings
from footfall.state.days_seen import DaysSeen
from footfall.state.retention import Item, RetentionState
from footfall.units import FOREVER
from tests.contract.rollups.test_retention import APRIL, left
from tests.contract.sliced import DAY, END, SITES, START

pytestmark = pytest.mark.anyio

HOUR = 3600.0


class Installation:
    """The worker's part of it: looks at the clock every hour, and at a quarter past midnight it is night."""

    def __init__(self, world, raw=30 * 86400.0, rollups=FOREVER):
        self.world = world
        self.ahead = 0.0
        self.true = END / 1000 + 14 * HOUR
        self.night = None
        self.set(raw, rollups)

    def set(self, raw=30 * 86400.0, rollups=FOREVER):
        """Start again, with these settings."""
        self.days = DaysSeen(self.world.database, self.wall, lambda: self.true)
        settings = Settings(raw_retention=raw, rollup_retention=rollups)
        self.job = Retention(
            self.world.store, self.world.database, settings, self.world.rollups, None, self.days.now, 0
        )

    def wall(self):
        return self.true + self.ahead

    async def run(self, hours):
        """Months that were deleted."""
        gone = []
        for _ in range(round(hours)):
            self.true += HOUR
            self.world.clock.at = self.wall()
            await closings.mark(self.world.database, None, self.wall(), await self.days.now())
            night = (self.wall() - 900) // 86400
            if night != self.night:
                self.night = night
                gone += await self.job.apply()
        return gone


@pytest.fixture
async def site(world):
    """Two days on; events of March that are a few days old, and of April."""
    await world.take(world.made(200, START, END))
    await world.rollups.slice_all()
    found = Installation(world)
    await found.run(48)
    return found


async def test_a_clock_that_is_a_year_ahead_for_one_look_deletes_nothing(site, world):
    before = await left(world)
    site.ahead = 365 * 86400
    assert await site.run(1) == []
    site.ahead = 0
    assert await site.run(72) == []
    assert await left(world) == before
    assert await RetentionState(world.database).announced() == {}


@pytest.mark.parametrize("ahead", [1, 40, 100, 4000])
async def test_a_clock_that_is_ahead_for_hours_over_its_midnight_and_comes_back_deletes_nothing(
    site, world, ahead
):
    before = await left(world)
    site.ahead = ahead * 86400 + 9 * HOUR
    assert await site.run(19) == []
    site.ahead = 0
    assert await site.run(72) == []
    assert await left(world) == before


async def test_a_start_with_the_clock_ahead_and_another_start_deletes_nothing(site, world):
    before = await left(world)
    site.ahead = 400 * 86400 + 9 * HOUR
    for _ in range(4):
        site.set()
        assert await site.run(4) == []
    site.ahead = 0
    site.set()
    assert await site.run(72) == []
    assert await left(world) == before


async def test_a_first_start_with_the_clock_ahead_deletes_nothing(world):
    await world.take(world.made(200, START, END))
    await world.rollups.slice_all()
    site = Installation(world)
    site.ahead = 400 * 86400
    assert await site.run(19) == []


async def test_a_clock_that_is_set_back_deletes_nothing_too_much_and_nothing_too_late(site, world):
    site.ahead = -20 * 86400
    assert await site.run(30) == []
    site.ahead = 0
    await site.run(24 * 25)
    assert set(await left(world)) == {202603, 202604}
    await site.run(24 * 8)
    assert set(await left(world)) <= {202604}
    await site.run(24 * 5)
    assert await left(world) == {}


async def test_without_a_new_event_all_goes_on_its_day_by_the_nights_that_pass(site, world):
    deleted = {}
    for _ in range(40):
        for each in await site.run(24):
            deleted.setdefault(each.month, set()).add(site.true * 1000 - each.deleted_after)
    assert await left(world) == {}
    assert deleted.keys() == {202603, 202604}
    assert all(0 <= late < 4 * DAY for lates in deleted.values() for late in lates)


async def test_a_server_that_was_off_for_long_deletes_after_days_and_not_at_once(site, world):
    site.true += 200 * 86400
    site.set()
    assert await site.run(12) == []
    assert await left(world)
    await site.run(24 * 4)
    assert await left(world) == {}


async def test_a_shorter_setting_deletes_nothing_before_it_was_announced_a_night_before(site, world):
    site.set(raw=86400.0)
    with capture_logs() as logs:
        assert await site.run(24) == []
    [told, *_] = [each for each in logs if each["event"] == "retention.announced"]
    assert told["log_level"] == "warning"
    assert told["setting"] == "raw_retention = 1d"
    announced = await RetentionState(world.database).announced()
    assert {item.what for item in announced} == {"events"}
    site.set()  # set back in time
    assert await site.run(72) == []
    assert await RetentionState(world.database).announced() == {}
    site.set(raw=86400.0)  # it counts from now on, not from then
    assert await site.run(24) == []
    with capture_logs() as logs:
        gone = await site.run(24)
    assert {each.item for each in gone} == announced.keys()
    assert await left(world) == {}
    assert {each["log_level"] for each in logs if each["event"].startswith("retention.")} == {"warning"}


async def test_a_night_that_comes_late_after_weeks_off_is_no_earlier_night(world):
    """Announced five minutes before a midnight at which the clock of three weeks later is believed."""
    await world.take(world.made(200, START, END))
    await world.rollups.slice_all()
    site = Installation(world, raw=FOREVER)
    await site.run(72)
    before = await left(world)
    site.true = (site.true // 86400 + 21) * 86400 + 4 * HOUR
    site.set(2 * 86400.0)
    await looks(site, site.true + 19 * HOUR + 3300)
    assert await site.job.apply() == []
    announced = await site.job.announced()
    assert announced
    midnight = (site.true // 86400 + 1) * 86400
    await looks(site, midnight + 900)
    assert site.wall() - await site.days.now() < 86400, "the clock is believed by now"
    assert await site.job.apply() == []
    assert await left(world) == before
    await looks(site, midnight + 86400 + 900)
    assert await site.job.apply()


async def looks(site, until):
    """The clock is looked at every quarter of an hour; no night comes."""
    while site.true < until:
        site.true = min(site.true + 900, until)
        site.world.clock.at = site.wall()
        await site.days.now()


async def test_days_of_a_site_are_announced_in_the_same_way(site, world):
    await site.job.set_raw_days("york", 1)
    assert await site.run(24) == []
    assert {each.site_id for each in await site.run(24)} == {"york"}


async def test_rollups_are_announced_before_they_go(site, world):
    site.set(raw=FOREVER, rollups=86400.0)
    await site.run(24)
    assert {entry.month for entry in (await world.builds.manifest()).entries} == {202603, 202604}
    assert set(await RetentionState(world.database).announced()) == {Item("rollups", 202603)}
    await site.run(24)
    assert {entry.month for entry in (await world.builds.manifest()).entries} == {202604}


async def test_a_start_says_what_the_next_nights_would_delete(site, world):
    site.set(raw=86400.0)
    with capture_logs() as logs:
        await site.job.foretell(site.wall())
    [told] = [each for each in logs if each["event"] == "retention.will_delete"]
    assert told["log_level"] == "warning"
    assert (told["events"], told["first"], told["last"]) == (200, 202603, 202604)
    assert told["setting"] == "raw_retention = 1d"
    assert told["night"] == time.strftime("%Y-%m-%d", time.gmtime(site.wall() + 2 * 86400))
    await site.run(24)
    with capture_logs() as logs:
        await site.job.foretell(site.wall())
    [told] = [each for each in logs if each["event"] == "retention.will_delete"]
    assert told["night"] == time.strftime("%Y-%m-%d", time.gmtime(site.wall() + 86400))
    site.set()
    with capture_logs() as logs:
        await site.job.foretell(site.wall())
    assert logs == []


async def test_what_could_not_be_said_at_a_start_is_said_once_the_store_answers(site, world, monkeypatch):
    site.set(raw=86400.0)
    foretell = at_start(site.job, site.wall)

    async def query(*_, **__):
        raise StoreDown("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "query", query)
        with pytest.raises(StoreDown):
            await foretell()
    with capture_logs() as logs:
        await foretell()
        await foretell()
    [told] = [each for each in logs if each["event"] == "retention.will_delete"]
    assert told["events"] == 200


async def test_months_that_cannot_be_due_are_not_read(site, world, monkeypatch):
    asked = []
    real = world.store.query

    async def query(sql, parameters=None, **more):
        asked.append((sql, parameters))
        return await real(sql, parameters, **more)

    monkeypatch.setattr(world.store, "query", query)
    await site.job.due(APRIL + 29 * DAY)
    read = [parameters["partition"] for sql, parameters in asked if "FROM events" in sql]
    assert set(read) == {"202603"}
    assert all("_partition_id" in sql for sql, _ in asked if "FROM events" in sql)
    asked.clear()
    for each in (1, 2):  # all sites have events of the last of March
        assert await site.job.due(APRIL + (30 - each) * DAY) == []
    [young, *_] = [parameters["young"] for sql, parameters in asked if "NOT IN" in sql]
    assert set(young) == set(SITES)
    asked.clear()
    await site.job.due(START - DAY)
    assert [sql for sql, _ in asked if "FROM events" in sql] == []
