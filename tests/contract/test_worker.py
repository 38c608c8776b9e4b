"""What the worker promises, with the real parts: every kind of log, SQLite state, the embedded store."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from footfall.errors import StoreDown
from footfall.eventlog import BACKENDS, open_log
from footfall.eventlog.port import Entry
from footfall.metrics import RECORDS_PASSED
from footfall.model.ids import uuid7
from footfall.model.record import RawEvent, Record, Visit, decode, encode
from footfall.settings import Settings
from footfall.state.batches import Batches
from footfall.state.tables import open_state
from footfall.store import open_store
from footfall.worker import loop
from footfall.worker.loop import CONSUMER, Worker

pytestmark = pytest.mark.anyio

NOW = int(time.time() * 1000)
MINUTE = 60_000
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


class StoreProxy:
    """The real store, watched, and failing or waiting where a test says so."""

    def __init__(self, store):
        self._store = store
        self.inserted = []  # rows of each insert that succeeded, as (shard, seq)
        self.sizes = []
        self.running = self.most_running = 0
        self.before = self.after = _nothing

    async def insert(self, rows, query_id):
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.before(rows, query_id)
            await self._store.insert(rows, query_id)
            await self.after(rows, query_id)
            self.inserted.append(places(rows))
        finally:
            self.running -= 1

    def __getattr__(self, name):
        return getattr(self._store, name)


async def _nothing(*_):
    pass


def places(rows):
    return list(zip(rows["shard"].to_pylist(), rows["seq"].to_pylist(), strict=True))


class World:
    """One installation: a log with its writers, a state database, a store."""

    def __init__(self, settings, store, database):
        self.settings, self.store = settings, StoreProxy(store)
        self.batches = Batches(database)
        self.reading = None
        self.writers = []
        self.appended = 0

    async def open_log(self, writers):
        """A SQLite log has a shard for each writer; one in memory has one shard and no other reader."""
        if self.settings.log == "memory":
            self.writers = [await open_log(self.settings)]
            self.reading = self.writers[0]
        else:
            self.writers = [await open_log(self.settings) for _ in range(writers)]
            self.reading = await open_log(self.settings, shard="none")

    async def new_writer(self):
        self.writers.append(await open_log(self.settings))
        return self.writers[-1]

    async def append(self, *sizes, writer=0, **fields):
        """Records of so many events."""
        for size in sizes:
            events = [event(**fields) for _ in range(size)]
            await self.append_raw(record(events), writer=writer)
            self.appended += size

    async def append_raw(self, data, writer=0):
        await self.writers[writer % len(self.writers)].append(Entry("key", data))

    def worker(self, **changes):
        return Worker(self.reading, self.store, self.batches, self.settings.model_copy(update=changes))

    async def counts(self):
        """Rows, and distinct events, in the store."""
        return (await self.store.query("SELECT count(), uniqExact(event_id) FROM events"))[0]

    async def backlog(self):
        return (await self.reading.backlog(CONSUMER)).records

    async def close(self):
        for log in {*self.writers, self.reading} - {None}:
            await log.close()


def event(**fields):
    return RawEvent(**{"event_id": uuid7(), "event_type": "click", "occurred_at": NOW, **fields})


def record(events):
    visit = Visit(user_agent=CHROME, country_code="DE")
    return encode(Record(1, NOW, "acme", "api", events, [visit, Visit()]))


def broken_record():
    """It decodes, but its event names a visit that is not there."""
    return record([event(visit=9)])


async def until(condition: Callable[[], Awaitable[object]], seconds=20):
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def anyio_backend():
    """One loop for the module, so that the engine starts once."""
    return "asyncio"


@pytest.fixture(scope="module")
async def engine(tmp_path_factory):
    """One store for all tests here: the engine allows one directory in a process."""
    store = await open_store(Settings(data=tmp_path_factory.mktemp("store")))
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture(params=BACKENDS)
async def world(request, tmp_path: Path, engine, monkeypatch):
    monkeypatch.setattr(loop, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(loop, "_LONGEST_PAUSE", 0.01)
    await asyncio.to_thread(engine._handles.commands.command, "TRUNCATE TABLE events")
    database = open_state(tmp_path / "state.db")
    world = World(Settings(data=tmp_path, log=request.param, batch_age=0.01), engine, database)
    await world.open_log(3)
    yield world
    await world.close()
    await database.close()


# Everything, once, in its place


async def test_every_event_of_every_shard_is_stored_once_under_its_position(world):
    for number in range(30):
        await world.append(1 + number % 7, writer=number)
    assert await world.worker().drain() == world.appended
    assert tuple(await world.counts()) == (world.appended, world.appended)
    stored = await world.store.query("SELECT shard, seq FROM events ORDER BY shard, seq")
    expected = []
    for shard in await world.reading.shards():
        for offset, _, data in await world.reading.read(shard, -1, 1000, 1 << 30):
            expected += [(shard, offset * 4096 + index) for index in range(len(decode(data).events))]
    assert [tuple(row) for row in stored] == sorted(expected)
    assert await world.backlog() == 0


async def test_rows_are_enriched_and_have_sessions(world):
    await world.append(
        2, visitor_id=7, page_url="https://acme.example/a?utm_source=mail", properties='{"n":1}'
    )
    await world.worker().drain()
    rows = await world.store.query(
        "SELECT browser, country_code, page_path, utm_source, toString(properties.n),"
        " uniq(session_id), min(session_id) > 0 FROM events GROUP BY ALL"
    )
    assert [tuple(row) for row in rows] == [("Chrome", "DE", "/a", "mail", "1", 1, True)]


async def test_draining_an_empty_log_stores_nothing(world):
    assert await world.worker().drain() == 0
    assert tuple(await world.counts()) == (0, 0)


async def test_records_without_events_are_passed_and_released(world):
    await world.append(0, 0)
    assert await world.worker().drain() == 0
    assert await world.backlog() == 0
    assert await world.batches.open_plans() == []


# Batches


async def test_batches_are_cut_by_rows(world):
    await world.append(*[30] * 10)
    await world.worker(batch_rows=100).drain()
    assert [len(rows) for rows in world.store.inserted] == [90, 90, 90, 30]


async def test_batches_are_cut_by_bytes(world):
    await world.append(*[10] * 10, properties=f'{{"text":"{"x" * 2000}"}}')  # 20 kB a record
    await world.worker(batch_bytes=65536).drain()
    assert [len(rows) for rows in world.store.inserted] == [30, 30, 30, 10]


async def test_a_full_batch_goes_at_once_and_the_rest_at_its_age(world):
    await world.append(*[25] * 5)
    stop = asyncio.Event()
    running = asyncio.create_task(world.worker(batch_rows=100, batch_age=60).run(stop))
    await until(lambda: first_count(world, 100))
    stop.set()
    await running
    assert (await world.counts())[0] == 100
    stop = asyncio.Event()
    running = asyncio.create_task(world.worker(batch_rows=100, batch_age=0.01).run(stop))
    await until(lambda: first_count(world, 125))
    stop.set()
    await running


async def first_count(world, wanted):
    return (await world.counts())[0] >= wanted


async def test_the_next_batch_is_prepared_during_an_insert_but_inserts_never_overlap(world):
    gate = asyncio.Event()
    prepared = loop.metrics.ENRICH_SECONDS

    def batches():
        return next(s.value for m in prepared.collect() for s in m.samples if s.name.endswith("_count"))

    async def wait(*_):
        await gate.wait()

    world.store.before = wait
    await world.append(*[10] * 6)
    start = batches()
    draining = asyncio.create_task(world.worker(batch_rows=20).drain())
    await until(lambda: asyncio.sleep(0, batches() - start >= 2))
    assert len(world.store.inserted) == 0
    gate.set()
    assert await draining == 60
    assert world.store.most_running == 1
    assert [len(rows) for rows in world.store.inserted] == [20, 20, 20]


# Records that are none


async def test_damaged_records_do_not_stop_their_neighbours(world):
    undecodable = RECORDS_PASSED.labels("undecodable")._value.get()
    await world.append(2)
    await world.append_raw(b"\xc1 nothing")
    await world.append(3)
    assert await world.worker().drain() == 5
    assert tuple(await world.counts()) == (5, 5)
    assert RECORDS_PASSED.labels("undecodable")._value.get() == undecodable + 1
    assert await world.worker().drain() == 0, "its position is passed for good"
    assert (await world.batches.totals())["records_passed"] == 1


async def test_a_record_that_cannot_become_rows_does_not_stop_its_neighbours(world):
    unprocessable = RECORDS_PASSED.labels("unprocessable")._value.get()
    await world.append(2)
    await world.append_raw(broken_record())
    await world.append_raw(record([event(event_id=b"short")]))
    await world.append(3)
    assert await world.worker().drain() == 5
    assert tuple(await world.counts()) == (5, 5)
    assert RECORDS_PASSED.labels("unprocessable")._value.get() == unprocessable + 2


async def test_a_worker_that_can_process_nothing_fails_instead_of_emptying_the_log(world):
    await world.append_raw(broken_record())
    await world.append_raw(broken_record())
    with pytest.raises(IndexError):
        await world.worker().drain()
    assert await world.batches.positions() == {}
    assert await world.backlog() == 2


# Plan, insert, close, commit: in this order


async def test_a_batch_is_planned_before_its_insert_and_closed_after_it(world):
    seen = []

    async def look(rows, query_id):
        (plan,) = await world.batches.open_plans()
        times = [int(at.timestamp() * 1000) for at in rows["occurred_at"].to_pylist()]
        assert (plan.id, plan.rows) == (query_id, rows.num_rows)
        assert (plan.min_occurred, plan.max_occurred) == (min(times), max(times))
        ranges = {part.shard: part for part in plan.ranges}
        for shard, seq in places(rows):
            assert ranges[shard].first_seq <= seq <= ranges[shard].last_seq
        seen.append((await world.batches.positions(), await world.backlog()))

    world.store.before = world.store.after = look
    await world.append(10, occurred_at=NOW - 5 * MINUTE)
    await world.append(10)
    await world.append(10)
    await world.worker(batch_rows=20).drain()
    shard = world.writers[0].shard
    assert seen == [({}, 3), ({}, 3), ({shard: 1}, 1), ({shard: 1}, 1)]
    assert await world.batches.open_plans() == []
    assert await world.batches.positions() == {shard: 2}
    assert (await world.batches.totals())["stored"] == 30


# When the store fails


async def test_a_store_that_fails_for_a_while_loses_nothing_and_keeps_the_order(world):
    failures = itertools.count()
    ids = []

    async def fail(_, query_id):
        ids.append(query_id)
        assert await world.backlog() > 0
        if next(failures) % 4:
            raise StoreDown("not now")

    world.store.before = fail
    world.store.after = _nothing
    await world.append(*[10] * 9)
    assert await world.worker(batch_rows=30).drain() == 90
    assert tuple(await world.counts()) == (90, 90)
    flat = [place for rows in world.store.inserted for place in rows]
    assert flat == sorted(flat)
    assert len(set(ids)) == 3, "it is the same plan that is tried again"


async def test_an_insert_of_unknown_outcome_loses_nothing(world):
    failing = iter([True, True, False, True, False])

    async def fail(*_):
        if next(failing, False):
            raise StoreDown("the rows are there, but who knows")

    world.store.after = fail
    await world.append(*[10] * 9)
    await world.worker(batch_rows=30).drain()
    rows, events = await world.counts()
    assert events == 90
    assert rows >= 90  # M2 reads back before it tries again: then equal
    assert await world.batches.open_plans() == []


async def test_while_the_store_is_down_no_position_moves_and_stopping_needs_no_store(world):
    down = asyncio.Event()

    async def fail(*_):
        down.set()
        raise StoreDown("gone")

    world.store.before = fail
    await world.append(*[10] * 5)
    stop = asyncio.Event()
    running = asyncio.create_task(world.worker(batch_rows=20).run(stop))
    await down.wait()
    stop.set()
    await asyncio.wait_for(running, 10)
    assert await world.batches.positions() == {}
    assert await world.backlog() == 5
    (plan,) = await world.batches.open_plans()

    world.store.before = _nothing
    assert await world.worker(batch_rows=30).drain() == 50
    assert tuple(await world.counts()) == (50, 50)
    assert len(world.store.inserted[0]) == plan.rows == 20, "the open plan first, as it was planned"


async def test_a_crash_between_insert_and_close_is_finished_by_the_next_start(world):
    async def crash(*_):
        raise RuntimeError("killed here")

    world.store.after = crash
    await world.append(*[10] * 5)
    with pytest.raises(RuntimeError):
        await world.worker(batch_rows=20).drain()
    assert len(await world.batches.open_plans()) == 1
    world.store.after = _nothing
    await world.worker(batch_rows=20).drain()
    assert (await world.counts())[1] == 50
    assert await world.batches.open_plans() == []
    assert await world.backlog() == 0


# Stopping and going on


async def test_stopping_during_an_insert_lets_it_close(world):
    inside, gate = asyncio.Event(), asyncio.Event()

    async def wait(*_):
        inside.set()
        await gate.wait()

    world.store.before = wait
    await world.append(*[10] * 5)
    stop = asyncio.Event()
    running = asyncio.create_task(world.worker(batch_rows=20).run(stop))
    await inside.wait()
    stop.set()
    await asyncio.sleep(0)
    assert not running.done()
    gate.set()
    await running
    assert [len(rows) for rows in world.store.inserted] == [20]
    assert await world.batches.open_plans() == []
    assert await world.worker().drain() == 30
    assert tuple(await world.counts()) == (50, 50)


async def test_after_a_clean_stop_nothing_is_repeated(world):
    for _ in range(3):
        await world.append(5, 6, 7, writer=0)
        await world.append(8, writer=1)
        assert await world.worker().drain() == 26
    assert tuple(await world.counts()) == (78, 78)


async def test_one_worker_can_be_stopped_and_run_again(world):
    worker = world.worker()
    await world.append(5)
    assert await worker.drain() == 5
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await world.append(6)
    await until(lambda: first_count(world, 11))
    stop.set()
    await running
    await world.append(7)
    assert await worker.drain() == 7
    assert tuple(await world.counts()) == (18, 18)


async def test_a_running_worker_sees_what_arrives_also_in_new_shards(world):
    worker = world.worker()
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await world.append(5)
    await until(lambda: first_count(world, 5))
    if world.settings.log != "memory":
        await world.new_writer()
    await world.append(6, writer=-1)
    acknowledged = time.time()
    await until(lambda: first_count(world, 11))
    await until(lambda: asyncio.sleep(0, worker.complete_through >= acknowledged))
    stop.set()
    await running
    assert tuple(await world.counts()) == (11, 11)


async def test_a_restart_does_not_split_a_visit(world):
    await world.append(2, visitor_id=7, occurred_at=NOW - 20 * MINUTE)
    await world.worker().drain()
    await world.append(1, visitor_id=7, occurred_at=NOW)
    await world.append(1, visitor_id=8, occurred_at=NOW)
    await world.worker().drain()
    rows = await world.store.query(
        "SELECT visitor_id, count(), uniq(session_id) FROM events GROUP BY visitor_id ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [(7, 3, 1), (8, 1, 1)]
