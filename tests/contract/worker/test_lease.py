"""Two workers: the one with the lease works, the other does no harm."""

import asyncio
import time

import pytest
import sqlalchemy as sa

from footfall.errors import Conflict
from footfall.eventlog.port import WORKER
from footfall.model.record import SEQ_PER_RECORD
from footfall.state import closings
from footfall.state.lease import Lease
from footfall.state.tables import leases
from footfall.worker import open  # noqa: A004 -- the module
from footfall.worker.open import open_worker
from tests.contract.installation import NOW, drain, nothing, settled, stored, until

pytestmark = pytest.mark.anyio


async def test_a_second_worker_is_refused_while_the_first_lives(world):
    async with open_worker(world.reading, world.store, world.database, world.settings) as worker:
        with pytest.raises(Conflict, match="held by"):
            async with open_worker(world.reading, world.store, world.database, world.settings):
                pass
        await world.append(3)
        assert await worker.drain() == 3
    async with open_worker(world.reading, world.store, world.database, world.settings) as worker:
        await world.append(4)
        assert await worker.drain() == 4


async def test_the_lease_is_kept_while_the_worker_waits_for_the_store(world, monkeypatch):
    monkeypatch.setattr(open, "LEASE_SECONDS", 0.3)
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def wait(*_):
        waits.set()
        await goes_on.wait()

    async def expiry():
        return await world.database.read(lambda connection: connection.scalar(sa.select(leases.c.expires_at)))

    async def moved():
        return await expiry() != before

    world.store.before = wait
    await world.append(3)
    async with open.open_worker(world.reading, world.store, world.database, world.settings) as worker:
        draining = asyncio.create_task(worker.drain())
        await waits.wait()
        for _ in range(3):
            before = await expiry()
            await until(moved, 5)
        goes_on.set()
        assert await draining == 3


async def take_over(world):
    """As a worker does that believes the other one dead: from a clock beyond the lease."""
    lease = Lease(world.database, clock=lambda: time.time() + 3600)
    world.fence = await lease.acquire(WORKER, "another", 30)


async def test_a_worker_that_lost_its_lease_inserts_nothing_more(world):
    worker = await world.worker()
    await world.append(5)
    assert await worker.drain() == 5
    await take_over(world)
    await world.append(6)
    with pytest.raises(Conflict, match="taken over"):
        await worker.drain()
    assert tuple(await world.counts()) == (5, 5)
    assert await world.batches.open_plans() == []


async def test_a_worker_that_loses_its_lease_while_it_runs_stops(world):
    running = asyncio.create_task((await world.worker()).run(asyncio.Event()))
    await world.append(5)
    await until(lambda: stored(world, 5))
    await take_over(world)
    await world.append(6)
    with pytest.raises(Conflict, match="taken over"):
        async with asyncio.timeout(10):
            await running
    assert tuple(await world.counts()) == (5, 5)


async def test_a_worker_that_lost_its_lease_between_plan_and_insert_does_not_insert(world, monkeypatch):
    worker = await world.worker()
    monkeypatch.setattr(Lease, "holds", lambda *_: False)  # as after a long pause of the process
    world.hooks["after batches.plan"] = lambda *_: take_over(world)
    await world.append(5)
    with pytest.raises(Conflict, match="taken over"):
        await worker.drain()
    assert tuple(await world.counts()) == (0, 0)
    world.hooks.clear()
    monkeypatch.undo()
    await (await world.worker()).drain()
    await settled(world, rows=5, received=5, stored=5)


async def test_a_worker_that_lost_its_lease_during_an_insert_does_not_close(world):
    world.store.after = lambda *_: take_over(world)
    await world.append(5)
    with pytest.raises(Conflict, match="taken over"):
        await (await world.worker()).drain()
    assert len(await world.batches.open_plans()) == 1
    world.store.after = nothing
    await (await world.worker()).drain()
    await settled(world, rows=5, received=5, stored=5)


async def test_a_worker_that_begins_writes_down_what_was_closed_before(world):
    await world.append(1)
    await drain(world)
    await Lease(world.database).release(world.fence)
    async with open_worker(world.reading, world.store, world.database, world.settings) as worker:
        await world.append(1)
        await worker.drain()
    known = await closings.read(world.database, NOW / 1000 + 9)
    (shard,) = await world.batches.positions()
    assert [known.until(shard, offset * SEQ_PER_RECORD) for offset in (0, 1)] == [0.0, NOW / 1000 + 9]
