"""Rollups that are published and not in the store are told, and keep the events of which only they tell."""

import asyncio

import pytest

from footfall.metrics import RETENTION_HELD, ROLLUPS_MISSING
from footfall.state.retention import RetentionState
from footfall.store.chdb.kept_rows import KeptMonth
from footfall.store.server_sql import drop_partition
from tests.contract.rollups.test_retention import APRIL, MAY, left, retention
from tests.contract.rollups.test_visits import Asking
from tests.contract.sliced import DAY, SITES, START

pytestmark = pytest.mark.anyio

MIDDLE = APRIL + 15 * DAY


def value(gauge):
    return gauge.collect()[0].samples[0].value


async def command(world, sql):
    await asyncio.to_thread(world.store._handles.commands.command, sql + " SETTINGS mutations_sync = 1")


async def lose(world, month):
    """As a disk would: the partitions of a month are gone."""
    for entry in (await world.builds.manifest()).entries:
        if entry.month == month:
            await world.store.build(drop_partition("rollups", entry.month, entry.build).sql)


async def halve(world, month):
    """Half of their rows are gone."""
    await command(
        world, f"ALTER TABLE rollups DELETE WHERE toYYYYMM(at) = {month} AND cityHash64(cube, at) % 2"
    )


async def doubt(world, month):
    """The rows are all there, and say another number."""
    await command(
        world,
        f"ALTER TABLE rollups UPDATE events = events - 1 WHERE toYYYYMM(at) = {month} AND cube = 'total'",
    )


@pytest.fixture
async def site(world):
    """March and April in the rollups; March is old enough to go."""
    await world.take(world.made(200, START, APRIL))
    await world.take(world.made(100, APRIL, MIDDLE))
    await world.rollups.tick()
    world.clock.at = (APRIL + 32 * DAY) / 1000
    return world


async def repaired(world, month):
    """By what `footfall verify --repair` does."""
    await world.rollups.rebuild(month)
    await world.rollups.tick()


@pytest.mark.parametrize("harm", [lose, halve, doubt])
async def test_events_whose_rollups_are_not_what_they_say_stay(site, harm):
    await harm(site, 202603)
    job = retention(site)
    assert await site.two_nights(job) == []
    assert await left(site) == {202603: 200, 202604: 100}
    assert await RetentionState(site.database).announced() == {}
    assert value(RETENTION_HELD) == len(SITES)
    await repaired(site, 202603)
    assert sum(each.events for each in await site.two_nights(job)) == 200
    assert await left(site) == {202604: 100}
    assert value(RETENTION_HELD) == 0
    assert await site.check(100, ()) == 100


@pytest.mark.parametrize("harm", [lose, doubt])
async def test_also_when_they_were_announced_already(site, harm):
    job = retention(site)
    site.clock.at -= 86400
    await job.apply()
    assert len(await RetentionState(site.database).announced()) == len(SITES)
    site.clock.at += 86400
    await harm(site, 202603)
    assert await job.apply() == []
    assert await left(site) == {202603: 200, 202604: 100}
    assert value(RETENTION_HELD) == len(SITES)


@pytest.mark.parametrize("harm", [lose, halve])
async def test_also_when_a_crash_left_them_written_down(site, harm, failing):
    job = retention(site)
    with failing("ALTER TABLE events"):
        await site.two_nights(job)
    await harm(site, 202603)
    assert await job.apply() == []
    assert await left(site) == {202603: 200, 202604: 100}
    assert value(RETENTION_HELD) == len(SITES)


async def test_also_when_the_visits_that_were_kept_of_them_are_lost(site, failing):
    job = retention(site)
    with failing("ALTER TABLE events"):
        await site.two_nights(job)
    [kept] = await RetentionState(site.database).visits()
    await command(site, f"ALTER TABLE visits DROP PARTITION {kept.build}")
    assert await job.apply() == []
    assert await left(site) == {202603: 200, 202604: 100}
    assert value(RETENTION_HELD) == len(SITES)


async def test_also_of_a_month_of_which_the_store_lost_events(site, monkeypatch):
    monkeypatch.setattr(site.store._kept, "_months", {"202603": KeptMonth(200, 3)})
    job = retention(site)
    assert await site.two_nights(job) == []
    assert await left(site) == {202603: 200, 202604: 100}
    assert value(RETENTION_HELD) == len(SITES)
    asking = Asking(site)
    for range_, exact in ((["2026-03-31", "2026-04-02"], False), (["2026-04-01", "2026-04-30"], True)):
        _, told = await asking.answer({"metrics": ["events"], "date_range": range_})
        assert told.exact is exact
    _, told = await asking.answer({"metrics": ["new_visitors"], "date_range": ["2026-04-01", "2026-04-30"]})
    assert not told.exact  # who was there in March only before that
    monkeypatch.undo()
    assert sum(each.events for each in await site.two_nights(job)) == 200


async def test_only_the_sites_that_differ_are_held(site):
    await command(
        site, "ALTER TABLE rollups UPDATE events = events + 1 WHERE cube = 'total' AND site_id = 'york'"
    )
    gone = await site.two_nights(retention(site))
    assert {each.site_id for each in gone} == {*SITES} - {"york"}
    assert value(RETENTION_HELD) == 1


async def test_days_that_begin_in_the_month_before_are_asked_about(site):
    job = retention(site)
    await site.two_nights(job)
    assert await left(site) == {202604: 100}
    await lose(site, 202603)  # it has days with events of April
    site.clock.at = (MAY + 31 * DAY) / 1000
    assert await site.two_nights(job) == []
    assert await left(site) == {202604: 100}


async def test_what_comes_late_for_a_month_that_is_gone_goes_as_well(site):
    job = retention(site)
    await site.two_nights(job)
    await site.take(site.made(60, START, APRIL))
    await site.rollups.slice_all()
    assert sum(each.events for each in await site.two_nights(job)) == 60
    assert value(RETENTION_HELD) == 0


async def test_rollups_that_were_kept_shorter_hold_nothing(site):
    job = retention(site, rollup_days=20)
    await site.two_nights(job)
    assert (await site.builds.manifest()).rollups_from == APRIL
    await site.take(site.made(60, START, APRIL))
    await site.rollups.slice_all()
    await site.two_nights(job)
    assert 202603 not in await left(site)
    assert value(RETENTION_HELD) == 0


async def test_a_start_says_what_is_held(site):
    await doubt(site, 202603)
    RETENTION_HELD.set(0)
    await retention(site).foretell(site.clock())
    assert value(RETENTION_HELD) == len(SITES)


@pytest.mark.parametrize("harm", [lose, halve])
async def test_missing_rollups_are_told_until_they_are_made_anew(site, harm):
    assert value(ROLLUPS_MISSING) == 0
    await harm(site, 202604)
    site.restarted()
    await site.rollups.tick()
    builds = [entry.build for entry in (await site.builds.manifest()).entries if entry.month == 202604]
    assert value(ROLLUPS_MISSING) == len(builds) > 0
    await repaired(site, 202604)
    assert value(ROLLUPS_MISSING) == 0


@pytest.mark.parametrize("harm", [lose, halve])
async def test_no_answer_that_comes_of_missing_rollups_is_exact(world, harm):
    asking = Asking(world)
    await asking.take(200)
    await harm(world, 202604)
    world.restarted()
    await world.rollups.tick()
    asking.missing = world.rollups.missing
    for range_, exact in ((["2026-03-05", "2026-03-25"], True), (["2026-03-05", "2026-04-12"], False)):
        _, told = await asking.answer({"metrics": ["events"], "date_range": range_})
        assert told.source != "raw"
        assert told.exact is exact
    assert any("rollups of 2026-04-" in each for each in told.warnings)
    await repaired(world, 202604)
    _, told = await asking.answer({"metrics": ["events"], "date_range": ["2026-03-05", "2026-04-12"]})
    assert told.exact


async def test_missing_rollups_are_not_merged_into_one_that_is_whole(site):
    for _ in range(10):
        await site.take(site.made(10, START, APRIL))
        await site.rollups.slice_all()
    entries = [entry for entry in (await site.builds.manifest()).entries if entry.month == 202603]
    await site.store.build(drop_partition("rollups", 202603, entries[0].build).sql)
    site.restarted()
    site.clock.at = (MAY + 31 * DAY) / 1000
    await site.rollups.tick()  # a new day: closed months are merged
    assert value(ROLLUPS_MISSING) == 1
    assert entries[0] in (await site.builds.manifest()).entries
    await repaired(site, 202603)
    assert value(ROLLUPS_MISSING) == 0
    await site.check()
