"""Which rollups count: the manifest, as a log-structured merge tree has one.

A build is what one slice of the log, or one compaction, added to the table `rollups`. It counts
from the one transaction on that publishes it, and no longer from the one that retires it.

An answer at one moment = the published builds + the events above their shard's watermark or at
one of the `late` positions. What is in the store without being published counts for nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.errors import Conflict
from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import Millis
from footfall.state import lease
from footfall.state.lease import Fence
from footfall.state.ledger import closed_positions
from footfall.state.rollups import manifest
from footfall.state.rollups.manifest import (
    Building,
    Manifest,
    ManifestEntry,
    Position,
    RollupPartition,
    RollupPartitions,
    ShardRange,
    Zone,
)
from footfall.state.tables import (
    rollup_building,
    rollup_entries,
    rollup_head,
    rollup_late,
    rollup_watermarks,
    rollup_zones,
)

__all__ = [
    "Building",
    "Builds",
    "Manifest",
    "ManifestEntry",
    "Position",
    "RollupPartition",
    "RollupPartitions",
    "ShardRange",
    "Zone",
]


class Builds:
    """The manifest and its changes. `fence`: the worker's lease, checked by every change.

    Methods raise Retryable when the database is busy or its disk fails; changes raise Conflict
    when the lease was taken over.
    """

    def __init__(self, database: Database, fence: Fence | None = None) -> None:
        self._database = database
        self._fence = fence
        self._manifest: Manifest | None = None

    async def manifest(self) -> Manifest:
        """What counts now. Without a change since the last call: one look at the version."""
        known = self._manifest

        def read(connection: Connection) -> Manifest:
            version = connection.scalar(sa.select(rollup_head.c.version)) or 0
            if known and known.version == version:
                return known
            return manifest.read_manifest(connection, version)

        self._manifest = found = await self._database.read(read)
        return found

    async def partitions(self) -> RollupPartitions:
        """Everything there is, for housekeeping."""
        return await self._database.read(manifest.read_partitions)

    async def sliced(self) -> tuple[Manifest, Building]:
        """The manifest, and the events that its builds hold: all below the watermarks but what is late.

        Open letters are left out too: their rows may come at any moment.
        """

        def read(connection: Connection) -> tuple[Manifest, Building]:
            found = manifest.read_manifest(
                connection, connection.scalar(sa.select(rollup_head.c.version)) or 0
            )
            return found, _held(connection, 0)

        return await self._database.read(read)

    async def begin_slice(self, upto: Mapping[int, int]) -> Building:
        """Begin to build what is closed, above the watermarks, up to the seq `upto` of each shard.

        Durable on return: letters settled from now on know of it. Also takes what is late.
        Raises Conflict when another build is at work.
        """

        def write(connection: Connection) -> Building:
            build = self._next(connection)
            marks = manifest.watermarks(connection)
            closed = closed_positions(connection)
            parts = tuple(
                ShardRange(shard, marks.get(shard, -1), seq)
                for shard, seq in sorted(upto.items())
                if seq > marks.get(shard, -1)
            )
            if any(part.upto >= (closed.get(part.shard, -1) + 1) * SEQ_PER_RECORD for part in parts):
                raise ValueError("only what is closed may be sliced")
            passed = marks | {part.shard: part.upto for part in parts}
            # A build that was given up may have reached further: what is late for it only comes later.
            late = tuple(
                (shard, seq) for shard, seq in manifest.late(connection) if seq <= passed.get(shard, -1)
            )
            without = manifest.letters(connection, parts)
            return _open(connection, Building(build, "slice", parts, late, without))

        return await self._database.run(write)

    async def begin_merge(self, month: int, sources: Collection[int]) -> Building:
        """Begin to merge these builds of a month. Raises Conflict as `begin_slice` does."""

        def write(connection: Connection) -> Building:
            build = self._next(connection)
            return _open(connection, Building(build, "merge", month=month, sources=tuple(sorted(sources))))

        return await self._database.run(write)

    async def begin_rebuild(self, month: int) -> Building:
        """Begin to build a month again from the events below the watermarks. Raises Conflict as above."""

        def write(connection: Connection) -> Building:
            build = self._next(connection)
            held = _held(connection, build)
            sources = tuple(entry.build for entry in manifest.entries(connection) if entry.month == month)
            return _open(connection, msgspec.structs.replace(held, month=month, sources=sources))

        return await self._database.run(write)

    async def publish(
        self, building: Building, entries: Iterable[ManifestEntry], zones: Mapping[str, Zone], now: Millis
    ) -> None:
        """The build is durable in the store: it counts from now on, in place of its sources.

        One transaction. `zones`: of sites that had none. Publishing again changes nothing.
        Raises Conflict when the build is not open any more.
        """
        added = list(entries)

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            ours = rollup_building.c.build == building.build
            if connection.execute(rollup_building.delete().where(ours)).rowcount == 0:
                if building.build in {entry.build for entry in manifest.entries(connection)}:
                    return
                raise Conflict(f"build {building.build} is not open")
            _replace(connection, building, added, now)
            if building.kind == "slice":
                _advance(connection, building)
                connection.execute(rollup_head.update().values(sliced_at=now))
            for site_id, zone in zones.items():
                row = insert(connection, rollup_zones).values(
                    site_id=site_id, timezone=zone.timezone, step_ms=zone.step
                )
                connection.execute(row.on_conflict_do_nothing(index_elements=[rollup_zones.c.site_id]))
            changed(connection)

        await self._database.run(write)

    async def number(self) -> int:
        """A number that no build has. Raises Conflict as `begin_slice` does."""
        return await self._database.run(self._next)

    async def abandon(self, building: Building) -> None:
        """Give a build up that is not published."""

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            connection.execute(rollup_building.delete().where(rollup_building.c.build == building.build))

        await self._database.run(write)

    async def forget(self, partitions: Iterable[RollupPartition]) -> None:
        """These retired partitions are no longer in the store."""
        gone = list(partitions)

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            for month, build in gone:
                connection.execute(
                    rollup_entries.delete().where(
                        rollup_entries.c.build == build,
                        rollup_entries.c.month == month,
                        rollup_entries.c.retired_at > 0,
                    )
                )

        await self._database.run(write)

    def _next(self, connection: Connection) -> int:
        """The number of a new build."""
        lease.check(connection, self._fence)
        if connection.scalar(sa.select(rollup_building.c.build).limit(1)) is not None:
            raise Conflict("another build is at work")
        connection.execute(_first_head(connection).on_conflict_do_nothing(index_elements=[rollup_head.c.id]))
        build = connection.scalar(sa.select(rollup_head.c.next_build)) or 1
        connection.execute(rollup_head.update().values(next_build=build + 1))
        return build


def note_late(connection: Connection, positions: Collection[Position]) -> None:
    """Rows at these positions were stored now, though their shards were done up to there: answers change.

    Those that slices have passed are late. In the caller's transaction.
    """
    if not positions:
        return
    changed(connection)
    passed = manifest.watermarks(connection)
    for building in manifest.buildings(connection):
        for part in building.parts:
            passed[part.shard] = max(part.upto, passed.get(part.shard, -1))
    late = [
        {"shard": f"{shard:016x}", "seq": seq} for shard, seq in positions if seq <= passed.get(shard, -1)
    ]
    if late:
        index = [rollup_late.c.shard, rollup_late.c.seq]
        connection.execute(insert(connection, rollup_late).on_conflict_do_nothing(index_elements=index), late)


def _held(connection: Connection, build: int) -> Building:
    """A rebuild of all that the builds hold. What is late stays so."""
    parts = tuple(
        ShardRange(shard, -1, seq) for shard, seq in sorted(manifest.watermarks(connection).items())
    )
    without = {*manifest.letters(connection, parts), *manifest.late(connection)}
    return Building(build, "rebuild", parts, without=tuple(sorted(without)))


def changed(connection: Connection) -> None:
    """What answers are made of is something else from now on."""
    again = {"version": rollup_head.c.version + 1}
    head = _first_head(connection).on_conflict_do_update(index_elements=[rollup_head.c.id], set_=again)
    connection.execute(head)


def _first_head(connection: Connection) -> Any:
    return insert(connection, rollup_head).values(id=1, version=1, next_build=1, sliced_at=0)


def _open(connection: Connection, building: Building) -> Building:
    body = msgspec.json.encode(building).decode()
    connection.execute(rollup_building.insert().values(build=building.build, body=body))
    return building


def _replace(connection: Connection, building: Building, added: Iterable[ManifestEntry], now: Millis) -> None:
    for build in building.sources:
        done = connection.execute(
            rollup_entries.update()
            .where(
                rollup_entries.c.build == build,
                rollup_entries.c.month == building.month,
                rollup_entries.c.retired_at == 0,
            )
            .values(retired_at=max(now, 1))
        )
        if done.rowcount != 1:
            raise Conflict(f"build {build} was replaced by another one")
    for entry in added:
        values = msgspec.structs.asdict(entry) | {"cubes": " ".join(entry.cubes), "retired_at": 0}
        connection.execute(rollup_entries.insert().values(values))


def _advance(connection: Connection, building: Building) -> None:
    for part in building.parts:
        shard = f"{part.shard:016x}"
        row = insert(connection, rollup_watermarks).values(shard=shard, seq=part.upto)
        connection.execute(
            row.on_conflict_do_update(
                index_elements=[rollup_watermarks.c.shard], set_={"seq": row.excluded.seq}
            )
        )
    if building.late:
        connection.execute(
            rollup_late.delete().where(
                rollup_late.c.shard == sa.bindparam("of_shard"), rollup_late.c.seq == sa.bindparam("of_seq")
            ),
            [{"of_shard": f"{shard:016x}", "of_seq": seq} for shard, seq in building.late],
        )
