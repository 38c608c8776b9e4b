"""Housekeeping and the worker go on whatever callers are allowed to ask, and however long they ask."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from footfall.errors import FootfallError, StoreDown, TooSlow
from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.verify.verifier import Verifier
from tests.contract import installation, sliced
from tests.contract.test_store import ENDLESS, count, opened, rows, runs, until
from tests.contract.test_store_parts import breaking
from tests.contract.verified import event, open_world

pytestmark = pytest.mark.anyio

TINY = {"query_rows": 1}
SLOW = {"query_timeout": 600}
LIMITS = {"callers may read one row": TINY, "callers hold all readers": SLOW}


@asynccontextmanager
async def held(store, limits):
    """The readers of callers are held for ever, where that is what this is about."""
    asking = [asyncio.create_task(store.query(ENDLESS)) for _ in range(8)] if limits is SLOW else []
    for _ in range(3):
        await asyncio.sleep(0)
    try:
        yield
        assert not any(task.done() for task in asking)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


@pytest.fixture(params=LIMITS)
def limits(request):
    return LIMITS[request.param]


@pytest.fixture
async def store(tmp_path, limits):
    async with opened(Settings(data=tmp_path / "store", **limits)) as store:
        yield store


# The port


async def test_each_lane_has_readers_and_limits_of_its_own(store, limits):
    async with held(store, limits):
        for name in ("house", "worker"):
            assert await store.query("SELECT count() FROM numbers(100000)", lane=name) == [(100_000,)]
            assert (await store.arrow("SELECT 1 AS n", lane=name)).num_rows == 1
        await store.ping()


async def test_slow_housekeeping_holds_neither_the_worker_nor_callers(tmp_path):
    async with opened(Settings(data=tmp_path)) as store:
        asking = [asyncio.create_task(store.query(ENDLESS, lane="house")) for _ in range(9)]
        await until(lambda: runs(store, "SELECT sum(sip"))
        assert await store.query("SELECT 1", lane="worker") == [(1,)]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


FAILING = {
    "SELECT no_such_column FROM events": StoreDown,
    "SELECT 1 FROM no_such_table": StoreDown,
    "SELECT toUInt8('many')": StoreDown,
    "DROP TABLE events": StoreDown,
    "SELECT throwIf(1)": StoreDown,
    "SELECT length(groupArray(toString(number))) FROM numbers(100000000)": TooSlow,
}


async def test_what_the_house_could_not_find_out_is_never_an_answer(tmp_path):
    async with opened(Settings(data=tmp_path, store_memory=1 << 30)) as store:
        for sql, error in FAILING.items():
            for name in ("house", "worker"):
                with pytest.raises(error):
                    await store.query(sql, lane=name)
        with pytest.raises(TooSlow, match=r"longer than 0\.05 s"):
            await store.query(ENDLESS, lane="house", timeout=0.05)
        with pytest.raises(FootfallError):
            await store.query("SET max_execution_time = 0", lane="house")
        assert await store.query("SELECT 1", lane="house") == [(1,)]


async def test_an_insert_does_not_wait_for_housekeeping_to_come_to_an_end(tmp_path):
    async with opened(Settings(data=tmp_path)) as store:
        await store.insert(rows(10), "before")
        asking = [asyncio.create_task(store.query(ENDLESS, lane="house")) for _ in range(9)]
        await until(lambda: runs(store, "SELECT sum(sip"))
        breaking(store, "count.txt")  # to take it out, nobody may ask
        with pytest.raises(StoreDown, match="whole"):
            await store.insert(rows(1000, first=10), "broken")
        ended = [task for task in asking if task.done()]
        assert ended
        for task in asking:
            task.cancel()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(a) for a in answers} <= {StoreDown, asyncio.CancelledError}
        assert await count(store) == 10


# The worker


async def test_a_worker_finishes_what_a_crash_left_open(store, limits, tmp_path):
    async with installation.new_world("sqlite", tmp_path, store) as world, held(store, limits):
        await world.append(*[10] * 9)
        world.store.after = installation.crash
        with pytest.raises(installation.Crash):
            await (await world.worker()).drain()
        world.store.after = installation.nothing
        await world.append(*[10] * 2)
        await (await world.worker()).drain()
        assert await world.outcomes() == {"received": 110, "stored": 110}
        assert await store.query("SELECT count() FROM events", lane="house") == [(110,)]


# Housekeeping


async def test_rollups_are_made_and_merged_and_retention_deletes_what_they_hold(store, limits, tmp_path):
    async with sliced.new_world(store, tmp_path, due=1) as world, held(store, limits):
        for _ in range(3):
            await world.take(world.made(200))
            await world.rollups.tick()
        settings = Settings(raw_retention=30 * sliced.DAY / 1000)
        world.clock.at = (sliced.END + 300 * sliced.DAY) / 1000
        job = Retention(store, world.database, settings, world.rollups, None, world.believed, 0)
        assert sum(month.events for month in await job.plan()) == 600
        assert sum(month.events for month in await world.two_nights(job)) == 600
        assert await store.query("SELECT count() FROM events", lane="house") == [(0,)]
        await world.rollups.tick()


async def test_verify_compares(limits, tmp_path, monkeypatch):
    async with (
        opened(Settings(data=tmp_path / "store", **limits)) as engine,
        open_world(tmp_path, engine, monkeypatch) as world,
        held(engine, limits),
    ):
        world.verifier = Verifier(world.store, world.log, world.database)
        await world.append(event(), event())
        await world.take(unstored=[(0, 0)])
        assert {each.check for each in (await world.verify()).findings} >= {"stored"}
