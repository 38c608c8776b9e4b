"""What the manifest of the rollups consists of, and how it is read. Written by builds.py."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection

from footfall.state.tables import (
    dead_letters,
    events_lost,
    raw_deleted,
    rollup_building,
    rollup_entries,
    rollup_head,
    rollup_late,
    rollup_watermarks,
    rollup_zones,
    rollups_deleted,
    visits_kept,
)

Position = tuple[int, int]
"""Shard and seq."""


class ManifestEntry(Struct, frozen=True):
    """The part of a build in one month: a partition of `rollups`.

    `month`: YYYYMM of `at` in UTC. `first` and `last`: bounds of `at` in ms since 1970 UTC, both
    inclusive. `cubes`: those it was made with; it holds nothing of others.
    """

    build: int
    month: int
    level: int
    rows: int
    first: int
    last: int
    cubes: tuple[str, ...]


class Zone(Struct, frozen=True):
    """The zone of a site's days in the rollups; `step`: ms of a bucket of an "hour" cube."""

    timezone: str
    step: int


class Manifest(Struct, frozen=True):
    """What answers are made of, at one moment. `version` differs when anything else does.

    `watermarks`: by shard the last seq that is in the builds. `late`: positions at or below it
    that are not, and perhaps some above it. `zones` by site id; of a site without one nothing is
    in the builds. `raw_from` by site id: raw events are complete only from this occurred_at (ms)
    on; absent: all are there. `rollups_from` (ms): builds are complete only from this `at` on.
    `visits`: what was kept of visits whose events were deleted. `lost_until` by workspace and site: of
    what occurred before (ms) some was lost with a store, events and rollups.
    """

    version: int
    entries: tuple[ManifestEntry, ...]
    watermarks: dict[int, int]
    late: tuple[Position, ...]
    zones: dict[str, Zone]
    raw_from: dict[str, int]
    rollups_from: int = 0
    visits: "tuple[ArchivedSessions, ...]" = ()
    lost_until: Mapping[tuple[str, str], int] = {}


def takeable(manifest: Manifest) -> int:
    """How many of the late rows the next slice takes, whatever else it takes.

    Those above the watermarks are of a build that was given up; they are taken in their turn.
    """
    return sum(seq <= manifest.watermarks.get(shard, -1) for shard, seq in manifest.late)


class ShardRange(Struct, frozen=True):
    """The positions of one shard from `after` (exclusive) to `upto` (inclusive)."""

    shard: int
    after: int
    upto: int


class Building(Struct, frozen=True):
    """A build at work.

    A `slice` takes the rows of `parts` and those at the positions `late`; a `rebuild` those of
    `parts`, of one month; both but for those at `without`. A `merge` takes `sources` (builds) of
    one month.
    """

    build: int
    kind: Literal["slice", "merge", "rebuild"]
    parts: tuple[ShardRange, ...] = ()
    late: tuple[Position, ...] = ()
    without: tuple[Position, ...] = ()
    month: int = 0
    sources: tuple[int, ...] = ()


class Going(Struct, frozen=True):
    """Raw events that retention deletes.

    Those that `held` is about, of these sites, that occurred in a month (YYYYMM, UTC) and were
    received before `received` (ms).
    """

    month: int
    sites: tuple[str, ...]
    received: int
    held: Building


class ArchivedSessions(Struct, frozen=True):
    """A build of the table `visits`: how many rows it has, of which month (YYYYMM, UTC) the events were.

    `fields`: those by which visits were counted. `going`: those events, as long as they may not all
    be deleted; what is in them must not count twice.
    """

    build: int
    month: int
    rows: int
    fields: tuple[str, ...]
    going: Going | None = None


class RollupPartition(NamedTuple):
    """A partition of `rollups`."""

    month: int
    build: int

    @classmethod
    def of_id(cls, text: str) -> "RollupPartition":
        """The partition with this id in the store."""
        month, build = text.split("-")
        return cls(int(month), int(build))


class RollupPartitions(NamedTuple):
    """All partitions that must be in the store, and what is open. `retired` with when (ms)."""

    published: frozenset[RollupPartition]
    retired: Mapping[RollupPartition, int]
    building: tuple[Building, ...]
    sliced_at: int


def read_manifest(connection: Connection, version: int) -> Manifest:
    """The manifest as it stands; `version` is the one of this moment."""
    return Manifest(
        version,
        tuple(entries(connection)),
        watermarks(connection),
        tuple(late(connection)),
        {row.site_id: Zone(row.timezone, row.step_ms) for row in connection.execute(sa.select(rollup_zones))},
        {row.site_id: row.at for row in connection.execute(sa.select(raw_deleted))},
        connection.scalar(sa.select(rollups_deleted.c.at)) or 0,
        tuple(archived_sessions(connection)),
        {(row.workspace_id, row.site_id): row.at for row in connection.execute(sa.select(events_lost))},
    )


def read_partitions(connection: Connection) -> RollupPartitions:
    """Everything there is."""
    rows = connection.execute(
        sa.select(rollup_entries.c.month, rollup_entries.c.build, rollup_entries.c.retired_at)
    ).all()
    return RollupPartitions(
        frozenset(RollupPartition(row.month, row.build) for row in rows if not row.retired_at),
        {RollupPartition(row.month, row.build): row.retired_at for row in rows if row.retired_at},
        tuple(buildings(connection)),
        connection.scalar(sa.select(rollup_head.c.sliced_at)) or 0,
    )


def entries(connection: Connection) -> list[ManifestEntry]:
    """What is published, by month and build."""
    columns = [rollup_entries.c[name] for name in ManifestEntry.__struct_fields__]
    rows = connection.execute(
        sa.select(*columns)
        .where(rollup_entries.c.retired_at == 0)
        .order_by(rollup_entries.c.month, rollup_entries.c.build)
    )
    return [
        ManifestEntry(
            row.build, row.month, row.level, row.rows, row.first, row.last, tuple(row.cubes.split())
        )
        for row in rows
    ]


def watermarks(connection: Connection) -> dict[int, int]:
    """By shard the last seq that is in the builds."""
    return {int(row.shard, 16): row.seq for row in connection.execute(sa.select(rollup_watermarks))}


def late(connection: Connection) -> list[Position]:
    """The positions whose rows came after their slice."""
    rows = connection.execute(sa.select(rollup_late).order_by(rollup_late.c.shard, rollup_late.c.seq))
    return [(int(row.shard, 16), row.seq) for row in rows]


def buildings(connection: Connection) -> list[Building]:
    """The builds at work, or left open."""
    bodies = connection.scalars(sa.select(rollup_building.c.body).order_by(rollup_building.c.build))
    return [msgspec.json.decode(body, type=Building) for body in bodies]


def archived_sessions(connection: Connection) -> list[ArchivedSessions]:
    """What was kept of visits, in the order of builds."""
    rows = connection.execute(sa.select(visits_kept).order_by(visits_kept.c.build))
    return [
        ArchivedSessions(
            row.build,
            row.month,
            row.rows,
            tuple(row.fields.split(" ")),
            msgspec.json.decode(row.body, type=Going) if row.body else None,
        )
        for row in rows
    ]


def letters(connection: Connection, parts: Iterable[ShardRange]) -> tuple[Position, ...]:
    """The open letters within `parts`: their rows may come at any moment, so a build leaves them out."""
    found: set[Position] = set()
    for part in parts:
        seqs = connection.scalars(
            sa.select(dead_letters.c.seq).where(
                dead_letters.c.shard == f"{part.shard:016x}",
                dead_letters.c.seq > part.after,
                dead_letters.c.seq <= part.upto,
            )
        )
        found |= {(part.shard, seq) for seq in seqs}
    return tuple(sorted(found))
