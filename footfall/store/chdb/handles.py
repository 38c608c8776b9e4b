"""The handles of a chDB engine: how they are opened, set up and used. Everything here blocks.

A handle runs one statement at a time and belongs to one thread at a time. There are several:
readers of each lane (limited, then read-only for good), one for commands, one for inserts, one for
what builds rollups, and one that looks at what merges wrote.

A statement that fails, or is killed, leaves in its handle what it had put out by then, and the next
answer of that handle begins with it (chdb-core 26.9.0): rows of somebody else. So after a failure
a handle is emptied before it is used again.

Inserts never go through chDB's `send_insert`: in chdb-core 26.9.0 it answers OK with the number
of rows when the engine has stored none of them, for example on a full disk.

The first line of defence is that values never become part of a statement. The second are
read-only handles, which refuse every table function that reaches outside; the third is `Reader`,
which refuses what those still let through: SYSTEM, KILL, INTO OUTFILE and the function file().
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import clickhouse_connect
import pyarrow as pa
import structlog
from clickhouse_connect.driver.exceptions import Error

from footfall.errors import FootfallError, Misconfigured, StoreDown
from footfall.runtime.damage import PARTS
from footfall.settings import Settings
from footfall.store.chdb.parts import Parts
from footfall.store.error_codes import brief, damaged_part, of_insert, of_query
from footfall.store.port import HOUSE_SECONDS, Lane

log = structlog.get_logger(__name__)

DATABASE = "footfall"
# Housekeeping asks for rollups, retention, verify and imports, one question each at a time; the
# worker one, and health another.
READERS: Mapping[Lane, int] = {"callers": 4, "house": 4, "worker": 2}

_CONFIG = Path(__file__).with_name("chdb.xml")
_QUESTION = re.compile(r"\s*(?:SELECT|WITH|EXPLAIN)\b", re.IGNORECASE)
_OUTSIDE = re.compile(r"\bINTO\s+OUTFILE\b|\bfile\s*\(", re.IGNORECASE)
_ONE = b"1\n"  # what SELECT 1 answers
_ATTEMPTS = 10
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")

Values = Mapping[str, str | int]

# The same on every handle: answers do not depend on the machine's zone.
_COMMON: Values = {"session_timezone": "UTC"}

# Of answers in Arrow: repeating text as dictionaries, as in the table, and nothing compressed.
_ARROW: Values = {
    "output_format_arrow_low_cardinality_as_dictionary": 1,
    "output_format_arrow_compression_method": "none",
}

_READING: Values = {
    # By default a thread needs 512 MiB of free memory: then a question never has two. And a
    # rollup's row is a set of visitors: fewer are worth a second thread than of other rows.
    "max_threads_min_free_memory_per_thread": 64 << 20,
    "merge_tree_min_rows_for_concurrent_read": 16_384,
    "merge_tree_min_bytes_for_concurrent_read": 1 << 20,
    **_ARROW,
}

# One insert is one block, so that it is one part a month: written whole or not at all.
# Nothing is deduplicated by the engine, see docs/decisions/0005-events-table.md.
_WRITER: Values = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "deduplicate_insert": "disable",
    "max_insert_threads": 1,
    "max_insert_block_size": 2**31,
    "min_insert_block_size_rows": 2**31,
    "min_insert_block_size_bytes": 2**40,
    "max_partitions_per_insert_block": 0,
}


# Rollups. One thread: inserts and questions come first. A part a statement and month, unless it
# would be larger.
_BUILDER: Values = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "deduplicate_insert": "disable",
    "max_threads": 1,
    "max_insert_threads": 1,
    "max_block_size": 8192,
    "min_insert_block_size_bytes": 0,
    "max_partitions_per_insert_block": 0,
}


class Handle:
    """One client of the engine. `name` is its log_comment, by which `kill` finds what it runs."""

    def __init__(self, name: str, path: Path, options: Values, database: str | None = DATABASE) -> None:
        self.name = name
        self._path = path
        self._leftovers = False
        # The import of chdb behind this starts the engine's threads: no other process may do it.
        self._client: Any = clickhouse_connect.get_client(  # pyright: ignore[reportUnknownMemberType] - untyped **kwargs
            interface="chdb", path=str(path), database=database, tz_mode="aware", chdb_options=dict(options)
        )
        self.set({**_COMMON, "log_comment": name})

    def set(self, values: Values) -> None:
        """Change settings of this handle."""
        for statement in _statements(values):
            self.command(statement)

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that answers nothing. Raises as `Store.query` does."""
        self._ask(self._client.command, sql, parameters)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
        """The rows of a SELECT. Raises as `Store.query` does."""
        return self._ask(self._client.query, sql, parameters).result_rows

    def kill(self, name: str) -> None:
        """End what the handle `name` runs now, if the engine has begun it."""
        self.command("KILL QUERY WHERE Settings['log_comment'] = {name:String}", {"name": name})

    def close(self) -> None:
        """Waits for the statement that runs."""
        self._client.close()

    def _ask(
        self, call: Callable[..., Any], sql: str, parameters: Mapping[str, Any] | None, **how: Any
    ) -> Any:
        if self._leftovers:
            self._empty()
        try:
            return call(sql, parameters=dict(parameters) if parameters else None, **how)
        except Exception as error:
            self._leftovers = True
            with suppress(StoreDown):  # then before the next statement
                self._empty()
            if isinstance(error, Error):
                self._report(str(error))
                raise of_query(str(error)) from error
            raise

    def _report(self, message: str) -> None:
        part = damaged_part(message)
        if part is not None:
            # Where the engine does not name it, it may be any part of the store.
            PARTS.report(Path(part or self._path))
            log.error("a part of the store is damaged", part=part or "not named", problem=brief(message))

    def _empty(self) -> None:
        """Take out what a failed statement left. Raises StoreDown."""
        for _ in range(_ATTEMPTS):  # the first answer has it; and who kills the statement may hit these
            with suppress(Error):
                if self._client.raw_query("SELECT 1") == _ONE:
                    self._leftovers = False
                    return
        raise StoreDown("a failed statement has left something in the engine")


class EngineReader(Handle):
    """A handle that only answers questions, within the limits of its lane."""

    def __init__(self, lane: Lane, number: int, path: Path, options: Values, limits: Values) -> None:
        super().__init__(f"footfall-{lane}-{number}", path, options)
        self.lane: Lane = lane
        self.set(limits)
        self.set({"readonly": 1})  # last: from here on the handle refuses SET and SETTINGS

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
        """The rows of a SELECT (or EXPLAIN); any other statement is refused."""
        _check(sql)
        return super().rows(sql, parameters)

    def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The same as columns."""
        _check(sql)
        return pa.ipc.open_file(self._ask(self._client.raw_query, sql, parameters, fmt="Arrow")).read_all()


class Writer(Handle):
    """The handle for inserts."""

    def insert(self, rows: pa.Table, query_id: str) -> None:
        """Insert into `events`. Raises StoreDown, which says nothing about what is stored.

        Without an error, what it wrote is durable if it is whole: see chdb_parts.py.
        """
        if not _ID.fullmatch(query_id):
            raise ValueError(f"query_id {query_id!r}: letters, digits, - and _ only")
        rows = rows.combine_chunks()
        try:
            # A file in memory: no copy of the events is ever written to a directory for temporary files.
            with open(os.memfd_create(query_id), "wb") as file:  # noqa: PTH123 - it has no path
                with pa.ipc.new_stream(file, rows.schema) as stream:
                    stream.write_table(rows)
                file.flush()
                self._client.command(
                    f"INSERT INTO events ({', '.join(rows.column_names)})"
                    f" FROM INFILE '/proc/self/fd/{file.fileno()}'"
                    f" SETTINGS log_comment = '{query_id}' FORMAT ArrowStream"
                )
        except Error as error:
            raise of_insert(str(error)) from None  # the engine's text may quote a row
        except OSError as error:
            raise StoreDown(f"an insert failed: {error}") from error


class Handles(NamedTuple):
    """All handles of one engine, and what is known of its parts."""

    commands: Handle
    writer: Writer
    builder: Handle
    checker: Handle
    readers: tuple[EngineReader, ...]
    parts: Parts

    def close(self) -> None:
        """Close them all, and with the last one the engine."""
        for handle in (*self.readers, self.checker, self.builder, self.writer, self.commands):
            handle.close()


def open_handles(settings: Settings, path: Path) -> Handles:
    """Open the engine on the directory `path`. Raises Misconfigured."""
    opened: list[Handle] = []
    options = _engine_options(settings.store_memory)
    parts = Parts(path)
    try:
        opened.append(commands := Handle("footfall-commands", path, options, database=None))
        commands.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        commands.command(f"USE {DATABASE}")
        opened.append(writer := Writer("footfall-writer", path, options))
        writer.set(_WRITER)
        opened.append(builder := Handle("footfall-builder", path, options))
        # What a part is made of is in memory as long as it is made: up to a few kB a row.
        rows = {"min_insert_block_size_rows": settings.store_memory // 8192}
        builder.set({**_BUILDER, **rows, **_memory(settings)})
        opened.append(checker := Handle("footfall-checker", path, options))
        readers: list[EngineReader] = []
        for lane, count in READERS.items():
            limits = _callers_limits(settings) if lane == "callers" else _house_limits(settings)
            for number in range(count):
                readers.append(reader := EngineReader(lane, number, path, options, limits))
                opened.append(reader)
    except (Error, FootfallError, RuntimeError, ValueError) as error:
        for handle in opened:
            with suppress(Exception):
                handle.close()
        raise Misconfigured(f"cannot open the store in {path}: {brief(str(error))}") from error
    return Handles(commands, writer, builder, checker, tuple(readers), parts)


def _check(sql: str) -> None:
    if not _QUESTION.match(sql) or _OUTSIDE.search(sql):
        raise FootfallError("a question is one SELECT, and reads nothing but the store")


def _engine_options(memory: int) -> Values:
    caches = (
        "mark_cache_size",
        "primary_index_cache_size",
        "index_mark_cache_size",
        "query_condition_cache_size",
    )
    return {
        "config-file": str(_CONFIG),
        "max_server_memory_usage": memory,
        **dict.fromkeys(caches, memory // 16),
    }


def _callers_limits(settings: Settings) -> Values:
    return {
        **_READING,
        "max_execution_time": f"{settings.query_timeout:g}",
        "max_rows_to_read": settings.query_rows,
        **_memory(settings, settings.query_memory),
    }


def _house_limits(settings: Settings) -> Values:
    return {**_READING, "max_execution_time": f"{HOUSE_SECONDS:g}", **_memory(settings)}


def _memory(settings: Settings, most: int | None = None) -> Values:
    half = settings.store_memory // 2
    allowed = half if most is None else min(most, half)
    return {
        "max_memory_usage": allowed,
        "max_bytes_before_external_group_by": allowed // 2,
        "max_bytes_before_external_sort": allowed // 2,
        "join_algorithm": "grace_hash",  # goes to disk where the others would be refused for memory
        "max_bytes_in_join": allowed // 8,
    }


def _statements(values: Values) -> list[str]:
    return [f"SET {name} = {value!r}" for name, value in values.items()]
