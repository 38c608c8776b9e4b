"""The EventLog port over storage that is held, exhausted, unreadable, gone or full: not now is not nothing.

An adapter joins with a Breaker: its own ways to bring about what the promises are about.
"""

import os
import resource
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from footfall.errors import Retryable
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry, EventLog, StoredRecord
from footfall.eventlog.sqlite.files import PAGE
from footfall.settings import Settings, load
from footfall.state.batches import SeqRange
from footfall.worker.reader import BatchReader, read_again

pytestmark = pytest.mark.anyio

ALL = 1 << 40
COUNT = 230


class Breaker(Protocol):
    """What a test does to the storage of one adapter. A piece is the largest unit that can be lost alone."""

    pieces: int
    """Of the log that `filled` leaves."""

    def hold(self, piece: int) -> ExitStack:
        """Somebody else holds it, until the stack is closed."""
        ...

    def lose(self, piece: int) -> None:
        """It is gone for good."""
        ...

    def fill_disk(self, shard: int) -> Callable[[], None]:
        """No position of WORKER can be written, until what is returned is called."""
        ...


class SqliteBreaker:
    """A piece is a segment."""

    def __init__(self, settings: Settings) -> None:
        self.data = settings.data

    @property
    def segments(self) -> list[Path]:
        shards = (sorted(shard.glob("*.db")) for shard in self.data.glob("log/*"))
        return max(shards, key=len)

    @property
    def pieces(self) -> int:
        return len(self.segments)

    def hold(self, piece: int) -> ExitStack:
        stack = ExitStack()
        holder = stack.enter_context(closing(sqlite3.connect(self.segments[piece], isolation_level=None)))
        holder.execute("BEGIN EXCLUSIVE")
        return stack

    def lose(self, piece: int) -> None:
        self.segments[piece].unlink()

    def fill_disk(self, shard: int) -> Callable[[], None]:
        draft = self.data / "log" / "consumers" / WORKER / f"{shard:016x}.draft"
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.symlink_to("/dev/full")
        return draft.unlink


class PostgresBreaker:
    """A piece is a third of the blocks; only all of them can be held."""

    pieces = 3

    def __init__(self, settings: Settings) -> None:
        self._url = settings.log_database.get_secret_value()

    def hold(self, piece: int) -> ExitStack:
        stack = ExitStack()
        if piece == 0:
            holder = stack.enter_context(closing(psycopg.connect(self._url)))
            holder.execute("LOCK TABLE footfall.log IN ACCESS EXCLUSIVE MODE")
        return stack

    def lose(self, piece: int) -> None:
        third = piece % self.pieces
        self._do(
            "DELETE FROM footfall.log"
            " USING (SELECT last, ntile(3) OVER (ORDER BY last) AS third FROM footfall.log) AS known"
            " WHERE log.last = known.last AND third = %s",
            third + 1,
        )

    def fill_disk(self, shard: int) -> Callable[[], None]:
        """As the server says it; `shard` does not matter."""
        self._do("""
            CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$
        """)
        self._do("""
            CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON footfall.log_consumers
            FOR EACH ROW EXECUTE FUNCTION full_disk()
        """)
        return lambda: self._do("DROP TRIGGER full_disk ON footfall.log_consumers")

    def _do(self, statement: str, *values: object) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement.encode(), values or None)


BREAKERS: dict[str, Callable[[Settings], Breaker]] = {"sqlite": SqliteBreaker, "postgres": PostgresBreaker}

in_files = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
"""Of promises about files."""


@pytest.fixture(params=sorted(BREAKERS))
def settings(request, tmp_path, monkeypatch) -> Settings:
    small = {"log_segment": 1 << 16, "log_max": 8 << 20}
    if request.param == "postgres":
        monkeypatch.setattr("footfall.eventlog.postgres.log._STATEMENT", 0.3)
        small["log_database"] = request.getfixturevalue("postgres").database()
    return load(data=tmp_path / "data", log=request.param, **small)


@pytest.fixture
def breaker(settings) -> Breaker:
    return BREAKERS[settings.log](settings)


def body(number: int) -> bytes:
    return number.to_bytes(8, "big") * 125


async def append(settings: Settings, start: int = 0, count: int = COUNT) -> int:
    """Append, close, and return the shard."""
    writing = await open_log(settings)
    for number in range(start, start + count):
        await writing.append(Entry("key", body(number)))
    (shard,) = await writing.shards()
    await writing.close()
    return shard


@pytest.fixture
async def filled(settings) -> int:
    return await append(settings)


@pytest.fixture
async def log(settings, filled):
    """A log that reads what was written by another one."""
    log = await open_log(settings, shard="none")
    yield log
    await log.close()


async def read_all(log: EventLog, shard: int) -> list[StoredRecord]:
    stored: list[StoredRecord] = []
    while piece := await log.read(shard, stored[-1].offset if stored else -1, ALL, ALL):
        stored += piece
    return stored


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def no_more_files() -> Iterator[None]:
    """Every descriptor that this process may have is in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 8, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        try:
            while True:
                stack.callback(os.close, os.open("/dev/null", os.O_RDONLY))
        except OSError:
            yield


CALLS: dict[str, Callable[[EventLog, int], Awaitable[object]]] = {
    "read": lambda log, shard: log.read(shard, -1, ALL, ALL),
    "backlog": lambda log, _: log.backlog(WORKER),
    "gone": lambda log, _: log.gone({}),
    "retain": lambda log, _: log.retain(float("inf")),
}
"""The methods that look at records."""

MORE_CALLS = CALLS | {
    "shards": lambda log, _: log.shards(),
    "commit": lambda log, shard: log.commit(WORKER, shard, 5),
    "drop_consumer": lambda log, _: log.drop_consumer(WORKER),
}


@pytest.mark.parametrize("name", sorted(CALLS))
async def test_what_is_held_is_not_now_and_then_as_before(log, filled, breaker, name):
    await log.commit(WORKER, filled, 5)
    with ExitStack() as holds:
        for piece in range(breaker.pieces):
            holds.enter_context(breaker.hold(piece))
        with pytest.raises(Retryable):
            await CALLS[name](log, filled)
        assert list(await log.shards()) == [filled]
    assert [stored.data for stored in await read_all(log, filled)] == [body(n) for n in range(COUNT)]


@in_files
async def test_a_piece_that_cannot_be_looked_at_is_not_one_that_is_gone(settings, log, filled):
    """A loop of links answers a look with an error that `Path.exists` takes for "no"."""
    for segment in (breaker := SqliteBreaker(settings)).segments[:2]:
        aside = segment.rename(segment.with_suffix(".aside"))
        segment.symlink_to(segment)
        with pytest.raises(Retryable):
            await read_all(log, filled)
        segment.unlink()
        aside.rename(segment)
    breaker.lose(0)
    assert len(await read_all(log, filled)) < COUNT, "while this one is gone"


@in_files
async def test_a_position_that_cannot_be_looked_at_is_not_set_back(settings, log, filled):
    await log.commit(WORKER, filled, 9)
    consumer = settings.data / "log" / "consumers" / WORKER
    aside = consumer.rename(consumer.with_suffix(".aside"))
    consumer.symlink_to(consumer)
    with pytest.raises(Retryable):
        await log.commit(WORKER, filled, 5)
    consumer.unlink()
    aside.rename(consumer)
    assert (await log.backlog(WORKER)).records == COUNT - 10


@in_files
async def test_what_is_before_something_held_is_delivered_first(log, filled, breaker):
    with breaker.hold(1):
        stored = await log.read(filled, -1, ALL, ALL)
        assert 0 < len(stored) < COUNT
        with pytest.raises(Retryable):
            await log.read(filled, stored[-1].offset, ALL, ALL)
    assert len(await log.read(filled, stored[-1].offset, ALL, ALL)) == COUNT - len(stored)


@in_files
@pytest.mark.parametrize("name", sorted(MORE_CALLS))
async def test_no_more_descriptors_is_not_now(log, filled, name):
    await log.commit(WORKER, filled, 4)
    with no_more_files(), pytest.raises(Retryable):
        await MORE_CALLS[name](log, filled)
    assert len(await read_all(log, filled)) == COUNT


async def test_a_full_disk_under_a_position_is_not_now(log, filled, breaker):
    relieve = breaker.fill_disk(filled)
    with pytest.raises(Retryable):
        await log.commit(WORKER, filled, COUNT - 1)
    relieve()
    assert (await log.backlog(WORKER)).records == COUNT
    await log.commit(WORKER, filled, COUNT - 1)
    assert (await log.backlog(WORKER)).records == 0


@pytest.mark.parametrize("piece", [0, -1])
async def test_what_vanished_is_passed_over_and_named(settings, filled, breaker, piece):
    breaker.lose(piece)
    log = await open_log(settings, shard="none")
    there = {stored.offset for stored in await read_all(log, filled)}
    missing = set(range(COUNT)) - there
    assert missing
    named = [offset for each in await log.gone({}) for offset in range(each.first, each.last + 1)]
    assert sorted(named) == sorted(missing)
    await log.close()


async def test_what_vanished_behind_a_position_is_named_whoever_remembers_it(settings, filled, breaker):
    """Older than what the log keeps a record of, of which a log of an older version has nothing."""
    for ring in settings.data.glob("log-ends/*"):
        ring.unlink()
    breaker.lose(0)
    log = await open_log(settings, shard="none")
    first = (await read_all(log, filled))[0].offset
    (gone,) = await log.gone({filled: 3})
    assert (gone.first, gone.last, gone.events) == (4, first - 1, first - 4)
    assert list(await log.gone({filled: first - 1})) == []
    await log.close()


@in_files
class TestUnreadable:
    """A sector that the disk cannot read, in a segment that SQLite cannot read for that."""

    @pytest.fixture(params=[0, -1])
    def segment(self, request, settings, filled, monkeypatch) -> Path:
        segment = SqliteBreaker(settings).segments[request.param]
        with segment.open("r+b") as file:
            file.write(bytes(16))  # SQLite cannot, either
        bad, pread = segment.stat().st_ino, os.pread

        def failing(descriptor: int, length: int, position: int) -> bytes:
            if os.fstat(descriptor).st_ino == bad and position // PAGE in self.pages:
                raise OSError(5, "Input/output error")
            return pread(descriptor, length, position)

        self.pages = {2}  # with records
        monkeypatch.setattr(os, "pread", failing)
        return segment

    async def test_it_costs_what_it_held_and_nothing_behind_it(self, log, filled, segment):
        stored = await read_all(log, filled)
        intact = [each for each in stored if each.data is not None]
        assert [each.offset for each in stored] == list(range(COUNT))
        assert all(each.data == body(each.offset) for each in intact)
        assert COUNT - 20 <= len(intact) < COUNT
        await log.backlog(WORKER)

    async def test_a_disk_that_reads_nothing_is_not_now_and_leaks_nothing(self, log, filled, segment):
        self.pages = set(range(1 << 10))
        first = int(segment.name[:16], 16) - 1
        before = descriptors()
        for _ in range(20):
            with pytest.raises(Retryable):
                await log.read(filled, first, ALL, ALL)
        assert descriptors() <= before
        self.pages = set()
        assert len(await read_all(log, filled)) == COUNT


class TestWorkersReader:
    """How the worker reads on, and again."""

    @pytest.fixture
    async def other(self, settings, filled) -> int:
        """Another shard, of three records."""
        writers = [await open_log(settings) for _ in range(2)]
        new = next(writer for writer in writers if writer.shard != filled)
        for number in range(3):
            await new.append(Entry("key", body(number)))
        for writer in writers:
            await writer.close()
        return new.shard

    @pytest.fixture
    async def log(self, settings, other):
        log = await open_log(settings, shard="none")
        yield log
        await log.close()

    @in_files
    async def test_a_held_shard_keeps_no_other_from_being_read_and_nothing_is_complete(
        self, log, settings, filled, other
    ):
        reader = BatchReader(log, {}, settings)
        with ExitStack() as holds:
            for segment in settings.data.glob(f"log/{filled:016x}/*.db"):
                holder = holds.enter_context(closing(sqlite3.connect(segment, isolation_level=None)))
                holder.execute("BEGIN EXCLUSIVE")
            await reader.read_on()
            assert reader.held
            batch = reader.cut()
            assert {placed.shard for placed in batch.records} == {other}
            reader.done(batch)
            await reader.read_on()
            assert reader.complete_through == 0
        found = len(batch.records)
        while found < COUNT + 3:
            found += await reader.read_on()
        assert not reader.held

    @in_files
    async def test_without_descriptors_nothing_is_complete(self, log, settings, filled, other):
        reader = BatchReader(log, {filled: COUNT - 1, other: 2}, settings)
        with no_more_files():
            assert await reader.read_on() == 0
            assert reader.held
            assert reader.complete_through == 0
        while reader.held:
            await reader.read_on()
        assert reader.complete_through > 0

    async def test_a_plan_is_read_to_its_end_or_not_at_all(self, log, filled, breaker):
        planned = SeqRange(filled, 0, COUNT - 1, 0, 0)
        with ExitStack() as holds:
            for piece in range(breaker.pieces):
                holds.enter_context(breaker.hold(piece))
            with pytest.raises(Retryable):
                await read_again(log, [planned])
        assert len((await read_again(log, [planned])).records) == COUNT
        with pytest.raises(Retryable, match="not in the log"):
            await read_again(log, [SeqRange(filled, 0, COUNT, 0, 0)])

    async def test_a_plan_of_what_is_known_to_be_gone_does_not_wait_for_ever(self, log, breaker, filled):
        breaker.lose(1)
        batch = await read_again(log, [SeqRange(filled, 0, COUNT - 1, 0, 0)])
        assert 0 < len(batch.records) < COUNT
        assert len(batch.records) == len(await read_all(log, filled))

    async def test_a_hole_where_records_were_is_noticed(self, log, settings, breaker, filled):
        reader = BatchReader(log, {filled: 3}, settings)
        breaker.lose(0)
        await reader.read_on()
        assert reader.hole
