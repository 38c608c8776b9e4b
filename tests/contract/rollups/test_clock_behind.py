"""A clock that is behind for a while makes nothing old: an age counts from when the row was stored."""

import pytest

from footfall.state import closings
from tests.contract.rollups.test_deletion import HOUR, Installation
from tests.contract.rollups.test_retention import left
from tests.contract.sliced import DAY, END, START

pytestmark = pytest.mark.anyio

SHARD = 2**63 + 9


@pytest.fixture
async def site(world):
    """Days on: nothing is stored yet, and everything is deleted after 30 days."""
    found = Installation(world)
    await found.run(72)
    return found


async def take(site, *, shard=SHARD, count=20):
    """Events that come now, as far as the clock can tell."""
    now = int(site.wall() * 1000)
    made = site.world.made(count, now - 60_000, now)
    for each in made:
        each["received_at"] = now
    await site.world.take(made, shard=shard)
    await site.world.rollups.slice_all()


@pytest.mark.parametrize("behind", [3, 40, 400, 20_000])
async def test_what_comes_while_the_clock_is_behind_for_an_hour_stays_as_long_as_all_else(
    site, world, behind
):
    site.ahead = -behind * 86400.0
    await site.run(1)
    await take(site)
    site.ahead = 0.0
    await site.run(24 * 28)
    assert sum((await left(world)).values()) == 20
    await site.run(24 * 8)
    assert await left(world) == {}, "and then it goes"


async def test_the_same_over_the_midnight_of_a_clock_that_is_behind(site, world):
    site.ahead = -40 * 86400.0
    for hours in (1, 6, 6, 1):
        await site.run(hours)
        await take(site, count=5)
    site.ahead = 0.0
    await site.run(24 * 27)
    assert sum((await left(world)).values()) == 20
    await site.run(24 * 9)
    assert await left(world) == {}


@pytest.mark.parametrize("shard", [SHARD, SHARD + 1], ids=["the same shard", "another shard"])
async def test_a_machine_that_was_off_for_long_and_goes_on_with_the_time_at_which_it_ended(
    site, world, shard
):
    await take(site)
    site.true += 100 * 86400
    site.ahead = -100 * 86400.0
    site.set()
    await site.run(1)
    await take(site, shard=shard)
    site.ahead = 0.0
    await site.run(24 * 28)
    assert sum((await left(world)).values()) >= 20
    await site.run(24 * 8)
    assert await left(world) == {}


async def test_what_was_stored_before_there_were_marks_is_as_old_as_it_says(world):
    await world.take(world.made(50, START, END))
    await world.rollups.slice_all()
    site = Installation(world)
    site.true += 90 * 86400
    await site.run(24 * 5)
    assert await left(world) == {}


async def test_marks_of_a_clock_that_was_ahead_keep_nothing_longer(world):
    site = Installation(world)
    await site.run(72)
    site.ahead = 400 * 86400.0
    await site.run(1)
    site.ahead = 0.0
    await site.run(72)
    await take(site)
    await site.run(72)
    at = site.true + 400 * 86400
    known = await closings.read(world.database, at)
    [(last,)] = await world.store.query("SELECT max(seq) FROM events")
    assert site.true - 96 * HOUR < known.until(SHARD, last) < site.true


async def test_the_plan_says_from_when_an_age_counts(site, world):
    site.ahead = -40 * 86400.0
    await site.run(1)
    await take(site)
    site.ahead = 0.0
    await site.run(72)
    for each in await site.job._plan.months(site.true):
        assert each.newest < (site.true - 30 * 86400) * 1000
        assert each.deleted_after > (site.true + 26 * 86400) * 1000
        assert each.kept == 30 * DAY / 1000
