"""What is in the store, roughly: for choosing how to read it."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection

from footfall.database import Database
from footfall.state.batches import BatchPlan
from footfall.state.ledger import closed_positions, of_part, parts
from footfall.state.rollups.builds import Builds
from footfall.state.rollups.manifest import Manifest
from footfall.state.tables import ledger, plans

_REMEMBERED = 60.0  # seconds
_END = 1 << 62  # ms: after all hours


class RowCounts(Struct, frozen=True):
    """What there is of a workspace.

    `sites`: events stored of each of its sites, as of up to a minute ago. `positions`: how far
    each shard is done. `shards`: all that may have events, also those of batches that are not done.
    """

    sites: Mapping[str, int]
    positions: Mapping[int, int]
    shards: frozenset[int]


class StoredEvents:
    """Reads them from the books of the worker."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sites: dict[str, tuple[float, Mapping[str, int]]] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, workspace_id: str) -> RowCounts:
        """What is stored of a workspace. Positions and shards are those of this moment."""
        async with self._asking[workspace_id]:  # the ledger is long: it is read once for all who ask
            until, sites = self._sites.get(workspace_id, (0.0, {}))
            if until < time.monotonic():
                sites = await _sites(self._database, workspace_id)
                self._sites[workspace_id] = (time.monotonic() + _REMEMBERED, sites)
        positions, shards = await self._database.read(_shards)
        return RowCounts(sites, positions, shards)


class RollupState:
    """What the query layer asks of the state."""

    def __init__(self, database: Database) -> None:
        self._builds = Builds(database)
        self._stored = StoredEvents(database)

    async def manifest(self) -> Manifest:
        """What counts now."""
        return await self._builds.manifest()

    async def stored(self, workspace_id: str) -> RowCounts:
        """What is stored of a workspace."""
        return await self._stored.of(workspace_id)


async def _sites(database: Database, workspace_id: str) -> dict[str, int]:
    sites: Counter[str] = Counter()
    async for part in parts(database, 0, _END, workspace_id):
        counted = (
            sa.select(ledger.c.site_id, sa.func.sum(ledger.c.count))
            .where(*of_part(part), ledger.c.outcome == "stored")
            .group_by(ledger.c.site_id)
        )
        for site, count in await database.read(lambda it, counted=counted: it.execute(counted).all()):
            sites[site] += int(count)
    return dict(sites)


def _shards(connection: Connection) -> tuple[dict[int, int], frozenset[int]]:
    positions = closed_positions(connection)
    planned = (
        part.shard
        for body in connection.scalars(sa.select(plans.c.body))
        for part in msgspec.json.decode(body, type=BatchPlan).ranges
    )
    return positions, frozenset({*positions, *planned})
