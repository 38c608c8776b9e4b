"""How long things are kept, and what was deleted because that was over."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.model.times import Millis, Seconds
from footfall.state import closings, lease
from footfall.state.closings import Closings
from footfall.state.lease import Fence
from footfall.state.ledger import closed_positions
from footfall.state.rollups import builds, manifest
from footfall.state.rollups.manifest import ArchivedSessions
from footfall.state.tables import (
    deletions_announced,
    deletions_prepared,
    raw_days,
    raw_deleted,
    rollup_entries,
    rollups_deleted,
    visits_kept,
)

_BEGUN = 0
"""In the place of a build: all that was begun, of which some may be deleted."""


class Item(NamedTuple):
    """What is deleted at once: raw events of a site that occurred in a month (YYYYMM), or a month's rollups.

    Of rollups `site_id` is empty.
    """

    what: Literal["events", "rollups"]
    month: int
    site_id: str = ""


class Deleted(NamedTuple):
    """Of a site: raw events that occurred before `at` are deleted; none received since `received` (ms)."""

    at: int
    received: int


class RetentionState:
    """`fence`: the worker's lease, for the methods that delete; they raise Conflict when it was taken over.

    All raise Retryable when the database is busy or its disk fails.
    """

    def __init__(self, database: Database, fence: Fence | None = None) -> None:
        self._database = database
        self._fence = fence

    async def closings(self, now: Seconds) -> Closings:
        """When rows were closed, as far as that is known `now` (Unix seconds)."""
        return await closings.read(self._database, now)

    async def raw_days(self) -> dict[str, int]:
        """Sites that have a number of days of their own for raw events; 0: for ever."""
        rows = await self._database.read(lambda connection: connection.execute(sa.select(raw_days)).all())
        return {row.site_id: row.days for row in rows}

    async def set_raw_days(self, site_id: str, days: int | None) -> None:
        """Keep raw events of the site so long; None: as in the settings."""

        def write(connection: Connection) -> None:
            connection.execute(raw_days.delete().where(raw_days.c.site_id == site_id))
            if days is not None:
                connection.execute(raw_days.insert().values(site_id=site_id, days=days))

        await self._database.run(write)

    async def announced(self) -> dict[Item, int]:
        """What is to be deleted, and since when (Unix seconds) that is announced."""
        rows = await self._database.read(
            lambda connection: connection.execute(sa.select(deletions_announced)).all()
        )
        return {Item(row.what, row.month, row.site_id): row.at for row in rows}

    async def announce(self, items: Mapping[Item, int]) -> None:
        """These are to be deleted, and nothing else."""

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            connection.execute(deletions_announced.delete())
            if items:
                rows = [{**item._asdict(), "at": at} for item, at in items.items()]
                connection.execute(deletions_announced.insert(), rows)

        await self._database.run(write)

    async def shards(self) -> list[int]:
        """Those of which anything was ever closed."""
        return list(await self._database.read(closed_positions))

    async def rollup_months(self) -> list[int]:
        """The months of which there are rollups, or visits whose events are all gone."""

        def read(connection: Connection) -> list[int]:
            kept = sa.select(visits_kept.c.month).where(visits_kept.c.body == "")
            return sorted(
                {entry.month for entry in manifest.entries(connection)} | {*connection.scalars(kept)}
            )

        return await self._database.read(read)

    async def deleted(self) -> dict[str, Deleted]:
        """The sites of which raw events were deleted."""
        return await self._database.read(_deleted)

    async def visits(self) -> list[ArchivedSessions]:
        """What was kept of visits whose events are deleted, or about to be."""
        return await self._database.read(manifest.archived_sessions)

    async def delete_raw(self, sites: Mapping[str, Deleted], kept: ArchivedSessions) -> None:
        """These are about to be deleted: nobody takes them for complete from now on, and `kept` counts."""

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            prepared = {row.site_id for row in connection.execute(sa.select(deletions_prepared))}
            for site_id, old in _deleted(connection).items():
                if site_id in sites and site_id not in prepared:
                    _write(connection, deletions_prepared, old, build=_BEGUN, site_id=site_id)
            for site_id, new in sites.items():
                _write(connection, deletions_prepared, new, build=kept.build, site_id=site_id)
                _sum_up(connection, site_id)
            body = msgspec.json.encode(kept.going).decode() if kept.going else ""
            values = {"build": kept.build, "month": kept.month, "rows": kept.rows}
            connection.execute(
                visits_kept.insert().values(values | {"fields": " ".join(kept.fields), "body": body})
            )
            builds.changed(connection)

        await self._database.run(write)

    async def begin(self, build: int) -> None:
        """From now on some of these events may be gone: that they are about to go is not taken back."""

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            mine = deletions_prepared.c.build == build
            for row in connection.execute(sa.select(deletions_prepared).where(mine)).all():
                begun = connection.execute(
                    sa.select(deletions_prepared).where(
                        deletions_prepared.c.build == _BEGUN, deletions_prepared.c.site_id == row.site_id
                    )
                ).one_or_none()
                new = Deleted(
                    max(row.at, begun.at if begun else 0), max(row.received, begun.received if begun else 0)
                )
                _write(connection, deletions_prepared, new, build=_BEGUN, site_id=row.site_id)
            connection.execute(deletions_prepared.delete().where(mine))

        await self._database.run(write)

    async def take_back(self, build: int) -> bool:
        """These events stay, and are complete as before; False where that was begun: nothing is changed."""

        def write(connection: Connection) -> bool:
            lease.check(connection, self._fence)
            mine = deletions_prepared.c.build == build
            sites = list(connection.scalars(sa.select(deletions_prepared.c.site_id).where(mine)))
            if not sites:
                return False
            connection.execute(deletions_prepared.delete().where(mine))
            connection.execute(visits_kept.delete().where(visits_kept.c.build == build))
            for site_id in sites:
                _sum_up(connection, site_id)
            builds.changed(connection)
            return True

        return await self._database.run(write)

    async def gone(self, build: int) -> None:
        """The events of which the build keeps the visits are all deleted."""

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            connection.execute(visits_kept.update().where(visits_kept.c.build == build).values(body=""))
            builds.changed(connection)

        await self._database.run(write)

    async def delete_rollups(self, before: int, month: int, now: Millis) -> int:
        """Rollups of months before `month` (YYYYMM), which begins at `before`, count no longer.

        Times in ms. Returns how many builds' months these were; they are in the store until they
        are dropped as what compaction replaced is.
        """

        def write(connection: Connection) -> int:
            lease.check(connection, self._fence)
            visits = visits_kept.delete().where(visits_kept.c.month < month, visits_kept.c.body == "")
            gone = [entry for entry in manifest.entries(connection) if entry.month < month]
            if not connection.execute(visits).rowcount and not gone:
                return 0
            connection.execute(
                rollup_entries.update()
                .where(rollup_entries.c.month < month, rollup_entries.c.retired_at == 0)
                .values(retired_at=max(now, 1))
            )
            at = max(before, connection.scalar(sa.select(rollups_deleted.c.at)) or 0)
            row = insert(connection, rollups_deleted).values(id=1, at=at)
            connection.execute(
                row.on_conflict_do_update(index_elements=[rollups_deleted.c.id], set_={"at": at})
            )
            builds.changed(connection)
            return len(gone)

        return await self._database.run(write)


def _deleted(connection: Connection) -> dict[str, Deleted]:
    rows = connection.execute(sa.select(raw_deleted))
    return {row.site_id: Deleted(row.at, row.received) for row in rows}


def _write(connection: Connection, table: sa.Table, new: Deleted, **key: str | int) -> None:
    row = insert(connection, table).values(**key, **new._asdict())
    connection.execute(row.on_conflict_do_update(index_elements=list(key), set_=new._asdict()))


def _sum_up(connection: Connection, site_id: str) -> None:
    """What is deleted of a site is all that was begun or is prepared."""
    table = deletions_prepared
    at, received = connection.execute(
        sa.select(sa.func.max(table.c.at), sa.func.max(table.c.received)).where(table.c.site_id == site_id)
    ).one()
    if at is None:
        connection.execute(raw_deleted.delete().where(raw_deleted.c.site_id == site_id))
    else:
        _write(connection, raw_deleted, Deleted(at, received), site_id=site_id)
