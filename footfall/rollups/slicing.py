"""Slices: what is closed above the watermarks becomes a build of the rollups."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import structlog

from footfall.metrics import ROLLUP_BUILDS, ROLLUP_SECONDS
from footfall.model.calendar import step_of
from footfall.model.cubes import CUBES
from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import HOUR_MS, to_millis
from footfall.rollups import statements
from footfall.rollups.rows import Span, rows_of
from footfall.state.batches import Batches
from footfall.state.rollups.builds import Building, Builds, ManifestEntry, ShardRange, Zone
from footfall.state.rollups.manifest import takeable
from footfall.store.port import Store
from footfall.store.statement import Statement

log = structlog.get_logger(__name__)

Zones = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]
"""The time zones of sites by their ids; sites that there are not (any more) are left out."""

_HALVINGS = 12


class Slicer:
    """Builds slices. `clock`: Unix seconds. Every method raises Retryable when a part does not answer."""

    def __init__(
        self, store: Store, batches: Batches, builds: Builds, zones: Zones, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._batches = batches
        self._builds = builds
        self._zones = zones
        self._clock = clock
        self._counted: dict[int, int] = {}  # by shard the seq up to which rows were counted,
        self._rows = 0  # and how many these were

    async def waiting(self) -> tuple[Sequence[ShardRange], int]:
        """What is closed and not sliced yet, and about how many rows that is, with those that are late."""
        closed = await self._batches.positions()
        manifest = await self._builds.manifest()
        parts = [
            ShardRange(shard, manifest.watermarks.get(shard, -1), (offset + 1) * SEQ_PER_RECORD - 1)
            for shard, offset in sorted(closed.items())
        ]
        parts = [part for part in parts if part.upto > part.after]
        new = [
            ShardRange(part.shard, max(part.after, self._counted.get(part.shard, -1)), part.upto)
            for part in parts
        ]
        if new := [part for part in new if part.upto > part.after]:
            self._rows += await self._count(new)
            self._counted |= {part.shard: part.upto for part in new}
        return parts, self._rows + takeable(manifest)

    async def slice(self, parts: Sequence[ShardRange], rows: int, most: int) -> int:
        """Build and publish one slice of `parts`, which have about `rows`, with at most about `most`.

        Returns how many rows it took.
        """
        started = time.perf_counter()
        parts = await self._cut(parts, rows, most)
        building = await self._builds.begin_slice({part.shard: part.upto for part in parts})
        known = (await self._builds.manifest()).zones
        taken, zones = await self.fill(building, known)
        entries = await self.entries(building)
        await self._builds.publish(building, entries, zones, to_millis(self._clock()))
        self._counted, self._rows = {}, 0
        seconds = time.perf_counter() - started
        ROLLUP_BUILDS.labels("slice").inc()
        ROLLUP_SECONDS.labels("slice").observe(seconds)
        log.info("rollups.sliced", build=building.build, rows=taken, seconds=round(seconds, 3))
        return taken

    async def fill(
        self, building: Building, known: Mapping[str, Zone], within: Span | None = None
    ) -> tuple[int, Mapping[str, Zone]]:
        """Store the rows of a slice or rebuild; of events that occurred `within` if that is given.

        Returns the number of the events, and the zones of sites that are not `known`.
        """
        rows = rows_of(building, within)
        spans: dict[str, Span] = {}
        taken = 0
        for site, count, first, last in await self._ask(statements.sites_of(rows)):
            spans[site] = Span(first, last)
            taken += count
        found = await self._zones_of([site for site in spans if site not in known])
        if not taken:
            return 0, {}
        await self._do(statements.unstage())
        zones = {site: found.get(site) or known[site] for site in spans}
        await self._do(statements.stage(rows, zones, spans))
        for statement in statements.aggregates(taken, building.build, building.month):
            await self._do(statement)
        await self._do(statements.unstage())
        return taken, found

    async def rebuild(self, month: int, most: int) -> int:
        """Build a month again, in parts of about `most` events. Returns how many there are."""
        started = time.perf_counter()
        building = await self._builds.begin_rebuild(month)
        known = (await self._builds.manifest()).zones
        taken = 0
        hours = [(int(at), int(rows)) for at, rows in await self._ask(statements.hours_of(building))]
        for first, last, _ in statements.runs(hours, most):
            rows, _ = await self.fill(building, known, Span(first, last + HOUR_MS - 1))
            taken += rows
        await self._builds.publish(building, await self.entries(building, 1), {}, to_millis(self._clock()))
        seconds = time.perf_counter() - started
        ROLLUP_BUILDS.labels("rebuild").inc()
        ROLLUP_SECONDS.labels("rebuild").observe(seconds)
        log.info("rollups.rebuilt", build=building.build, month=month, rows=taken, seconds=round(seconds, 3))
        return taken

    async def entries(self, building: Building, level: int = 0) -> list[ManifestEntry]:
        """What the store has of the build, by month."""
        return [
            ManifestEntry(
                building.build, month, level, rows, first, last, tuple(cube.label for cube in CUBES)
            )
            for month, rows, first, last in await self._ask(statements.partitions_of(building.build))
        ]

    async def _zones_of(self, sites: Collection[str]) -> dict[str, Zone]:
        if not sites:
            return {}
        names = await self._zones(sites)
        return {site: _zone(names.get(site, "UTC")) for site in sites}

    async def _cut(self, parts: Sequence[ShardRange], rows: int, most: int) -> Sequence[ShardRange]:
        """The first of `parts`: the same share of each shard, in whole records."""
        for _ in range(_HALVINGS):
            if rows <= most * 1.5:
                break
            shorter = [_shorter(part, most / rows) for part in parts]
            if shorter == parts:
                break
            parts, rows = shorter, await self._count(shorter)
        return parts

    async def _count(self, parts: Sequence[ShardRange]) -> int:
        return int((await self._ask(statements.count_of(parts)))[0][0])

    async def _ask(self, question: Statement) -> Sequence[tuple[Any, ...]]:
        return await self._store.query(question.sql, question.parameters, lane="house")

    async def _do(self, statement: Statement) -> None:
        await self._store.build(statement.sql, statement.parameters)


def _zone(timezone: str) -> Zone:
    return Zone(timezone, step_of(timezone))


def _shorter(part: ShardRange, share: float) -> ShardRange:
    first = part.after // SEQ_PER_RECORD
    records = max(1, int((part.upto // SEQ_PER_RECORD - first) * share))
    return ShardRange(part.shard, part.after, min(part.upto, (first + records + 1) * SEQ_PER_RECORD - 1))
