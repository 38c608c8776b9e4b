"""Real parts in one process: doors with a shard each, store, state; and a worker that lives and dies."""

import asyncio
import errno
import sqlite3
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from footfall.errors import Conflict, Retryable
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry, EventLog
from footfall.eventlog.sqlite import reader
from footfall.eventlog.sqlite.files import Segment, is_sealed, list_segments, list_shards, shard_directory
from footfall.imports.clicks.importer import ClickImporter
from footfall.imports.intake import Intake
from footfall.query.engine import Engine
from footfall.retention.policy import Retention
from footfall.rollups.maintenance import RollupMaintainer
from footfall.settings import Settings
from footfall.state import closings
from footfall.state.batches import Batches
from footfall.state.days_seen import DaysSeen
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.imported_files import ImportedFiles
from footfall.state.lease import Lease
from footfall.state.ledger import Ledger
from footfall.state.rollups.row_counts import RollupState
from footfall.state.tables import open_state
from footfall.tenants.model import Workspace
from footfall.worker.loop import LEASE_SECONDS, Worker
from tests.faults.chance.clock import Clock
from tests.faults.chance.life import Crash, Life, Through
from tests.faults.chance.truth import Truth

SITES = {"": "UTC", "berlin": "Europe/Berlin", "kolkata": "Asia/Kolkata"}
SECRET = b"s" * 32
_STUCK = 120.0  # seconds without a step forward


class Wrong(AssertionError):
    """Something that must hold does not."""


class World:
    """An installation. `settings` may change between two lives of the worker."""

    def __init__(self, data: Path, store: Any, clock: Clock, settings: Settings, truth: Truth) -> None:
        self.data, self.store, self.clock, self.settings, self.truth = data, store, clock, settings, truth
        self.state = open_state(data / "state.db")
        self.doors: list[EventLog] = []
        self.reading: EventLog
        self.life = Life()
        self.worker: Worker | None = None
        self._fence: Any = None
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.broken = False  # the program cannot make rows of some events now
        self.holds: list[Callable[[], None]] = []
        self.lines: list[str] = []
        self.unreadable: set[Path] = set()
        self.trusted = True  # the clock was never wrong
        self.policies = [(settings.raw_retention, clock.true())]
        self.importing: EventLog | None = None
        self.days = DaysSeen(self.state, clock.shown, clock.true)

    # The worker

    async def start(self) -> None:
        """A worker begins to live."""
        if self.worker:
            return
        lease = Lease(self.state)
        if self._fence:
            await lease.release(self._fence)
        self._fence = await lease.acquire(WORKER, "test", LEASE_SECONDS)
        self.life = life = Life()
        self.days = DaysSeen(self.state, self.clock.shown, self.clock.true)
        await closings.mark(self.state, self._fence, self.clock.shown())
        state = Through(self.state, "state", life)
        self.worker = Worker(
            Through(self.reading, "log", life),  # type: ignore[arg-type] - a stand-in
            Through(self.store, "store", life),  # type: ignore[arg-type] - a stand-in
            Batches(state, self._fence),  # type: ignore[arg-type] - a stand-in
            DeadLetters(state, self._fence),  # type: ignore[arg-type] - a stand-in
            Lease(state),  # type: ignore[arg-type] - a stand-in
            self._fence,
            self.settings,
        )
        self.worker._lease._safe_until = lease._safe_until
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.worker.run(self._stop))

    async def look_at_the_clock(self) -> None:
        """What the worker does every minute."""
        await closings.mark(self.state, None, self.clock.shown(), await self.days.now())

    async def stop(self) -> None:
        """A clean stop."""
        if self._task:
            self._stop.set()
            async with asyncio.timeout(60):
                await self._ended()

    async def kill(self, calls: int) -> None:
        """The worker dies at one of its next calls, or at rest."""
        if not self._task:
            return
        self.life.left = calls
        await asyncio.wait({self._task}, timeout=0.3)
        self.life.dead = True
        checkpoint = self.data / "recent-ids"
        kept = checkpoint.read_bytes() if checkpoint.exists() else None
        self._stop.set()
        with suppress(Crash):
            async with asyncio.timeout(60):
                await self._ended()
        if kept is None:  # what it wrote down after its death it never wrote
            checkpoint.unlink(missing_ok=True)
        else:
            checkpoint.write_bytes(kept)

    async def _ended(self) -> None:
        task, self._task, self.worker = self._task, None, None
        assert task
        try:
            await task
        except Exception as error:
            raise Wrong(f"the worker ended with {type(error).__name__}: {error}") from error

    def look(self) -> None:
        """Raises Wrong when the worker has ended by itself."""
        if self._task and self._task.done() and not self.life.dead:
            error = self._task.exception()
            raise Wrong(f"the worker ended with {type(error).__name__}: {error}")

    async def drained(self) -> None:
        """Returns when all that is in the log is closed. On a busy machine that takes as long as it takes."""
        await self.start()
        done: tuple[object, ...] = ()
        since = time.monotonic()
        while not await self.is_drained():
            self.look()
            now = (await Batches(self.state).positions(), await Batches(self.state).open_plans())
            if now != done:
                done, since = now, time.monotonic()
            elif time.monotonic() > since + _STUCK:
                assert self._task
                frames = [f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in self._task.get_stack()]
                raise Wrong(f"the log was not drained: stuck for {_STUCK:g} s at {frames}, with {done}")
            await asyncio.sleep(0.01)

    async def is_drained(self) -> bool:
        """Whether nothing in the log waits for the worker: of its own books, read record by record."""
        positions = await Batches(self.state).positions()
        if await Batches(self.state).open_plans():
            return False
        with suppress(Retryable):
            for shard in await self.reading.shards():
                if await self.reading.read(shard, positions.get(shard, -1), 1, 1):
                    return False
            return (await self.reading.backlog(WORKER)).records == 0
        return False

    # The log

    async def open_doors(self, count: int) -> None:
        self.doors = [await open_log(self.settings) for _ in range(count)]
        self.reading = await open_log(self.settings, shard="none")

    async def append(self, door: int, data: bytes) -> None:
        await self.doors[door % len(self.doors)].append(Entry("key", data))

    async def reopen(self, door: int) -> None:
        """The door ends and another one starts; its segment is sealed."""
        door %= len(self.doors)
        await self.doors[door].close()
        try:
            self.doors[door] = await open_log(self.settings)
        except Retryable:  # a segment is held: it starts when that is over
            self.release()
            self.doors[door] = await open_log(self.settings)

    def segments(self) -> list[Segment]:
        root = self.data / "log"
        return [each for shard in list_shards(root) for each in list_segments(shard_directory(root, shard))]

    def hold(self, rng: Random) -> str:
        """A sealed segment is locked by somebody else, or cannot be read, until `release`."""
        sealed = [each for each in self.segments() if is_sealed(each)]
        if not sealed:
            return "nothing to hold"
        segment = rng.choice(sealed)
        if rng.random() < 0.3:
            self.unreadable.add(segment.path)
            self.holds.append(lambda: self.unreadable.discard(segment.path))
            return "unreadable"
        connection = sqlite3.connect(segment.path, isolation_level=None, timeout=0.5)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            connection.close()
            return "could not be held"
        self.holds.append(connection.close)
        return "held"

    def release(self) -> None:
        for hold in self.holds:
            hold()
        self.holds = []

    # Jobs

    def rollups(self, life: Life) -> RollupMaintainer:
        async def zones(sites: Any) -> dict[str, str]:
            return {site: SITES[site] for site in sites if SITES.get(site, "UTC") != "UTC"}

        state, store = Through(self.state, "state", life), Through(self.store, "store", life)
        return RollupMaintainer(store, state, None, zones, self.settings, self.clock.shown)  # type: ignore[arg-type] - stand-ins

    def retention(self, life: Life) -> Retention:
        state, store = Through(self.state, "state", life), Through(self.store, "store", life)
        rollups = self.rollups(life)

        return Retention(store, state, self.settings, rollups, None, self.days.now, 0)  # type: ignore[arg-type] - stand-ins

    def importer(self) -> ClickImporter:
        """A console that imports; each is a new process."""

        async def opened() -> EventLog:
            self.importing = await open_log(self.settings)
            return self.importing

        class Links:
            async def ensure_links(self, workspace_id: str, wanted: Any) -> Any:
                return {(domain, code): Linked(f"link_{code}") for domain, code, _ in wanted}, 0

        intake = Intake(opened, self.store, ImportedFiles(self.state), consumer=WORKER)
        return ClickImporter(intake, Links())

    async def close_importer(self) -> None:
        if self.importing:
            await self.importing.close()
            self.importing = None

    def workspace(self, name: str) -> Workspace:
        return Workspace(name, name, SECRET, 0)

    def engine(self) -> Engine:
        return Engine(self.store, RollupState(self.state), small=0, remember=0)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.state)

    @property
    def letters(self) -> DeadLetters:
        return DeadLetters(self.state)

    async def close(self) -> None:
        self.release()
        with suppress(Wrong, Crash, Conflict, TimeoutError):
            await self.kill(0)
        await self.close_importer()
        for log in (*self.doors, self.reading):
            await log.close()
        await self.state.close()


class Linked:
    """All an importer wants of a link."""

    def __init__(self, name: str) -> None:
        self.id = name


def unreadable(world: World) -> Callable[..., sqlite3.Connection]:
    """In place of the reader's `open_reader`: it waits for a moment only, and meets bad sectors."""
    real = reader.open_reader

    def open_reader(segment: Segment) -> sqlite3.Connection:
        if segment.path in world.unreadable:
            raise OSError(errno.EIO, "Input/output error")
        connection = real(segment)
        connection.execute("PRAGMA busy_timeout = 20")
        return connection

    return open_reader


@asynccontextmanager
async def open_world(
    data: Path, store: Any, clock: Clock, settings: Settings, doors: int, truth: Truth
) -> AsyncGenerator[World]:
    """A world on the emptied store."""
    for name in ("events", "rollups", "visits"):
        await asyncio.to_thread(store._handles.commands.command, f"TRUNCATE TABLE IF EXISTS {name}")
    world = World(data, store, clock, settings, truth)
    await world.open_doors(doors)
    try:
        yield world
    finally:
        await world.close()


def new_id() -> bytes:
    return uuid.uuid4().bytes
