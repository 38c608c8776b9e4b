"""Compaction: many small builds of a month become few large ones, as in a log-structured merge tree.

Merging sets of visitors costs as much as making them, so it is done where it pays: slices of a busy
day say much the same, those of several days hardly anything. A question about a month reads all of
its builds; so many that this would be slow are merged in any case.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
import structlog

from footfall.metrics import ROLLUP_BUILDS, ROLLUP_SECONDS
from footfall.model.calendar import month_end
from footfall.model.cubes import CUBES
from footfall.model.times import DAY, Seconds, to_millis
from footfall.rollups.merge_statements import groups_of, merges, spread_of
from footfall.rollups.slicing import Slicer
from footfall.state.rollups.builds import Builds, ManifestEntry
from footfall.store.port import Store

log = structlog.get_logger(__name__)

FAN_IN = 8
"""So many builds of one level may become one of the next."""

MOST = 32
"""So many builds are merged, whether it pays or not."""

FEW_ROWS = 1_000_000
"""So little is merged in no time."""

PAYS = 2 / 3
"""More than that is merged if this share of the rows is left, or less."""

CLOSED_AFTER = 2 * DAY
"""Seconds after the end of a month: then few events of it are still to come."""

_REMEMBERED = 1000


class Merge(NamedTuple):
    """Builds of a month that are to become one of `level`; with `if_it_pays`, only then."""

    month: int
    sources: tuple[ManifestEntry, ...]
    level: int
    if_it_pays: bool = False


def due(entries: Iterable[ManifestEntry], now: Seconds | None = None) -> list[Merge]:
    """What is to be merged. `now` (Unix seconds): whole months, too, that ended by then."""
    found: list[Merge] = []
    for month, every in groupby(
        sorted(entries, key=lambda each: (each.month, each.build)), lambda e: e.month
    ):
        there = list(every)
        if now is not None and len(there) > 1 and _is_closed(month, now):
            level = max(each.level for each in there) + 1
            found.append(Merge(month, tuple(there), level, _is_much(there)))
            continue
        for level in sorted({each.level for each in there}):
            same = [each for each in there if each.level == level]
            if len(same) >= FAN_IN and len(same) % FAN_IN == 0:
                found.append(Merge(month, tuple(same), level + 1, _is_much(same)))
                break  # what comes of it may complete the next level
    return found


class Compactor:
    """Merges builds, with about `at_once` bytes of memory. `clock`: Unix seconds.

    Raises Retryable when a part does not answer.
    """

    def __init__(
        self, store: Store, builds: Builds, slicer: Slicer, clock: Callable[[], float], at_once: int
    ) -> None:
        self._store = store
        self._builds = builds
        self._slicer = slicer
        self._clock = clock
        self._at_once = at_once
        self._left: set[tuple[int, ...]] = set()  # sources of which a merge does not pay

    async def merge(self, merge: Merge) -> bool:
        """Build it and swap it for its sources, if it is to be. Returns whether it was."""
        if merge.if_it_pays and not await self._pays(merge):
            return False
        started = time.perf_counter()
        building = await self._builds.begin_merge(merge.month, [entry.build for entry in merge.sources])
        now = [cube for cube in CUBES if any(cube.in_build(entry.cubes) for entry in merge.sources)]
        question = spread_of(building)
        spread = [
            (str(cube), int(at), int(memory))
            for cube, at, memory in await self._store.query(question.sql, question.parameters, lane="house")
        ]
        for statement in merges(now, spread, building, self._at_once):
            await self._store.build(statement.sql, statement.parameters)
        # Of a cube that one of them lacks, or has an older version of, the build has not all either.
        labels = [cube.oldest_of(entry.cubes for entry in merge.sources) for cube in now]
        names = tuple(label for label in labels if label)
        made = [
            msgspec.structs.replace(entry, cubes=names)
            for entry in await self._slicer.entries(building, merge.level)
        ]
        await self._builds.publish(building, made, {}, to_millis(self._clock()))
        seconds = time.perf_counter() - started
        ROLLUP_BUILDS.labels("merge").inc()
        ROLLUP_SECONDS.labels("merge").observe(seconds)
        log.info(
            "rollups.merged", build=building.build, month=merge.month, builds=len(merge.sources),
            rows=_rows(made), of=_rows(merge.sources), seconds=round(seconds, 3),
        )  # fmt: skip
        return True

    async def _pays(self, merge: Merge) -> bool:
        sources = tuple(entry.build for entry in merge.sources)
        if sources in self._left:
            return False
        question = groups_of(merge.month, sources)
        [(groups,)] = await self._store.query(question.sql, question.parameters, lane="house")
        if groups <= PAYS * _rows(merge.sources):
            return True
        if len(self._left) >= _REMEMBERED:
            self._left.clear()
        self._left.add(sources)
        return False


def _is_much(entries: Sequence[ManifestEntry]) -> bool:
    """Whether they are merged only if it pays."""
    return _rows(entries) > FEW_ROWS and len(entries) < MOST


def _rows(entries: Sequence[ManifestEntry]) -> int:
    return sum(entry.rows for entry in entries)


def _is_closed(month: int, now: Seconds) -> bool:
    return now >= month_end(month) / 1000 + CLOSED_AFTER
