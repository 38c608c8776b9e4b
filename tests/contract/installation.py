"""A log, a store and a state database, as a worker finds them; and what goes wrong with them."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager

import numpy as np
import pytest

from footfall.errors import RowRefused
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry
from footfall.model.ids import uuid7
from footfall.model.record import RawEvent, Record, SenderContext, encode
from footfall.settings import Settings
from footfall.state.batches import Batches
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.lease import Lease
from footfall.state.ledger import Ledger
from footfall.state.tables import open_state
from footfall.store import open_store
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.worker import prepare
from footfall.worker.loop import LEASE_SECONDS, Worker

WORKSPACES = ("acme", "other", DEFAULT_WORKSPACE)
NOW = int(time.time() * 1000)
MINUTE = 60_000
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


class StoreProxy:
    """The real store, watched, and failing or waiting where a test says so."""

    def __init__(self, store):
        self._store = store
        self.inserted = []  # rows of each insert that succeeded, as (shard, seq)
        self.running = self.most_running = 0
        self.before = self.after = nothing

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


async def nothing(*_):
    pass


class Watched:
    """The real thing, with what a test wants to happen `before` or `after` a call of a method."""

    def __init__(self, real, name, hooks):
        self._real, self._name, self._hooks = real, name, hooks

    def __getattr__(self, method):
        found = getattr(self._real, method)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*arguments, **named):
            await self._hooks.get(f"before {self._name}.{method}", nothing)(*arguments)
            result = await found(*arguments, **named)
            await self._hooks.get(f"after {self._name}.{method}", nothing)(*arguments)
            return result

        return call


def places(rows):
    return list(zip(rows["shard"].to_pylist(), rows["seq"].to_pylist(), strict=True))


class Crash(Exception):
    """It stands for the death of the process."""


async def crash(*_):
    raise Crash


class World:
    """One installation: a log with its writers, a state database, a store."""

    def __init__(self, settings, store, database):
        self.settings, self.store = settings, StoreProxy(store)
        self.database = database
        self.fence = None
        self.batches = Batches(database)
        self.dead_letters = DeadLetters(database)
        self.reading = None
        self.writers = []
        self.appended = 0
        self.hooks = {}  # see Watched: of "log", "batches" and "letters"
        self.limits = {}  # of the dead letters

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

    async def reopen_writers(self):
        """What they wrote lies in segments that are complete."""
        for writer in self.writers:
            await writer.close()
        self.writers = [await open_log(self.settings) for _ in self.writers]

    async def append(self, *sizes, writer=0, **fields):
        """Records of so many events."""
        for size in sizes:
            events = [event(**fields) for _ in range(size)]
            await self.append_raw(record(events), writer=writer)
            self.appended += size

    async def append_raw(self, data, writer=0):
        await self.writers[writer % len(self.writers)].append(Entry("key", data))

    async def worker(self, **changes):
        """A worker that takes over from any before it."""
        lease = Lease(self.database)
        if self.fence:
            await lease.release(self.fence)
        self.fence = fence = await lease.acquire(WORKER, "test", LEASE_SECONDS)
        settings = self.settings.model_copy(update=changes)
        batches = Watched(Batches(self.database, fence), "batches", self.hooks)
        letters = Watched(DeadLetters(self.database, fence, **self.limits), "letters", self.hooks)
        reading = Watched(self.reading, "log", self.hooks)
        return Worker(reading, self.store, batches, letters, lease, fence, settings)

    async def counts(self):
        """Rows, and distinct events, in the store."""
        return (await self.store.query("SELECT count(), uniqExact(event_id) FROM events"))[0]

    async def outcomes(self):
        """The ledger as {outcome: events}, of all workspaces; the books must be right."""
        found = Counter()
        for workspace in WORKSPACES:
            books = await Ledger(self.database).books(workspace, 0, 2**60)
            assert books.imbalances == []
            for line in books.lines:
                found[line.outcome] += line.events
        return dict(found)

    async def letters(self):
        """Every dead letter, by position."""
        pages = [await self.dead_letters.page(workspace) for workspace in WORKSPACES]
        return sorted((one for page in pages for one in page.letters), key=lambda one: (one.shard, one.seq))

    async def backlog(self):
        return (await self.reading.backlog(WORKER)).records

    async def close(self):
        for log in {*self.writers, self.reading} - {None}:
            await log.close()


def event(**fields):
    return RawEvent(**{"event_id": uuid7(), "event_type": "click", "occurred_at": NOW, **fields})


def record(events, workspace="acme", source="api", **fields):
    visit = SenderContext(user_agent=CHROME, country_code="DE", **fields)
    return encode(Record(1, NOW, workspace, source, events, [visit, SenderContext()]))


def broken_record():
    """It decodes, but its event names a visit that is not there."""
    return record([event(visit=9)])


POISON = "https://acme.example/poison"


def poison(**fields):
    """An event that `fault` makes no row of."""
    return event(page_url=POISON, **fields)


@contextmanager
def fault():
    """A program that cannot make rows of POISON, with the fix to call."""
    table = prepare.table

    def fail(columns):
        if POISON in columns["page_url"]:
            raise ValueError("a value of the event")
        return table(columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "table", fail)
        yield patch.undo


def refusing(world, *seqs):
    """A store that refuses these positions, and has stored what stands before the first of them."""

    async def insert(rows, query_id):
        bad = np.isin(np.asarray(rows["seq"]), seqs)
        if bad.any():
            await world.store._store.insert(rows.slice(0, int(bad.argmax())), query_id + "-part")
            raise RowRefused("one of the rows")

    return insert


async def settled(world, *, rows, **outcomes):
    """Nothing is open or waits, every row is there once, and the books say so."""
    assert tuple(await world.counts()) == (rows, rows)
    assert await world.outcomes() == outcomes
    assert await world.batches.open_plans() == []
    assert await world.backlog() == 0


async def drain(world, **changes):
    return await (await world.worker(**changes)).drain()


async def retry_all(world, reason="unprocessable"):
    await world.dead_letters.retry_all("acme", reason)


async def until(condition: Callable[[], Awaitable[object]], seconds=20):
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


async def stored(world, events):
    return (await world.counts())[0] >= events


async def waiting(world, records):
    return await world.backlog() == records


@asynccontextmanager
async def one_store(directory):
    """For all tests of a module: the engine allows one directory at a time in a process."""
    store = await open_store(Settings(data=directory))
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def new_world(backend, directory, store, **settings):
    """An installation with this kind of log, on an emptied store. `settings`: where the log is."""
    await asyncio.to_thread(store._handles.commands.command, "TRUNCATE TABLE events")
    database = open_state(directory / "state.db")
    world = World(Settings(data=directory, log=backend, batch_age=0.01, **settings), store, database)
    try:
        await world.open_log(3)
        yield world
    finally:
        await world.close()
        await database.close()
