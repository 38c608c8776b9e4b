"""Store and state.db that were set back each on its own are seen; what was only killed or retained is not."""

import asyncio
from contextlib import suppress

import pytest

from footfall import stamps
from footfall.database import insert
from footfall.rebuild.older_store import lacks_what_was_stored
from footfall.state.tables import raw_deleted
from tests.contract.installation import NOW, Crash, drain, event, new_world, nothing, record, refusing
from tests.contract.worker.test_exact import CRASHES

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path, store):
    (tmp_path / "store").mkdir()  # of one that is embedded
    async with new_world("sqlite", tmp_path, store) as world:
        yield world


async def empty_the_store(world):
    await asyncio.to_thread(world.store._store._handles.commands.command, "TRUNCATE TABLE events")


def noted(world):
    return stamps.look_at_store(world.settings.data / "store").offsets


async def test_a_store_without_what_was_stored_last_is_older(world):
    await world.append(3)
    await drain(world)
    assert not await lacks_what_was_stored(world.store, world.database)
    await world.append(4)
    await drain(world)
    first = await world.store.arrow("SELECT * FROM events WHERE seq < 3")
    await empty_the_store(world)
    await world.store._store.insert(first, "older")
    assert await lacks_what_was_stored(world.store, world.database)


async def test_how_far_it_is_stored_is_noted_beside_the_rows(world):
    await world.append(3, 4, writer=0)
    await world.append(5, writer=1)
    await drain(world)
    assert noted(world) == await world.batches.positions()
    assert len(noted(world)) == 2


@pytest.mark.parametrize("where", CRASHES)
async def test_a_crash_at_any_step_makes_neither_look_older(world, where):
    async def die(rows=None, query_id="", *_):
        if where == "in insert":
            await world.store._store.insert(rows.slice(5, 7), query_id + "-part")
        raise Crash

    await world.append(10)
    await drain(world)
    if where in ("before insert", "in insert"):
        world.store.before = die
    elif where == "after insert":
        world.store.after = die
    else:
        world.hooks[where] = die
    await world.append(20, writer=1)
    with suppress(Crash):
        await drain(world)
    closed = await world.batches.positions()
    assert all(offset <= closed.get(shard, -1) for shard, offset in noted(world).items())
    assert not await lacks_what_was_stored(world.store, world.database)
    world.hooks.clear()
    world.store.before = world.store.after = nothing
    await drain(world)
    assert noted(world) == await world.batches.positions()
    assert not await lacks_what_was_stored(world.store, world.database)


async def test_what_the_store_refused_is_not_missed(world):
    await world.append_raw(record([event(occurred_at=NOW - 1000), event(occurred_at=NOW)]))
    world.store.before = refusing(world, 1)
    await drain(world)
    assert (await world.counts())[0] == 1
    assert not await lacks_what_was_stored(world.store, world.database)


async def test_what_retention_may_have_deleted_is_not_missed(world):
    await world.append(3, occurred_at=NOW - 1000)
    await drain(world)
    await empty_the_store(world)
    deleted = {"site_id": "any", "at": NOW, "received": NOW}
    await world.database.run(lambda it: it.execute(insert(it, raw_deleted).values(deleted)))
    assert not await lacks_what_was_stored(world.store, world.database)


async def test_late_events_hide_no_store_that_was_set_back(world):
    await world.append(3)
    await drain(world)
    deleted = {"site_id": "any", "at": NOW - 10_000, "received": NOW - 10_000}
    await world.database.run(lambda it: it.execute(insert(it, raw_deleted).values(deleted)))
    await world.append(1, occurred_at=NOW - 20_000)  # what another site has deleted by now
    await drain(world)
    late = await world.store.arrow("SELECT * FROM events WHERE seq >= 4096")
    assert late.num_rows == 1
    assert not await lacks_what_was_stored(world.store, world.database)
    await empty_the_store(world)
    await world.store._store.insert(late, "set-back")
    assert await lacks_what_was_stored(world.store, world.database)
