"""The store as a library in this process: chDB, through clickhouse-connect.

One process per data directory, and one directory per process.
"""

import asyncio
import fcntl
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TypeVar

import pyarrow as pa
import structlog

from footfall.errors import FootfallError, Misconfigured, Retryable, StoreDown
from footfall.model.times import Seconds
from footfall.runtime import open_files
from footfall.runtime.background import Loop
from footfall.runtime.damage import PARTS
from footfall.runtime.private import make_private
from footfall.settings import Settings
from footfall.store import migrate
from footfall.store.chdb.handles import Handles, open_handles
from footfall.store.chdb.kept_rows import KeptRows
from footfall.store.chdb.parts import ActivePart
from footfall.store.chdb.readers import Readers
from footfall.store.port import Lane

log = structlog.get_logger(__name__)

_LONGEST_LOOK = 600.0  # seconds, before the sources of what it looks at are gone
_DELETES = re.compile(r"\s*ALTER\s+TABLE\s+events\b", re.IGNORECASE)
_LOOK_EVERY = 10.0  # seconds between looks at what merges wrote; their sources are kept for much longer

T = TypeVar("T")


class ChdbStore:
    """`Store` over chDB, see the port. Made by `open_store`; used from one event loop."""

    def __init__(self, handles: Handles, lock: IO[str], query_timeout: Seconds, kept: KeptRows) -> None:
        self._handles = handles
        self._kept = kept
        self._lock = lock
        self._writing = asyncio.Lock()
        self._building = asyncio.Lock()  # taken with or without the one above, never before it
        self._unsure = False  # whether there may be a broken part of an insert
        self._closed = False
        self._looking = Loop("merges", _LOOK_EVERY, self.look, slow=_LONGEST_LOOK)
        # Its own threads: a slow question must not keep the log or the state waiting for one.
        self._threads = ThreadPoolExecutor(len(handles.readers) + 4, thread_name_prefix="footfall-store")
        self._readers = Readers(handles.readers, handles.commands, self._threads, query_timeout)

    async def insert(self, rows: pa.Table, query_id: str) -> None:
        """One block, so one part a month: each is stored whole or not at all."""
        await self._write(self._handles.writer.insert, rows, query_id)

    async def settle(self) -> None:
        """Takes out the parts that an insert has left broken."""
        async with self._writing:
            self._check_open()
            await self._settle()

    async def build(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Ends with a look at the parts that the statement made."""
        async with self._building:
            self._check_open()
            if _DELETES.match(sql):
                await self._deletes((parameters or {}).get("partition"))
            broken = await self._build(sql, parameters)
        if broken:
            async with self._writing:
                await self._take_out(broken)
            raise StoreDown("a statement was not written whole")

    async def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - see the port
        lane: Lane = "callers",
    ) -> Sequence[tuple[Any, ...]]:
        """Takes one of the lane's readers; waiting for one counts as time of the question."""
        self._check_open()
        return await self._readers.ask(lambda reader: reader.rows(sql, parameters), timeout, lane)

    async def arrow(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - see the port
        lane: Lane = "callers",
    ) -> pa.Table:
        """As `query`. The reader is free again before anybody looks at the rows."""
        self._check_open()
        return await self._readers.ask(lambda reader: reader.arrow(sql, parameters), timeout, lane)

    async def migrate(self) -> Sequence[str]:
        """No insert runs meanwhile; questions do."""
        async with self._writing:
            self._check_open()
            return await _to_its_end(self._in_thread(migrate.migrate, self._handles.commands))

    def missing(self) -> Mapping[int, int]:
        """As it was found when the store was opened."""
        return self._kept.missing

    async def ping(self) -> None:
        """Asks a reader of the worker's."""
        await self.query("SELECT 1", lane="worker")

    async def close(self) -> None:
        """Waits for what runs. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._looking.stop()
        async with self._writing, self._building:  # a running insert ends first,
            await self._readers.all_idle()  # and every question
            await self._note()
            await _to_its_end(self._in_thread(self._handles.close))
        self._threads.shutdown()
        self._lock.close()

    def look_after_merges(self) -> None:
        """Begin to look at what merges write, until `close`."""
        self._looking.start()

    async def look(self) -> None:
        """Look at what merges wrote since the last time, and at what was damaged. Raises StoreDown."""
        parts, checker = self._handles.parts, self._handles.checker
        if broken := await self._with_checker(partial(parts.broken_merges, checker)):
            async with self._writing:
                await self._take_out(broken)
        await self._note_if_quiet()
        if PARTS:
            await self._with_checker(partial(PARTS.look_again, partial(parts.is_whole, checker)))

    async def _note_if_quiet(self) -> None:
        """A build may take long: what was noted before it is true after it, and inserts must not wait."""
        async with self._writing:
            if not self._building.locked():
                async with self._building:
                    await self._note()

    async def _note(self) -> None:
        """Note how many rows there are, while nobody inserts or builds."""
        if self._unsure:
            return
        try:
            await _to_its_end(self._in_thread(self._kept.note, self._handles.checker))
        except (FootfallError, OSError) as error:
            log.warning("how many rows the store has cannot be noted", problem=str(error))

    async def _deletes(self, month: str | None) -> None:
        try:
            await _to_its_end(self._in_thread(self._kept.deleting, month))
        except OSError as error:
            raise StoreDown(f"what is deleted cannot be noted: {error}") from error

    async def _with_checker(self, call: Callable[[], T]) -> T:
        looking = self._in_thread(call)
        try:
            await asyncio.wait({looking})
        except asyncio.CancelledError:
            await self._readers.end_of(self._handles.checker, looking)
            raise
        return looking.result()

    async def _write(self, call: Callable[..., None], *arguments: Any) -> None:
        """Run what makes parts, to its end. Raises StoreDown also when they were not whole, and are gone."""
        async with self._writing:
            self._check_open()
            await self._settle()
            self._unsure = True
            await _to_its_end(self._in_thread(call, *arguments))
            parts, writer = self._handles.parts, self._handles.writer
            broken = await _to_its_end(self._in_thread(parts.broken_inserts, writer))
            await self._take_out(broken)
            self._unsure = False
        if broken:
            raise StoreDown("an insert was not written whole")

    async def _build(self, sql: str, parameters: Mapping[str, Any] | None) -> Sequence[ActivePart]:
        builder = self._handles.builder
        running = self._in_thread(self._run_and_check, sql, parameters)
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            await _to_its_end(asyncio.ensure_future(self._readers.end_of(builder, running)))
            raise
        return running.result()

    def _run_and_check(self, sql: str, parameters: Mapping[str, Any] | None) -> Sequence[ActivePart]:
        try:
            self._handles.builder.command(sql, parameters)
            return self._handles.parts.broken_inserts(self._handles.builder)
        except Retryable:
            raise
        except FootfallError as error:
            raise StoreDown(f"a statement failed: {error}") from error

    async def _settle(self) -> None:
        if self._unsure:
            parts, writer = self._handles.parts, self._handles.writer
            await self._take_out(await _to_its_end(self._in_thread(parts.broken, writer)))
            self._unsure = False

    async def _take_out(self, broken: Sequence[ActivePart]) -> None:
        """For a moment there is no table, so nobody may ask it anything."""
        if not broken:
            return
        self._unsure = True
        async with self._readers.nobody_asks(), self._building:
            await _to_its_end(self._in_thread(self._handles.parts.take_out, self._handles.writer, broken))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreDown("the store is closed")

    def _in_thread(self, call: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


async def open_store(settings: Settings) -> ChdbStore:
    """Open (or make) the store in DATA/store.

    Raises Misconfigured when another process has it, or the engine cannot open it.
    """
    store = await asyncio.to_thread(_open, settings)
    store.look_after_merges()
    return store


def _open(settings: Settings) -> ChdbStore:
    path = Path(os.path.realpath(settings.data)) / "store"  # the engine compares paths as text
    if "?" in str(path):
        raise Misconfigured(f'data: a path with "?" is not possible: {path.parent}')
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(path)
        lock = _take_lock(path.parent / "store.lock")
    except OSError as error:
        raise Misconfigured(f"data: cannot write to {path.parent}: {error.strerror}") from error
    try:
        open_files.raise_limit()  # merging wide parts opens thousands
        _without_pandas()
        kept, handles = KeptRows(path), open_handles(settings, path)
        try:
            kept.compare(handles.checker)
        except FootfallError as error:  # it is asked again before anything is noted
            log.warning("whether rows are missing cannot be seen now", problem=str(error))
        return ChdbStore(handles, lock, settings.query_timeout, kept)
    except BaseException:
        lock.close()
        raise


def _without_pandas() -> None:
    """Pyarrow imports pandas with its first array: 0.7 s of every start. A very old one it leaves alone."""
    if "pandas" in sys.modules:
        return
    old = ModuleType("pandas")
    vars(old)["__version__"] = "0"
    sys.modules["pandas"] = old
    try:
        with warnings.catch_warnings(action="ignore"):
            pa.array([0])
    finally:
        del sys.modules["pandas"]


def _take_lock(path: Path) -> IO[str]:
    """The engine has a lock too, but refuses without a reason. The end of the process releases both."""
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        pid = lock.read().strip()
        lock.close()
        raise Misconfigured(
            f"the data directory {path.parent} is in use by another process{f' (pid {pid})' if pid else ''}"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


async def _to_its_end(running: "asyncio.Future[T]") -> T:
    """The result of a thread that cannot be stopped: who is cancelled still waits for its end."""
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()
        raise cancelled
    return running.result()
