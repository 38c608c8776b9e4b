"""Where in the log what was received in an hour lies, by shard: the first and the last record.

The times of a log ascend only while no clock is set back, so they cannot be searched. Noted with
each batch; of what was closed by older versions nobody knows.
"""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import insert
from footfall.state.tables import hours_logged as table


class HourLogged(NamedTuple):
    """The offsets of the first and of the last record of a shard that were received in an hour (ms)."""

    hour: int
    shard: int
    first: int
    last: int


def note(connection: Connection, found: Iterable[HourLogged]) -> None:
    """These were closed, each hour of a shard once; of all times the lowest and the highest offset count."""
    values = [each._asdict() | {"shard": f"{each.shard:016x}"} for each in found]
    if not values:
        return
    row = insert(connection, table).values(values)
    first = sa.case((table.c.first < row.excluded.first, table.c.first), else_=row.excluded.first)
    last = sa.case((table.c.last > row.excluded.last, table.c.last), else_=row.excluded.last)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[table.c.hour, table.c.shard], set_={"first": first, "last": last}
        )
    )


def read(connection: Connection, start: int, end: int) -> list[HourLogged]:
    """Of the hours from `start` to `end` (exclusive, ms) what was noted."""
    wanted = sa.select(table).where(table.c.hour >= start, table.c.hour < end)
    return [
        HourLogged(row.hour, int(row.shard, 16), row.first, row.last) for row in connection.execute(wanted)
    ]


def between(noted: Iterable[HourLogged], shard: int) -> tuple[int, int] | None:
    """The first and the last offset of a shard of all that was noted; None if nothing was."""
    mine = [each for each in noted if each.shard == shard]
    return (min(each.first for each in mine), max(each.last for each in mine)) if mine else None
