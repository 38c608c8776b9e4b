"""Compaction: fewer builds that say the same."""

from datetime import UTC, datetime

import pytest

from footfall.model.cubes import CUBES
from footfall.model.ids import uuid7
from footfall.rollups import compaction
from footfall.rollups.compaction import due
from footfall.state.rollups.builds import ManifestEntry, RollupPartition
from tests.contract.sliced import DAY, START

pytestmark = pytest.mark.anyio

NAMES = tuple(cube.label for cube in CUBES)


@pytest.fixture
async def world(world):
    world.clock.at = START / 1000 + 86_400
    return world


async def slices(world, count, **made):
    for _ in range(count):
        await world.take(world.made(40, START, START + DAY, **made))
        await world.rollups.tick()


async def entries(world):
    return [(entry.month, entry.level) for entry in (await world.builds.manifest()).entries]


async def test_builds_of_a_level_become_one_of_the_next_that_says_the_same(world, monkeypatch):
    monkeypatch.setattr(compaction, "FAN_IN", 3)
    await slices(world, 2)
    assert await entries(world) == [(202603, 0), (202603, 0)]
    await slices(world, 1)
    assert await entries(world) == [(202603, 1)]
    await world.check(120)
    await slices(world, 6)
    assert await entries(world) == [(202603, 2)]
    await slices(world, 1)
    assert await entries(world) == [(202603, 2), (202603, 0)]
    await world.check(400)


async def test_what_was_merged_stays_until_no_question_can_be_reading_it(world, monkeypatch):
    monkeypatch.setattr(compaction, "FAN_IN", 2)
    await slices(world, 2)
    books = await world.builds.partitions()
    assert books.published == {RollupPartition(202603, 3)}
    assert set(books.retired) == {RollupPartition(202603, 1), RollupPartition(202603, 2)}
    world.clock.at += 1259
    await world.rollups.tick()
    assert await world.partitions() == {"202603-1", "202603-2", "202603-3"}
    world.clock.at += 2
    await world.rollups.tick()
    assert await world.partitions() == {"202603-3"}
    assert not (await world.builds.partitions()).retired
    await world.check(80)


async def test_a_month_that_is_over_becomes_one_build_on_the_next_day(world):
    await slices(world, 3)
    world.clock.at = datetime(2026, 4, 2, 23, tzinfo=UTC).timestamp()
    await world.take(world.made(40))  # in March and April
    await world.rollups.tick()
    assert (await entries(world)).count((202603, 0)) == 4
    world.clock.at = datetime(2026, 4, 3, 0, 1, tzinfo=UTC).timestamp()
    await world.rollups.tick()
    assert await entries(world) == [(202603, 1), (202604, 0)]
    await world.check(160)


async def test_an_import_over_years_is_merged_month_by_month(world, monkeypatch):
    monkeypatch.setattr(compaction, "FAN_IN", 2)
    for _ in range(3):
        await world.take(world.made(60, START - 400 * DAY, START))
        await world.rollups.tick()
    await world.check(180)
    for month in {month for month, _ in await entries(world)}:
        assert [level for each, level in await entries(world) if each == month] in ([1, 0], [1], [0])


async def test_much_is_merged_where_it_pays_or_when_it_is_in_many_builds(world, monkeypatch):
    monkeypatch.setattr(compaction, "FAN_IN", 2)
    monkeypatch.setattr(compaction, "FEW_ROWS", 10)
    monkeypatch.setattr(compaction, "MOST", 6)
    events = world.made(40, START, START + DAY)
    await world.take(events)
    await world.rollups.tick()
    await world.take([event | {"event_id": uuid7()} for event in events])
    await world.rollups.tick()
    assert await entries(world) == [(202603, 1)]  # half the rows were left
    await slices(world, 5)
    assert await entries(world) == [
        (202603, 1),
        *[(202603, 0)] * 5,
    ]  # chance made these: they say different things
    await slices(world, 1)
    assert await entries(world) == [(202603, 1)] * 2
    await world.check(320)


async def test_a_cube_that_one_source_lacks_is_not_promised_for_the_whole(world, monkeypatch):
    monkeypatch.setattr(compaction, "FAN_IN", 2)
    await slices(world, 1)
    await world.database.run(
        lambda connection: connection.exec_driver_sql("UPDATE rollup_entries SET cubes = 'total place'")
    )
    world.builds._manifest = world.rollups._builds._manifest = None
    await slices(world, 1)
    [entry] = (await world.builds.manifest()).entries
    assert entry.cubes == ("total", "place")


def entry(build, month=202603, level=0):
    return ManifestEntry(build, month, level, 1, 0, 0, NAMES)


def test_what_is_due():
    seven = [entry(build) for build in range(7)]
    assert due(seven) == []
    [merge] = due([*seven, entry(7), entry(8, 202604), entry(9, level=1)])
    assert (merge.month, [each.build for each in merge.sources], merge.level) == (202603, list(range(8)), 1)
    ends = datetime(2026, 4, 3, tzinfo=UTC).timestamp()
    assert due(seven, ends - 1) == []
    [merge] = due([*seven, entry(8, 202604), entry(9, level=3)], ends)
    assert (len(merge.sources), merge.level) == (8, 4)
    assert due([entry(1, 202512)], ends) == []
    assert [merge.month for merge in due([entry(1, 202512), entry(2, 202512)], ends)] == [202512]
