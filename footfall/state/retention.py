"""How long things are kept, and what was deleted because that was over."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.state import lease
from footfall.state.lease import Fence
from footfall.state.ledger import closed_positions
from footfall.state.rollups import builds, manifest
from footfall.state.rollups.manifest import ArchivedSessions
from footfall.state.tables import (
    deletions_announced,
    insert,
    raw_days,
    raw_deleted,
    rollup_entries,
    rollups_deleted,
    visits_kept,
)


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
        rows = await self._database.read(lambda connection: connection.execute(sa.select(raw_deleted)).all())
        return {row.site_id: Deleted(row.at, row.received) for row in rows}

    async def visits(self) -> list[ArchivedSessions]:
        """What was kept of visits whose events are deleted, or about to be."""
        return await self._database.read(manifest.archived_sessions)

    async def delete_raw(self, sites: Mapping[str, Deleted], kept: ArchivedSessions) -> None:
        """These are about to be deleted: nobody takes them for complete from now on, and `kept` counts."""

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            known = {row.site_id: row for row in connection.execute(sa.select(raw_deleted))}
            for site_id, new in sites.items():
                old = known.get(site_id)
                values = {
                    "at": max(new.at, old.at if old else 0),
                    "received": max(new.received, old.received if old else 0),
                }
                row = insert(connection, raw_deleted).values(site_id=site_id, **values)
                connection.execute(
                    row.on_conflict_do_update(index_elements=[raw_deleted.c.site_id], set_=values)
                )
            body = msgspec.json.encode(kept.going).decode() if kept.going else ""
            values = {"build": kept.build, "month": kept.month, "rows": kept.rows}
            connection.execute(
                visits_kept.insert().values(values | {"fields": " ".join(kept.fields), "body": body})
            )
            builds.changed(connection)

        await self._database.run(write)

    async def gone(self, build: int) -> None:
        """The events of which the build keeps the visits are all deleted."""

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            connection.execute(visits_kept.update().where(visits_kept.c.build == build).values(body=""))
            builds.changed(connection)

        await self._database.run(write)

    async def delete_rollups(self, before: int, month: int, now: int) -> int:
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
