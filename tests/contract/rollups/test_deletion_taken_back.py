"""A deletion that was written down, and not begun, is taken back where the events are to stay after all."""

import asyncio

import pytest

from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.state.retention import Item, RetentionState
from footfall.units import FOREVER
from tests.contract.rollups.test_retention import APRIL, left
from tests.contract.sliced import DAY, SITES, START

pytestmark = pytest.mark.anyio

NAMED = [site for site in SITES if site]


def job(world, raw, patience=0):
    return Retention(
        world.store,
        world.database,
        Settings(raw_retention=raw),
        world.rollups,
        None,
        world.believed,
        patience,
    )


async def cut_short(world):
    """All of March is written down as about to go, and the process ends before it does."""
    await world.take(world.made(200, START, APRIL))
    await world.rollups.tick()
    world.clock.at = (APRIL + 31 * DAY) / 1000
    first = job(world, 30 * 86400.0, patience=3600)
    assert await first.apply() == []
    world.clock.at += 86400
    night = asyncio.ensure_future(first.apply())
    retained = RetentionState(world.database)
    while not await retained.visits():
        assert not night.done()
        await asyncio.sleep(0)
    night.cancel()
    with pytest.raises(asyncio.CancelledError):
        await night
    assert await retained.deleted()
    return retained


@pytest.mark.parametrize("longer", [FOREVER, 300 * 86400.0])
async def test_a_setting_that_keeps_events_takes_back_what_was_about_to_go(world, longer):
    retained = await cut_short(world)
    before = await left(world)
    later = job(world, longer)
    world.clock.at += 86400
    assert await later.apply() == []
    assert await later.apply() == []
    assert await left(world) == before
    assert await retained.deleted() == {}
    assert await retained.visits() == []
    assert await world.store.query("SELECT count() FROM visits") == [(0,)]


async def test_days_of_one_site_take_it_back_and_the_others_go(world):
    retained = await cut_short(world)
    later = job(world, 30 * 86400.0)
    await later.set_raw_days(NAMED[0], 0)
    assert await later.apply()
    there = await world.store.query("SELECT DISTINCT site_id FROM events")
    assert there == [(NAMED[0],)]
    assert NAMED[0] not in await retained.deleted()


async def test_what_was_begun_is_not_taken_back_and_stays_as_it_is(world):
    retained = await cut_short(world)
    before, deleted = await left(world), await retained.deleted()
    [kept] = await retained.visits()
    await retained.begin(kept.build)
    later = job(world, FOREVER)
    assert await later.apply() == []
    assert await left(world) == before
    assert await retained.deleted() == deleted
    assert await retained.visits() == [kept]
    assert await job(world, 30 * 86400.0).apply() == []
    assert await left(world) == {}


async def test_days_that_get_longer_while_the_night_is_prepared_leave_no_trace(world, monkeypatch):
    await world.take(world.made(200, START, APRIL))
    await world.rollups.tick()
    world.clock.at = (APRIL + 31 * DAY) / 1000
    night = job(world, 30 * 86400.0)
    assert await night.apply() == []
    world.clock.at += 86400
    due = night.due

    async def then_longer(now):
        found = await due(now)
        for site in NAMED:
            await night.set_raw_days(site, 300)
        return found

    monkeypatch.setattr(night, "due", then_longer)
    await night.apply()
    retained = RetentionState(world.database)
    assert not set(NAMED) & set(await retained.deleted())
    assert Item("events", 202603, NAMED[0]) in await retained.announced()
