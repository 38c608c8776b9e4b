"""`verify` compares rollups with events, and a month that is wrong can be built again."""

import asyncio

import pytest

from footfall.errors import Conflict, StoreDown
from footfall.state.tables import raw_deleted
from footfall.verify.rollups import RollupVerifier
from tests.contract.sliced import DAY, END, START

EMPTY = "defaultValueOfTypeName('AggregateFunction(uniqCombined(17), UInt64)')"

pytestmark = pytest.mark.anyio


async def verified(world, start=START - 3 * DAY, end=END + 3 * DAY, workspace=None):
    return await RollupVerifier(world.store, world.builds).run(start, end, workspace)


async def command(world, sql):
    await asyncio.to_thread(world.store._handles.commands.command, sql + " SETTINGS mutations_sync = 1")


async def test_what_is_right_has_no_findings(world):
    assert await verified(world) == []
    dead = await world.take(world.made(300), letters=10)
    assert await verified(world) == []
    await world.rollups.tick()
    assert await verified(world) == []
    await world.retry(dead[:3])
    taken = await world.retry(dead[3:5], settle=False)
    await world.take(world.made(50))
    assert await verified(world) == []
    await world.rollups.slice_all()
    assert await verified(world) == []
    await world.settle(taken)
    assert await verified(world) == []
    await world.check()


@pytest.mark.parametrize(
    ("falsify", "what"),
    [
        ("ALTER TABLE rollups UPDATE events = events + 1 WHERE cube = 'page' AND v1 = '/'", "page: events"),
        ("ALTER TABLE rollups DELETE WHERE cube = 'link_hour'", "link_hour: events"),
        ("ALTER TABLE rollups UPDATE v2 = 'x' WHERE cube = 'device' AND v2 = 'Safari'", "device: values"),
        (f"ALTER TABLE rollups UPDATE visitors = {EMPTY} WHERE cube = 'total'", "total: visitors"),
        ("ALTER TABLE events DELETE WHERE site_id = 'berlin'", "total: events"),
    ],
)
async def test_what_is_wrong_is_found(world, falsify, what):
    await world.take(world.made(300))
    await world.rollups.tick()
    await command(world, falsify)
    found = await verified(world)
    assert {each.check for each in found} == {"rollups"}
    assert what in {each.examples[0] for each in found}
    assert all(each.expected != each.found for each in found if "events" in each.examples[0])


async def test_a_build_that_is_gone_is_found(world):
    await world.take(world.made(100, START, START + DAY))
    await world.rollups.tick()
    await command(world, "ALTER TABLE rollups DROP PARTITION (202603, 1)")
    assert ("build 202603-1",) in [each.examples for each in await verified(world)]


async def test_only_the_range_and_the_workspace_are_compared(world):
    await world.take(world.made(300))
    await world.rollups.tick()
    await command(world, "ALTER TABLE rollups DELETE WHERE workspace_id = 'acme' AND cube = 'place'")
    found = await verified(world)
    assert {each.workspace_id for each in found if each.examples[0].startswith("place")} == {"acme"}
    assert [each for each in await verified(world, workspace="other") if each.site_id] == []
    start, end = START + DAY, START + 2 * DAY
    found = await verified(world, start, end)
    assert {start <= each.hour < end for each in found if each.workspace_id} == {True}


# Building a month again


async def test_a_month_is_built_again_from_the_events(world, monkeypatch):
    dead = await world.take(world.made(300), letters=10)
    await world.rollups.tick()
    await world.retry(dead[:3])
    await world.take(world.made(50))  # not sliced
    before = await world.unsliced()
    await command(world, "ALTER TABLE rollups DELETE WHERE cube != 'page'")
    assert await verified(world) != []
    for month in (202603, 202604):
        await world.rollups.rebuild(month)
    assert await world.unsliced() == before
    await world.check()
    assert await verified(world) == []
    world.clock.at += 3000
    await world.rollups.slice_all()
    await world.check(343)


async def test_a_large_month_is_built_in_parts(world, monkeypatch):
    await world.take(world.made(600, START, START + 2 * DAY))
    await world.rollups.tick()
    await command(world, "ALTER TABLE rollups DELETE WHERE 1")
    rollups = world.restarted(most=100)
    real, parts = world.store.build, []

    async def build(sql, parameters=None):
        parts.append(sql.startswith("CREATE TABLE"))
        await real(sql, parameters)

    monkeypatch.setattr(world.store, "build", build)
    await rollups.rebuild(202603)
    assert sum(parts) >= 5
    await world.check(600)
    assert await verified(world) == []


async def test_a_month_whose_events_are_not_all_there_any_more_stays_as_it_is(world):
    await world.take(world.made(300))
    await world.rollups.tick()
    rows = [{"site_id": "berlin", "at": START + DAY, "received": 0}]
    await world.database.run(lambda connection: connection.execute(raw_deleted.insert(), rows))
    with pytest.raises(Conflict, match="berlin"):
        await world.restarted().rebuild(202603)
    await world.rollups.rebuild(202604)
    await world.check(300)


async def test_a_rebuild_that_dies_changes_nothing(world, monkeypatch):
    await world.take(world.made(300))
    await world.rollups.tick()

    async def entries(*_):
        raise StoreDown("no answer")

    monkeypatch.setattr(world.rollups._slicer, "entries", entries)
    with pytest.raises(StoreDown):
        await world.rollups.rebuild(202603)
    await world.check(300)
    monkeypatch.undo()
    await world.rollups.tick()
    await world.check(300)
    assert not (await world.builds.partitions()).building
