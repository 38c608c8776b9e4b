"""Whether the events of a month are all there: asked before its rollups are replaced by what they say.

Where events are lost, the rollups made of them before are the only true copy of how many they were.
"""

from functools import partial

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.model.calendar import month_end, month_start
from footfall.model.times import DAY_MS
from footfall.rollups.covered import lacking
from footfall.rollups.rows import rows_of
from footfall.state.ledger import of_part, parts
from footfall.state.rollups.builds import Builds
from footfall.state.tables import ledger, raw_deleted
from footfall.store.port import Store

_LATEST = 8 * DAY_MS  # ms from when a live event occurred until it was received: a week, and a margin

_FEWER = """
SELECT site_id FROM (
    SELECT workspace_id, site_id, 1 AS kept, events AS counted FROM rollups
    WHERE cube = 'total' AND (toYYYYMM(at), build) IN {{builds:Array(Tuple(UInt32, UInt64))}}
    UNION ALL
    SELECT workspace_id, site_id, 0, toFloat64(sample_weight) FROM events
    WHERE _partition_id = {{partition:String}} AND {rows}
)
GROUP BY workspace_id, site_id
HAVING sumIf(counted, kept) - sumIf(counted, NOT kept) > 1e-6 * sumIf(counted, kept)
"""

_RECEIVED = """
SELECT site_id, count() FROM events
WHERE workspace_id = {workspace:String} AND NOT startsWith(source, 'import:')
    AND received_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
    AND received_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY site_id
"""


async def incomplete(store: Store, state: Database, month: int) -> list[str]:
    """The sites that have fewer events in a month (YYYYMM) than its rollups, or the ledger, say.

    What is gone of a build makes it say less, so each is asked that has no more rows than it should. The
    ledger knows hours of receipt, so it is asked about what came in live from the month's begin until a
    week after its end; not about sites of which retention deleted events received since. Raises Retryable.
    """
    found = await _fewer_than_rollups(store, Builds(state), month)
    found |= await _fewer_than_ledger(store, state, month_start(month), month_end(month) + _LATEST)
    return sorted(found)


async def _fewer_than_rollups(store: Store, builds: Builds, month: int) -> set[str]:
    manifest, held = await builds.sliced()
    more = {(each.month, each.build) for each in await lacking(store, manifest) if each.there > each.rows}
    published = {(entry.month, entry.build) for entry in manifest.entries if entry.month == month}
    rows = rows_of(held)
    asked = {**rows.parameters, "builds": sorted(published - more) or [(0, 0)], "partition": str(month)}
    return {site for (site,) in await store.query(_FEWER.format(rows=rows.sql), asked, lane="house")}


async def _fewer_than_ledger(store: Store, state: Database, start: int, end: int) -> set[str]:
    deleted = {
        row.site_id
        for row in await state.read(lambda it: it.execute(sa.select(raw_deleted)).all())
        if row.received > start
    }
    found: set[str] = set()
    async for part in parts(state, start, end):
        condition = sa.and_(*of_part(part), ledger.c.outcome == "stored", ~ledger.c.backfilled)
        # The ledger first: what is stored meanwhile makes the rows more.
        stored = await state.read(partial(_stored, where=condition))
        if stored:
            asked = {"workspace": part.workspace_id, "start": part.start, "end": part.end}
            there = dict(await store.query(_RECEIVED, asked, lane="house"))
            found |= {site for site, count in stored.items() if there.get(site, 0) < count}
    return found - deleted


def _stored(connection: Connection, where: sa.ColumnElement[bool]) -> dict[str, int]:
    counted = sa.select(ledger.c.site_id, sa.func.sum(ledger.c.count)).where(where).group_by(ledger.c.site_id)
    return {site: int(count) for site, count in connection.execute(counted).all()}
