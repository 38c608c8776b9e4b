"""What each part of an installation says about itself: its stamp, and whether it holds anything.

A stamp is the installation's id and the number of the start at which the part was last in use. In a
database it is a row, in a directory a file named `installation`. `footfall/installation.py`
compares them.
"""

import os
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, LiteralString, NamedTuple

import msgspec
from msgspec import Struct

from footfall.database import Place, PostgresSchema
from footfall.errors import Misconfigured, Retryable
from footfall.eventlog.port import WORKER
from footfall.eventlog.sqlite.files import list_shards
from footfall.runtime.consumer_offsets import Consumers
from footfall.runtime.presence import is_directory, names_in

NAME = "installation"
"""Of the file that bears a directory's stamp."""

# Every page of a database is looked at up to this size; of a larger one those that are read.
_MOST_CHECKED = 256 << 20  # bytes
_PART = re.compile(r"\d{6}_\d+_\d+_\d+(_\d+)?")  # of a table in the store
_RESTORE = "restore the data directory from a backup"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CREATE = (
    "CREATE TABLE IF NOT EXISTS installation"
    " (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, start INTEGER NOT NULL,"
    " at DOUBLE PRECISION NOT NULL)"
)
_STAMP_FILE = "INSERT OR REPLACE INTO installation VALUES (1, ?, ?, ?)"
_STAMP_SCHEMA = (
    "INSERT INTO installation VALUES (1, %s, %s, %s)"
    " ON CONFLICT (one) DO UPDATE SET id = excluded.id, start = excluded.start, at = excluded.at"
)


class Stamp(Struct, frozen=True):
    """`start` counts the starts of the installation; `at` (Unix seconds) is when that one was."""

    id: str
    start: int
    at: float


class FoundPart(NamedTuple):
    """A part as it was found.

    `filled`: it holds more than every new one does; `stored`: of state.db, that the store held
    something; `problem`: why it is no use at all ("is missing", "is empty"). `offsets`: by shard what the
    worker has closed (state.db), or noted that it had (the log and the store).
    """

    stamp: Stamp | None = None
    filled: bool = False
    stored: bool = False
    problem: str = ""
    offsets: Mapping[int, int] = MappingProxyType({})


MISSING = FoundPart(problem="is missing")


def look_at_database(place: Place, *, whole: bool) -> FoundPart:
    """`whole`: look at every page of a file.

    Raises Misconfigured when it is damaged, Retryable when it is locked or does not answer.
    """
    if isinstance(place, PostgresSchema):
        from footfall.database import postgres  # noqa: PLC0415 -- nobody else needs its client

        with postgres.asking(place) as connection:
            tables = postgres.tables(connection, place)
            return _described(tables, lambda asked: connection.execute(asked).fetchall())
    try:
        size = place.stat().st_size
    except FileNotFoundError:
        return MISSING
    if size == 0:
        return FoundPart(problem="is empty")
    with _file(place) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if whole and size <= _MOST_CHECKED and tables:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                said = " ".join(str(verdict).split())
                raise Misconfigured(f"{place} is damaged: {said}; {_RESTORE}")
        return _described(tables, lambda asked: connection.execute(asked).fetchall())


def _described(tables: Collection[str], ask: Callable[[LiteralString], list[Any]]) -> FoundPart:
    """What a database with these tables says of itself."""
    if not tables:
        return FoundPart(problem="is empty")

    def has(table: str, asked: LiteralString) -> bool:
        return table in tables and bool(ask(asked))

    stamp: list[Any] = ask("SELECT id, start, at FROM installation") if NAME in tables else []
    closed: list[Any] = ask('SELECT shard, "offset" FROM positions') if "positions" in tables else []
    stored = "SELECT 1 FROM ledger WHERE outcome = 'stored' AND count > 0 LIMIT 1"
    return FoundPart(
        Stamp(*stamp[0]) if stamp else None,
        filled=has("workspaces", "SELECT 1 FROM workspaces LIMIT 1") or bool(closed),
        stored=has("ledger", stored) and not has("raw_deleted", "SELECT 1 FROM raw_deleted LIMIT 1"),
        offsets={int(shard, 16): offset for shard, offset in closed},
    )


def stamp_database(place: Place, stamp: Stamp) -> None:
    """It must be there. Raises Misconfigured, and Retryable when it is locked, or cannot be written now."""
    values = stamp.id, stamp.start, stamp.at
    if isinstance(place, PostgresSchema):
        from footfall.database import postgres  # noqa: PLC0415 -- as above

        with postgres.asking(place) as connection:
            connection.execute(_CREATE)
            connection.execute(_STAMP_SCHEMA, values)
        return
    with _file(place) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_CREATE)
        connection.execute(_STAMP_FILE, values)
        connection.execute("COMMIT")


def look_at_log(directory: Path) -> FoundPart:
    """The log is `filled` when a worker has stored something of it."""
    found = _look_at_directory(directory)
    committed = committed_offsets(directory)
    return found._replace(filled=bool(committed), offsets=committed)


def committed_offsets(directory: Path) -> dict[int, int]:
    """By shard what the worker has noted as stored in the log, or in the store. Raises Misconfigured."""
    try:
        return Consumers(directory).all_committed(WORKER)
    except OSError as error:
        raise Misconfigured(f"{directory} cannot be used: {error.strerror}") from error


def commit_offsets(directory: Path, offsets: Mapping[int, int]) -> None:
    """Note that so much of the shards which the log has is stored. Raises OSError."""
    for shard in {*list_shards(directory)} & offsets.keys():
        Consumers(directory).commit(WORKER, shard, offsets[shard])


def furthest(*noted: Mapping[int, int]) -> dict[int, int]:
    """By shard the largest offset of any."""
    return {shard: max(each.get(shard, -1) for each in noted) for shard in {*chain(*noted)}}


def look_at_store(directory: Path) -> FoundPart:
    """The store is `filled` when it has events."""
    found = _look_at_directory(directory)
    events = directory / "data" / "footfall" / "events"
    try:
        filled = any(_PART.fullmatch(name) for name in names_in(events))
    except OSError as error:
        raise Misconfigured(f"{directory} cannot be used: {error.strerror}") from error
    return found._replace(filled=filled, offsets=committed_offsets(directory))


def stamp_directory(directory: Path, stamp: Stamp) -> None:
    """Makes the directory if need be. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(directory / NAME, msgspec.json.encode(stamp))


def write_durably(path: Path, content: bytes) -> None:
    """Replace the file as a whole. Raises OSError."""
    draft = path.with_name(f"{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def next_stamp(installation: str, start: int) -> Stamp:
    """The stamp of a start that happens now."""
    return Stamp(installation, start, time.time())


def _look_at_directory(directory: Path) -> FoundPart:
    try:
        return FoundPart(msgspec.json.decode((directory / NAME).read_bytes(), type=Stamp))
    except msgspec.DecodeError:  # it is no more than a witness, and is written again
        return FoundPart()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise Misconfigured(f"{directory} cannot be used: {error.strerror}") from error
    try:
        return FoundPart() if is_directory(directory) and names_in(directory) else MISSING
    except OSError as error:
        raise Misconfigured(f"{directory} cannot be used: {error.strerror}") from error


@contextmanager
def _file(path: Path) -> Generator[sqlite3.Connection]:
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5, isolation_level=None)
        ) as connection:
            yield connection
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL):
            raise Retryable(f"{path} cannot be used now: {error}") from error
        state = "is damaged" if code in _DAMAGE else "cannot be used"
        hint = f"; {_RESTORE}" if code in _DAMAGE else ""
        raise Misconfigured(f"{path} {state}: {error}{hint}") from error
