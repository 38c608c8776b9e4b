"""Whatever fails while rollups are made, and wherever a process ends: they never say anything wrong."""

import asyncio

import pytest

from footfall.errors import Conflict, StoreDown
from footfall.model.cubes import CUBES
from footfall.rollups import compaction
from footfall.rollups.maintenance import RollupMaintainer, running
from footfall.state.lease import Lease
from footfall.state.rollups.builds import Builds
from tests.contract.installation import Crash, until
from tests.contract.sliced import DAY, START

pytestmark = pytest.mark.anyio

CALLS = {
    "store": ("query", "build"),
    "builds": ("manifest", "books", "begin_slice", "begin_merge", "publish", "abandon", "forget"),
    "batches": ("positions",),
}


@pytest.fixture
async def world(world):
    world.clock.at = START / 1000 + 86_400
    return world


class Failing:
    """The real thing; the call of number `fatal`, among those of all such objects, goes wrong."""

    def __init__(self, real, methods, calls):
        self._real, self._methods, self._calls = real, methods, calls

    def __getattr__(self, name):
        found = getattr(self._real, name)
        return self._calls.wrap(found, name) if name in self._methods else found


class Calls:
    """Counts calls. `done`: whether the fatal one does its work before it fails."""

    def __init__(self, fatal, *, done, error):
        self.count, self.fatal, self.done, self.error = 0, fatal, done, error
        self.seen = []

    def wrap(self, method, name):
        async def call(*arguments, **named):
            number, self.count = self.count, self.count + 1
            self.seen.append(name)
            if number != self.fatal:
                return await method(*arguments, **named)
            if self.done:
                await method(*arguments, **named)
            raise self.error

        return call


def rigged(world, calls):
    rollups = world.restarted()
    store, builds, batches = (
        Failing(real, CALLS[name], calls)
        for name, real in (("store", world.store), ("builds", rollups._builds), ("batches", world.batches))
    )
    for part in (rollups, rollups._slicer, rollups._compactor):
        part._store, part._builds = store, builds
    rollups._slicer._batches = batches
    return rollups


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_failure_at_any_call_is_made_up_for(world, monkeypatch, done):
    monkeypatch.setattr(compaction, "FAN_IN", 2)
    seen, missed = set(), 0
    for fatal in range(200):
        dead = await world.take(world.made(12, START, START + DAY), letters=2)
        if fatal % 4 == 0:
            await world.retry(dead)
        world.clock.at += 3000  # what was retired may go
        died = fatal % 3 == 0
        calls = Calls(fatal, done=done, error=Crash() if died else StoreDown("no answer"))
        rollups = rigged(world, calls)
        try:
            await rollups.tick()
        except (StoreDown, Crash):
            pass
        finally:
            seen |= set(calls.seen)
        missed += calls.count <= fatal
        if missed == 5:  # not every tick has a merge in it
            break
        calls.fatal = -1
        await world.check(cubes=CUBES[:1])
        # The same object goes on after a failure; after a death there is a new one.
        rollups = world.restarted() if died else rollups
        await rollups.tick()
        assert await world.unsliced() == set()
        await world.check(cubes=CUBES[:2])
    assert fatal > 25
    assert {"begin_slice", "begin_merge", "publish", "forget", "build", "query"} <= seen
    await world.check()
    await world.restarted().tick()
    books = await world.builds.partitions()
    assert await world.partitions() == {
        f"{month}-{build}" for month, build in books.published | {*books.retired}
    }
    assert not books.building


async def test_what_a_dead_process_left_counts_for_nothing_and_goes(world):
    await world.take(world.made(50))
    await world.rollups.tick()
    await world.take(world.made(50))
    rollups = world.restarted()
    parts, _ = await rollups._slicer.waiting()
    building = await rollups._builds.begin_slice({part.shard: part.upto for part in parts})
    await rollups._slicer.fill(building, {})
    left = await world.partitions()
    await world.check(50)
    await world.restarted().tick()
    assert await world.check() == 100
    assert not {each for each in left if each.endswith(f"-{building.build}")} & await world.partitions()


async def test_a_partition_that_cannot_be_dropped_holds_nothing_up(world, monkeypatch):
    await world.take(world.made(50))
    rollups = world.restarted()
    parts, _ = await rollups._slicer.waiting()
    left = await rollups._builds.begin_slice({part.shard: part.upto for part in parts})
    await rollups._slicer.fill(left, {})
    real = world.store.build

    async def build(sql, parameters=None):
        if "DROP PARTITION" in sql and f" {left.build})" in sql:
            raise StoreDown("a file cannot be removed")
        await real(sql, parameters)

    rollups = world.restarted()
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "build", build)
        await rollups.tick()
        assert await world.check() == 50
        assert any(each.endswith(f"-{left.build}") for each in await world.partitions())
    await rollups.tick()
    assert not any(each.endswith(f"-{left.build}") for each in await world.partitions())
    await world.check(50)


async def test_a_letter_stored_while_a_build_died_counts_once(world):
    dead = await world.take(world.made(50), letters=5)
    rollups = world.restarted()
    parts, _ = await rollups._slicer.waiting()
    await rollups._builds.begin_slice({part.shard: part.upto for part in parts})
    await world.retry(dead)  # late for the build that dies
    assert set((await world.builds.manifest()).late) == set(dead)
    assert len(await world.unsliced()) == 50
    rollups = world.restarted(most=2)  # the next ones do not reach as far
    await rollups.tick()
    assert len({entry.build for entry in (await world.builds.manifest()).entries}) > 1
    await world.check(50)
    assert (await world.builds.manifest()).late == ()


async def test_the_loser_of_the_lease_publishes_nothing(world):
    lease = Lease(world.database)
    fence = await lease.acquire("worker", "one", 30)

    async def zones(_):
        return {}

    rollups = RollupMaintainer(world.store, world.database, fence, zones, world.settings, world.clock)
    await world.take(world.made(50))
    parts, rows = await rollups._slicer.waiting()
    building = await rollups._builds.begin_slice({part.shard: part.upto for part in parts})
    await lease.release(fence)
    await lease.acquire("worker", "two", 30)
    for call in (
        rollups._builds.publish(building, [], {}, 1),
        rollups._builds.abandon(building),
        rollups._builds.begin_merge(202603, [1]),
        rollups._builds.forget([]),
        rollups._slicer.slice(parts, rows, 100),
    ):
        with pytest.raises(Conflict, match="taken over"):
            await call
    await world.check(0)


async def test_a_statement_that_is_cancelled_is_ended_and_the_next_one_runs(world):
    endless = (
        "INSERT INTO rollups (build, events) SELECT 9, sum(sipHash64(number)) FROM numbers(1000000000000)"
    )

    async def running():
        return await world.store.query(
            "SELECT 1 FROM system.processes WHERE query LIKE 'INSERT INTO rollups%'"
        )

    task = asyncio.create_task(world.store.build(endless))
    await until(running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await running()
    await world.take(world.made(20))
    await world.rollups.tick()
    await world.check(20)


async def test_stopping_in_the_middle_of_a_slice_leaves_nothing_that_counts(world, monkeypatch):
    monkeypatch.setattr("footfall.rollups.maintenance._LOOK_EVERY", 0.01)
    await world.take(world.made(50))
    reached, real = asyncio.Event(), Builds.publish

    async def publish(*arguments):
        reached.set()
        await asyncio.sleep(60)
        await real(*arguments)

    monkeypatch.setattr(Builds, "publish", publish)
    async with running(world.restarted()):
        await reached.wait()
    await world.check(0)
    monkeypatch.setattr(Builds, "publish", real)
    async with running(world.restarted()):
        await until(lambda: _is_sliced(world))
    await world.check(50)


async def _is_sliced(world):
    return not await world.unsliced()


async def test_a_failed_statement_is_a_store_that_is_down(world):
    for sql in ("INSERT INTO rollups (nothing) SELECT 1", "ALTER TABLE nowhere DROP PARTITION 1"):
        with pytest.raises(StoreDown):
            await world.store.build(sql)
