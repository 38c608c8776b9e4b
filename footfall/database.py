"""The small exact database under `tenants` and `state`: SQLAlchemy Core on one SQLite file.

Why these pragmas:

- `journal_mode=TRUNCATE`, not WAL: several processes write these files, and SQLite before
  3.51.3 can corrupt a WAL that two processes reset at once. They are small and rarely written.
- `synchronous=FULL`: a transaction that returned is on the disk (`fullfsync` for macOS).
- `secure_delete=ON`: what is deleted is overwritten; a deleted salt must be gone. The
  rollback journal, which holds the old pages, is emptied with each commit.
- `cache_spill=OFF`: readers wait for a large transaction only while it commits (measured with
  60,000 links in one: 0.07 s instead of 0.77).
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection, Engine, MetaData, event, exc

from footfall.errors import Damaged, Misconfigured, Retryable
from footfall.model.folding import fold
from footfall.runtime.damage import DATABASES

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PRAGMAS = (
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_mode=TRUNCATE",
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA cache_spill=OFF",
    "PRAGMA foreign_keys=ON",
)
# Nothing is wrong with the statement: another process holds the lock, or the disk has a problem.
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_READERS = 4  # at once

_schema = sa.Table(
    "schema_version",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


class Database:
    """One metadata database. Safe to use from many tasks, threads and processes.

    It has threads of its own: who opened another one for the same file never waits for one of these.
    """

    def __init__(self, engine: Engine, name: str = "database") -> None:
        # One transaction writes at a time in any case.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix=f"footfall-{name}-writes")
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix=f"footfall-{name}-reads")
        self._writer = engine
        self._reader = engine.execution_options(footfall_begin="BEGIN")

    @classmethod
    def open(cls, path: Path, metadata: MetaData, version: int) -> Self:
        """Open or create the file, readable by its owner only, with the tables of `metadata`.

        `version` is the schema's number. Raises Misconfigured when the file has another one
        (it was made by another version of Footfall), is no database, or cannot be opened.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise Misconfigured(f"{path} cannot be opened: {error.strerror}") from error
        # Parameters hold hashes of keys and salts: never in an error's text.
        engine = sa.create_engine(f"sqlite:///{path.absolute()}", hide_parameters=True)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        database = cls(engine, path.stem)
        try:
            found = database.transact(lambda connection: _set_up(connection, metadata, version))
        except exc.DatabaseError as error:
            engine.dispose()
            raise Misconfigured(f"{path} cannot be used: {error.orig}") from error
        except Damaged as error:
            engine.dispose()
            raise Misconfigured(str(error)) from error
        if found != version:
            engine.dispose()
            raise Misconfigured(
                f"{path} has schema {found}, this version of Footfall works with schema {version}"
            )
        return database

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """Call `fn` in one transaction, in a thread; durable when this returns.

        The transaction may write, so it waits for other writers (5 s at most) before `fn`
        starts. An exception of `fn` undoes everything. Cancelling the wait does not cancel
        the transaction. Raises Retryable when the database is busy or its disk fails or is full,
        and Damaged (which is one) where its pages are.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writing, self.transact, fn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Call `fn`, which only reads, in one transaction, in a thread: one consistent view.

        No transaction of any process is committed while it runs, so `fn` is brief: what may be long
        is read in several.
        """
        return await asyncio.get_running_loop().run_in_executor(self._reading, _transact, self._reader, fn)

    def transact(self, fn: Callable[[Connection], T]) -> T:
        """As `run`, in the calling thread."""
        return _transact(self._writer, fn)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.to_thread(self.dispose)

    def dispose(self) -> None:
        """As `close`, in the calling thread."""
        for threads in (self._writing, self._reading):
            threads.shutdown()
        self._writer.dispose()


def _transact(engine: Engine, fn: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return fn(connection)
    except exc.DatabaseError as error:
        codes = _codes(error)
        if codes & _PASSING:
            raise Retryable("the metadata database is busy or its disk has a problem") from error
        if codes & _DAMAGE:
            file = engine.url.database
            DATABASES.report(Path(str(file)))
            log.error("a database is damaged", file=file, problem=str(error.orig))  # noqa: TRY400 -- one line
            raise Damaged(
                f"{file} cannot be used: {error.orig}; restore the data directory from a backup"
            ) from error
        raise


def _codes(error: BaseException | None) -> set[int]:
    """SQLite's codes of the error and of what it came of.

    On a full disk SQLite undoes the transaction by itself: what is seen then may be that a savepoint is gone.
    """
    codes: set[int] = set()
    while error is not None:
        codes.add(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        error = error.__context__
    return codes


def is_whole(path: Path) -> bool:
    """Whether every page of the file is what it should be. False also where it cannot be read now."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False


def _prepare(connection: Any, _record: object) -> None:
    # The driver's own way of starting transactions would begin them late and without a
    # lock: two readers that both go on to write would then fail at once. See _begin.
    connection.isolation_level = None
    # `lower` of SQLite knows the case of ASCII only.
    connection.create_function("fold", 1, _folded, deterministic=True)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _folded(text: str | None) -> str | None:
    return None if text is None else fold(text)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("footfall_begin", "BEGIN IMMEDIATE"))


def _set_up(connection: Connection, metadata: MetaData, version: int) -> int:
    """Create what is missing, and say which schema version the file has."""
    _schema.create(connection, checkfirst=True)
    found = connection.scalar(sa.select(_schema.c.version))
    if found is None:
        connection.execute(_schema.insert().values(id=1, version=version))
        found = version
    if found == version:
        metadata.create_all(connection)  # what is missing: a table may be younger than the file
    return found
