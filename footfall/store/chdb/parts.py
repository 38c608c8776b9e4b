"""Whether what the engine wrote is on the disk, and what to do when it is not. Everything here blocks.

In chdb-core 26.9.0 a `write` of a file that fails (EIO, ENOSPC) while a part is made, by an insert
or by a merge, is no error: the file stays shorter, the statement answers OK, and the part may
even be read from memory. So every part is looked at after it was made. When the engine loads a
table it does the same, and takes the sources of a broken part instead: hence a broken part is
moved away while its table is detached, and the table attached again. What is there then is what
a restart would find. (The sources of a merge are kept for minutes: `old_parts_lifetime` in
chdb.xml.)
"""

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog

from footfall.errors import FootfallError, StoreDown
from footfall.runtime.damage import PARTS
from footfall.runtime.presence import names_in

log = structlog.get_logger(__name__)

_ATTACH_WITHIN = 60.0  # seconds: until whatever still uses the detached table has ended
_COLUMNS = "columns_substreams.txt"
_NAME = re.compile(r"[0-9A-Za-z_-]+")
_OF_COLUMN = re.compile(r"^(\d+) substreams for column ", re.MULTILINE)

_ACTIVE = """
SELECT table, name, path, partition_id, min_block_number, max_block_number, rows,
    level = 0 AND data_version = min_block_number
FROM system.parts WHERE database = currentDatabase() AND active AND rows > 0
"""
_SOURCES = """
SELECT min_block_number, max_block_number, rows FROM system.parts
WHERE database = currentDatabase() AND table = {table:String} AND partition_id = {partition:String}
    AND NOT active AND rows > 0
    AND min_block_number >= {first:Int64} AND max_block_number <= {last:Int64}
ORDER BY min_block_number, max_block_number DESC, data_version DESC
"""


class PartsHandle(Protocol):
    """What is needed of a handle, see handles.py."""

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run one statement that answers nothing."""
        ...

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
        """The rows of one SELECT."""
        ...


class ActivePart(NamedTuple):
    """An active part, as in `system.parts`; `inserted`: no merge or mutation made it."""

    table: str
    name: str
    path: str
    partition: str
    first: int
    last: int
    rows: int
    inserted: bool


class Parts:
    """Remembers which parts are whole. One thread at a time writes; another may look at the same time."""

    def __init__(self, directory: Path) -> None:
        """`directory` of an engine that is not open yet: what is there now, it checks as it loads it."""
        # By path, which names the table too, and is never used again.
        self._whole = {f"{part}/" for part in directory.glob("store/*/*/*")}
        self._detached: set[str] = set()

    def broken_inserts(self, handle: PartsHandle) -> list[ActivePart]:
        """Inserted parts that are new, and broken. Raises StoreDown."""
        return self._broken(handle, inserts=True, others=False)

    def broken_merges(self, handle: PartsHandle) -> list[ActivePart]:
        """Parts that merges (or mutations) made, that are new, and broken. Raises StoreDown."""
        return self._broken(handle, inserts=False, others=True)

    def broken(self, handle: PartsHandle) -> list[ActivePart]:
        """All parts that are new, and broken; nothing may be inserted meanwhile. Raises StoreDown."""
        self.attach(handle)
        return self._broken(handle, inserts=True, others=True)

    def is_whole(self, handle: PartsHandle, path: Path) -> bool:
        """Whether a part that was reported as damaged is whole again, or in use no more. Raises StoreDown.

        Of the store's own directory: parts below it that are broken are reported by name instead.
        """
        try:
            active = [ActivePart(*row) for row in handle.rows(_ACTIVE)]
            named = [part for part in active if Path(part.path) == path]
            below = [part for part in active if path in Path(part.path).parents]
            for part in below:
                if not self._check(handle, part):
                    PARTS.report(Path(part.path))
            return all(self._check(handle, part) for part in named)
        except (FootfallError, OSError) as error:
            raise StoreDown(f"cannot look at a damaged part: {error}") from error

    def take_out(self, handle: PartsHandle, broken: Sequence[ActivePart]) -> None:
        """Without these parts, each table is what it was before them. No statement may be running on it.

        A merged part whose sources are gone stays: some of it may be readable. Raises StoreDown.
        """
        gone = [part for part in broken if part.inserted or self._has_sources(handle, part)]
        try:
            for table in {part.table for part in gone}:
                self._detach(handle, [part for part in gone if part.table == table])
        except (FootfallError, OSError) as error:
            raise StoreDown(f"broken parts cannot be taken out: {error}") from error
        finally:
            self.attach(handle)

    def attach(self, handle: PartsHandle) -> None:
        """Attach what could not be attached again before. Raises StoreDown."""
        until = time.monotonic() + _ATTACH_WITHIN
        for table in sorted(self._detached):
            while True:
                try:
                    handle.command("ATTACH TABLE {table:Identifier}", {"table": table})
                    break
                except FootfallError as error:
                    if time.monotonic() > until:
                        raise StoreDown(f"the table {table} cannot be attached again: {error}") from error
                time.sleep(0.05)
            self._detached.discard(table)

    def _detach(self, handle: PartsHandle, broken: Sequence[ActivePart]) -> None:
        table, names = broken[0].table, [part.name for part in broken]
        log.error("parts were not written whole; they are taken out", table=table, parts=names)
        handle.command("DETACH TABLE {table:Identifier}", {"table": table})
        self._detached.add(table)
        for part in broken:
            _remove(Path(part.path))
        self._whole |= {f"{path}/" for path in Path(broken[0].path).parent.iterdir()}

    def _broken(self, handle: PartsHandle, *, inserts: bool, others: bool) -> list[ActivePart]:
        try:
            new = [part for part in self._new(handle) if (inserts if part.inserted else others)]
            return [part for part in new if not self._check(handle, part)]
        except StoreDown:
            raise
        except (FootfallError, OSError) as error:
            raise StoreDown(f"cannot look at what was written: {error}") from error

    def _new(self, handle: PartsHandle) -> list[ActivePart]:
        active = [ActivePart(*row) for row in handle.rows(_ACTIVE)]
        self._whole &= {part.path for part in active}
        return [part for part in active if part.path not in self._whole]

    def _check(self, handle: PartsHandle, part: ActivePart) -> bool:
        if not _NAME.fullmatch(part.name):
            raise ValueError(f"the name of a part: {part.name!r}")
        sql = f"CHECK TABLE {{table:Identifier}} PART '{part.name}'"
        try:
            # Sizes and checksums of nearly all files. Answers as a command does: name, 0 or 1, why.
            answer = handle.rows(f"{sql} SETTINGS check_query_single_value_result = 0", {"table": part.table})
            whole = str(answer[0][1]) == "1" and _texts_are_whole(Path(part.path))
        except (FootfallError, FileNotFoundError):
            if all(part.path != path for _, _, path, *_ in handle.rows(_ACTIVE)):
                return True  # a merge took it meanwhile, and so has read it
            raise
        if whole:
            self._whole.add(part.path)
        return whole

    def _has_sources(self, handle: PartsHandle, part: ActivePart) -> bool:
        sources = handle.rows(
            _SOURCES,
            {"table": part.table, "partition": part.partition, "first": part.first, "last": part.last},
        )
        rows, covered = 0, -1
        for first, last, count in sources:
            if first > covered:
                rows, covered = rows + count, last
        if rows < part.rows:
            log.error("a part is damaged, and its sources are gone", table=part.table, part=part.name)
            PARTS.report(Path(part.path))
            self._whole.add(part.path)
        return rows >= part.rows


def _texts_are_whole(part: Path) -> bool:
    """Of those small files that no checksum covers."""
    texts = [name for name in names_in(part) if name.endswith(".txt")]
    if any((part / name).stat().st_size == 0 for name in texts):
        return False
    columns = part / _COLUMNS
    return _COLUMNS not in texts or _lists_all_columns(columns.read_text(encoding="utf-8"))


def _lists_all_columns(text: str) -> bool:
    """Whether the list says as many columns and substreams as it announces."""
    announced = re.search(r"^(\d+) columns:$", text, re.MULTILINE)
    counts = [int(count) for count in _OF_COLUMN.findall(text)]
    return (
        announced is not None
        and len(counts) == int(announced[1])
        and text.count("\n\t") == sum(counts)
        and text.endswith("\n")
    )


def _remove(part: Path) -> None:
    """First out of the engine's sight, in one step."""
    away = part.parent / "detached" / f"broken_{part.name}"
    with suppress(FileNotFoundError):
        shutil.rmtree(away, ignore_errors=True)
        part.rename(away)
        shutil.rmtree(away, ignore_errors=True)
