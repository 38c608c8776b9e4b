"""Rollups are kept: slices of what was stored, compaction, and the removal of what no longer counts.

One at a time, in the process that has the store and the worker's lease. A build that was left
open, by a failure or the end of a process, is given up at the next look, with what it left in
the store; only the transaction that publishes it makes it count.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from footfall.database import Database
from footfall.errors import Conflict, StoreDown
from footfall.metrics import NIGHTLY_OVERDUE, ROLLUP_TIMESTAMP, ROLLUP_WAITING, ROLLUPS_MISSING
from footfall.model.calendar import month_start
from footfall.model.times import Seconds, to_millis
from footfall.rollups import statements
from footfall.rollups.compaction import Compactor, due
from footfall.rollups.complete import incomplete
from footfall.rollups.covered import Lacking, lacking
from footfall.rollups.slicing import Slicer, Zones
from footfall.runtime.background import every
from footfall.settings import Settings
from footfall.state.batches import Batches
from footfall.state.lease import Fence
from footfall.state.rollups.builds import Builds, RollupPartition, ShardRange
from footfall.state.rollups.manifest import takeable
from footfall.store import server_sql
from footfall.store.port import HOUSE_SECONDS, Store
from footfall.store.statement import Statement

log = structlog.get_logger(__name__)

_LOOK_EVERY = 5.0  # seconds
_LONGEST_TICK = 6 * 3600.0  # seconds: after a large import there is much to slice and to merge
_MOST_LATE = 1000  # rows that questions look for one by one
_FEWEST = 10_000  # events of a slice after failures
_STAGED_BYTES = 128  # of an event, in memory
_OVERDUE = 2 * 86400.0  # seconds
_A_WHILE = 3600.0  # seconds in which a process that begins makes up for what waits
_RETIRED_MARGIN = 60.0  # seconds beyond two questions of the longest kind: one answer may ask twice


class RollupMaintainer:
    """The rollups of one store. `clock`: Unix seconds."""

    def __init__(
        self,
        store: Store,
        state: Database,
        fence: Fence | None,
        zones: Zones,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._state = state
        self._builds = Builds(state, fence)
        self._slicer = Slicer(store, Batches(state), self._builds, zones, clock)
        self._compactor = Compactor(store, self._builds, self._slicer, clock, settings.store_memory // 8)
        self._due = settings.slice_rows
        self._limit = min(2 * settings.slice_rows, settings.store_memory // 8 // _STAGED_BYTES)
        self._most = self._limit  # less after a failure, which may be one of too little memory
        self._keep = 2 * max(settings.query_timeout, HOUSE_SECONDS) + _RETIRED_MARGIN
        self._clock = clock
        self._unsure = True  # whether there may be an open build, or partitions that nobody knows
        self._leftovers = False  # whether any of those could not be dropped
        self._missing: Sequence[Lacking] = ()
        self._working = asyncio.Lock()
        self._began = time.monotonic()
        self._failed = False
        self._sliced_at = 0.0  # Unix seconds
        self._waiting = 0
        NIGHTLY_OVERDUE.labels("slices").set_function(lambda: float(self.is_overdue()))

    def is_overdue(self) -> bool:
        """Whether events have waited for two days; a process that just began may make up for them."""
        if not self._sliced_at or self._clock() - self._sliced_at < _OVERDUE:
            return False
        return self._failed or (self._waiting > 0 and time.monotonic() - self._began > _A_WHILE)

    def missing(self) -> Sequence[tuple[int, int]]:
        """The first and last times (ms) of published rollups that the store has not, or not all of."""
        return [(each.first, each.last) for each in self._missing]

    async def tick(self) -> None:
        """Do what is due. To be called every few seconds.

        Raises Retryable when a part does not answer, Conflict when the worker's lease was lost.
        """
        try:
            await self._tick()
        except Exception:
            self._failed = True
            raise
        self._failed = False

    async def _tick(self) -> None:
        async with self._working:
            if self._unsure:
                await self._clean_up()
            elif self._missing:  # they may have been made anew
                await self._look_for_missing()
            self._unsure = True
            await self._slice_and_merge()
            await self._drop_retired()
            self._unsure = self._leftovers

    async def slice_all(self) -> None:
        """Slice all that is closed now, however little it is."""
        async with self._working:
            if self._unsure:
                await self._clean_up()
            self._unsure = True
            while True:
                parts, rows = await self._slicer.waiting()
                if not rows:
                    break
                await self._slice(parts, rows)
            self._unsure = False

    def now(self) -> int:
        """By the clock of the rollups, in ms."""
        return to_millis(self._clock())

    @asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        """Nothing is built within the block."""
        async with self._working:
            yield

    async def rebuild(self, month: int) -> int:
        """Build a month (YYYYMM) again from the events. Returns how many there are.

        Raises Conflict when the events of a site in it are not all there any more, so that what
        rollups say could not be said again: they are fewer than the rollups, or the ledger, say.
        """
        async with self._working:
            if self._unsure:
                await self._clean_up()
            manifest = await self._builds.manifest()
            start = month_start(month)
            entries = [entry for entry in manifest.entries if entry.month == month]
            if start < manifest.rollups_from:
                raise Conflict(f"the rollups of {month} were deleted by retention")
            gone = sorted(site for site, at in manifest.raw_from.items() if at > start)
            if entries and gone:
                raise Conflict(
                    f"events of {month} were deleted by retention ({', '.join(gone[:5])}): "
                    "what its rollups say cannot be made again"
                )
            if lost := await incomplete(self._store, self._state, month):
                sites = ", ".join(repr(site) for site in lost[:5])
                raise Conflict(
                    f"events of {month} are lost ({sites}): what its rollups still say cannot be made again"
                    " of those that are left; a backup has them"
                )
            self._unsure = True
            rows = await self._slicer.rebuild(month, self._most)
            self._unsure = False
            return rows

    async def _slice_and_merge(self) -> None:
        books = await self._builds.partitions()
        self._sliced_at = books.sliced_at / 1000
        ROLLUP_TIMESTAMP.set(self._sliced_at)
        new_day = _day(self._clock()) != _day(books.sliced_at / 1000)
        owed: int | None = None  # of what waited when the day began: not of what comes meanwhile
        while True:
            parts, rows = await self._slicer.waiting()
            ROLLUP_WAITING.set(rows)
            self._waiting = rows
            late = takeable(await self._builds.manifest())
            if new_day and owed is None:
                owed = rows
            if not (rows >= self._due or late >= _MOST_LATE or (owed and rows)):
                break
            taken = await self._slice(parts, rows)
            owed = max(owed - taken, 0) if owed and taken else 0
            await self._merge()
        if new_day:
            await self._merge(self._clock())

    async def _slice(self, parts: Sequence[ShardRange], rows: int) -> int:
        try:
            taken = await self._slicer.slice(parts, rows, self._most)
        except StoreDown:
            self._most = max(self._most // 2, min(self._limit, _FEWEST))
            raise
        self._most = min(self._most * 2, self._limit)
        return taken

    async def _merge(self, now: Seconds | None = None) -> None:
        merged = True
        while merged:  # what comes of one merge may be due for the next
            merged = False
            # Merged, what is missing would be missing from a build that is whole.
            missing = {(each.month, each.build) for each in self._missing}
            for merge in due((await self._builds.manifest()).entries, now):
                if missing.isdisjoint((each.month, each.build) for each in merge.sources):
                    merged = merged or await self._compactor.merge(merge)

    async def _clean_up(self) -> None:
        """Give open builds up, and drop what is not known."""
        for building in (await self._builds.partitions()).building:
            log.warning("a build was left open; it is given up", build=building.build, kind=building.kind)
            await self._builds.abandon(building)
        await self._do(statements.unstage())
        books = await self._builds.partitions()
        found = await self._store.query(*server_sql.partitions("rollups"), lane="house")
        there = {RollupPartition.of_id(each) for each, _ in found}
        unknown = sorted(there - books.published - books.retired.keys())
        self._leftovers = len(await self._drop(unknown)) < len(unknown)
        await self._look_for_missing()

    async def _look_for_missing(self) -> None:
        found = await lacking(self._store, await self._builds.manifest())
        ROLLUPS_MISSING.set(len(found))
        for each in found:
            if each not in self._missing:
                rows = {"rows": each.rows, "there": each.there}
                log.error("rollups.missing", build=each.build, month=each.month, **rows)
        self._missing = found

    async def _drop_retired(self) -> None:
        before = (self._clock() - self._keep) * 1000
        gone = [
            partition for partition, at in (await self._builds.partitions()).retired.items() if at < before
        ]
        if dropped := await self._drop(gone):
            await self._builds.forget(dropped)

    async def _drop(self, partitions: Sequence[RollupPartition]) -> Sequence[RollupPartition]:
        """Drop those that can be. One whose file the disk does not give up counts for nothing, and waits."""
        dropped: list[RollupPartition] = []
        for partition in partitions:
            try:
                await self._do(server_sql.drop_partition("rollups", *partition))
            except StoreDown as error:
                log.warning("rollups.not_dropped", partition=partition, problem=str(error))
            else:
                log.info("rollups.dropped", month=partition.month, build=partition.build)
                dropped.append(partition)
        return dropped

    async def _do(self, statement: Statement) -> None:
        await self._store.build(statement.sql, statement.parameters)


@asynccontextmanager
async def running(rollups: RollupMaintainer) -> AsyncGenerator[RollupMaintainer]:
    """Keep them current until the block ends; what is being built then is given up."""
    async with every("rollups", _LOOK_EVERY, rollups.tick, slow=_LONGEST_TICK):
        yield rollups


def _day(at: float) -> int:
    return datetime.fromtimestamp(at, UTC).toordinal()
