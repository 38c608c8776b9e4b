"""How far back the worker's ids reached when it decided about what was received in an hour.

Ids are forgotten no faster than the worker lives, so a duplicate's first copy may be older than the
window: old enough that its row was deleted by age. `verify` asks here, where it finds no first copy.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.state.tables import ids_known as table


def note(connection: Connection, known: Mapping[int, int]) -> None:
    """By hour, when the oldest event came whose id was known (ms); of several the oldest counts."""
    if not known:
        return
    row = insert(connection, table).values([{"hour": hour, "since": at} for hour, at in known.items()])
    oldest = sa.case((table.c.since < row.excluded.since, table.c.since), else_=row.excluded.since)
    connection.execute(row.on_conflict_do_update(index_elements=[table.c.hour], set_={"since": oldest}))


async def known_since(database: Database, start: int, end: int) -> dict[int, int]:
    """What was noted of the hours from `start` to `end` (exclusive, ms). Raises Retryable."""
    wanted = sa.select(table).where(table.c.hour >= start, table.c.hour < end)
    rows = await database.read(lambda connection: connection.execute(wanted).all())
    return {row.hour: row.since for row in rows}
