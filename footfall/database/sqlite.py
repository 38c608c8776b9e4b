"""A file of SQLite as a metadata database.

Why these pragmas:

- `journal_mode=TRUNCATE`, not WAL: several processes write these files, and SQLite before
  3.51.3 can corrupt a WAL that two processes reset at once. They are small and rarely written.
- `synchronous=FULL`: a transaction that returned is on the disk (`fullfsync` for macOS).
- `secure_delete=ON`: what is deleted is overwritten; a deleted salt must be gone. The
  rollback journal, which holds the old pages, is emptied with each commit.
- `cache_spill=OFF`: readers wait for a large transaction only while it commits (measured with
  60,000 links in one: 0.07 s instead of 0.77).

A transaction that may write holds the file's lock from its beginning on (`BEGIN IMMEDIATE`), so all of them
come one after the other; one that only reads sees the file as of one moment.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection, Engine, event, exc

from footfall.errors import Damaged, FootfallError, Misconfigured, Retryable
from footfall.model.folding import fold
from footfall.runtime.damage import DATABASES

log = structlog.get_logger(__name__)

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


class SqliteFile:
    """The file, readable by its owner only; it is made where it is missing."""

    def __init__(self, path: Path) -> None:
        """Raises Misconfigured when it cannot be opened."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise Misconfigured(f"{path} cannot be opened: {error.strerror}") from error
        self._path = path.absolute()
        # Parameters hold hashes of keys and salts: never in an error's text.
        self.writer = sa.create_engine(f"sqlite:///{self._path}", hide_parameters=True)
        event.listen(self.writer, "connect", _prepare)
        event.listen(self.writer, "begin", _begin)
        self.reader: Engine = self.writer.execution_options(footfall_begin="BEGIN")
        self.metadata_of = _as_it_is

    def make_room(self, connection: Connection) -> None:
        """There is nothing to make before the tables."""

    def answered(self) -> None:
        """A file is always there."""

    def meaning(self, error: exc.DBAPIError) -> FootfallError | None:
        """Retryable when it is busy or its disk fails or is full, Damaged where its pages are; else None."""
        codes = _codes(error)
        if codes & _PASSING:
            return Retryable("the metadata database is busy or its disk has a problem")
        if codes & _DAMAGE:
            DATABASES.report(self._path)
            log.error("a database is damaged", file=str(self._path), problem=str(error.orig))
            return Damaged(
                f"{self._path} cannot be used: {error.orig}; restore the data directory from a backup"
            )
        return None


def is_whole(path: Path) -> bool:
    """Whether every page of the file is what it should be. False also where it cannot be read now."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False


def _folded(text: str | None) -> str | None:
    return None if text is None else fold(text)


def _as_it_is(metadata: sa.MetaData) -> sa.MetaData:
    return metadata


def _codes(error: BaseException | None) -> set[int]:
    """SQLite's codes of the error and of what it came of.

    On a full disk SQLite undoes the transaction by itself: what is seen then may be that a savepoint is gone.
    """
    codes: set[int] = set()
    while error is not None:
        codes.add(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        error = error.__context__
    return codes


def _prepare(connection: Any, _record: object) -> None:
    # The driver's own way of starting transactions would begin them late and without a
    # lock: two readers that both go on to write would then fail at once. See _begin.
    connection.isolation_level = None
    # `lower` of SQLite knows the case of ASCII only.
    connection.create_function("fold", 1, _folded, deterministic=True)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("footfall_begin", "BEGIN IMMEDIATE"))
