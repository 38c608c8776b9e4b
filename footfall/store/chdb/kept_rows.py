"""How many events each month has: noted every few seconds, and compared when the store is opened.

When the engine loads a table, a part that is gone is no error, and one that is broken is set aside: questions
then answer less. What was noted must be there. It lies beside the tables, so that it is as old as they are
wherever they are copied to. Everything here blocks.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from footfall.metrics import STORE_ROWS_MISSING
from footfall.store.chdb.parts import PartsHandle

log = structlog.get_logger(__name__)

NAME = "kept-rows.json"

_ROWS = """
SELECT partition_id, sum(rows) FROM system.parts
WHERE database = currentDatabase() AND table = 'events' AND active AND rows > 0 GROUP BY partition_id
"""
_SET_ASIDE = """
SELECT path FROM system.detached_parts
WHERE database = currentDatabase() AND table = 'events' AND partition_id = {month:String} ORDER BY name
"""


class KeptMonth(Struct, frozen=True):
    """`rows`: how many there were; None while some are deleted. `missing`: how many are gone besides."""

    rows: int | None
    missing: int = 0


class KeptRows:
    """What is noted in the directory of a store. One thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._months: Mapping[str, KeptMonth] = _read(self._path)
        self._compared = False

    @property
    def missing(self) -> Mapping[int, int]:
        """How many are gone of each month (YYYYMM) that lacks some. From any thread."""
        return {int(month): kept.missing for month, kept in self._months.items() if kept.missing}

    def compare(self, handle: PartsHandle) -> None:
        """Find what is missing of what was noted, and tell; the table was just loaded. Raises StoreDown."""
        there = _count(handle)
        for month, kept in sorted(self._months.items()):
            if kept.rows is None:
                continue
            missing = max(kept.rows + kept.missing - there.get(month, 0), 0)
            if missing:
                found = {"month": month, "missing": missing, "there": there.get(month, 0)}
                aside = [path for (path,) in handle.rows(_SET_ASIDE, {"month": month})]
                log.error("store.rows_missing", **found, set_aside=aside, noted_in=str(self._path))
            self._months = {**self._months, month: KeptMonth(there.get(month, 0), missing)}
        self._compared = True
        self._show()

    def note(self, handle: PartsHandle) -> None:
        """Note what is there, while nothing is inserted or deleted. Raises StoreDown, OSError."""
        if not self._compared:  # it could not be told at the start
            self.compare(handle)
        there = _count(handle)
        months = {month: KeptMonth(rows, self._missing(month)) for month, rows in there.items()}
        for month, kept in self._months.items():
            if kept.missing and kept.rows is not None:  # else retention deleted what was left of it
                months.setdefault(month, KeptMonth(0, kept.missing))
        self._write(months)

    def deleting(self, month: str | None) -> None:
        """Rows of a month (None: of any) are about to be deleted, nobody knows how many. Raises OSError."""
        self._write(
            {
                each: KeptMonth(None, kept.missing) if month in (None, each) else kept
                for each, kept in self._months.items()
            }
        )

    def _missing(self, month: str) -> int:
        return self._months[month].missing if month in self._months else 0

    def _write(self, months: Mapping[str, KeptMonth]) -> None:
        if months == self._months:
            return
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(months))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._months = months
        self._show()

    def _show(self) -> None:
        STORE_ROWS_MISSING.set(sum(self.missing.values()))


def _read(path: Path) -> dict[str, KeptMonth]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, KeptMonth])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.error("store.kept_rows_unread", file=str(path), problem=str(error))  # noqa: TRY400 -- it says all
        return {}


def _count(handle: PartsHandle) -> dict[str, int]:
    return {str(month): int(rows) for month, rows in handle.rows(_ROWS)}
