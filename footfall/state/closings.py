"""When rows were closed, by day: an age that does not hang on the clock by which they were received.

A clock that is behind for an hour (after a boot, until it is set) makes what is received in it look
old: retention would delete it within days. So on each day (UTC) by the clock it is written down how far
the shards are closed. A row was closed before the first of these marks at or above its position. A mark
counts only if no earlier one says that it was later already, since the clock was behind when it was made;
and only once its time has come. Before the first mark nobody knows.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import DAY, Seconds
from footfall.state import lease
from footfall.state.lease import Fence
from footfall.state.ledger import closed_positions
from footfall.state.tables import closings as table


class Mark(NamedTuple):
    """What was closed, by shard up to an offset, at a time (Unix seconds)."""

    at: float
    offsets: Mapping[int, int]


class Closings:
    """The marks that count at a time."""

    def __init__(self, marks: Sequence[Mark], now: Seconds) -> None:
        """`marks` as they were made; `now`: the time that has come for sure (Unix seconds)."""
        self._now = now
        self._known = bool(marks)
        self._offsets: dict[int, list[int]] = {}
        self._times: dict[int, list[float]] = {}
        newest = float("-inf")
        for mark in marks:
            if not newest <= mark.at <= now:
                continue
            newest = mark.at
            for shard, offset in mark.offsets.items():
                offsets = self._offsets.setdefault(shard, [])
                if not offsets or offset > offsets[-1]:
                    offsets.append(offset)
                    self._times.setdefault(shard, []).append(mark.at)

    def until(self, shard: int, seq: int) -> float:
        """When the row was closed at the latest (Unix seconds), and `now` of what came since the last mark.

        0 where nobody knows: it was closed before there were marks.
        """
        if not self._known:
            return 0.0
        at = bisect_left(self._offsets.get(shard, []), seq // SEQ_PER_RECORD)
        times = self._times.get(shard, [])
        return times[at] if at < len(times) else self._now


async def mark(database: Database, fence: Fence | None, now: Seconds, believed: float = 0.0) -> None:
    """Write down what is closed if that was not done on this day; to be called before anything is closed.

    `now`: what the clock says; `believed`: the time that has come for sure, of which a day that is the
    same says that marks of later ones were made by a clock that was ahead. Unix seconds. Raises Retryable,
    and Conflict when the lease was lost.
    """
    last = await database.read(_last)
    if last is not None and last // DAY == now // DAY:
        return

    def write(connection: Connection) -> None:
        lease.check(connection, fence)
        offsets = {f"{shard:016x}": offset for shard, offset in closed_positions(connection).items()}
        body = msgspec.json.encode(offsets).decode()
        if believed // DAY == now // DAY:
            connection.execute(table.delete().where(table.c.at > now))
        # Of what is there at first nobody knows when it was closed.
        at = 0.0 if _last(connection) is None else now
        connection.execute(table.insert().values(at=at, offsets=body))

    await database.run(write)


async def read(database: Database, now: Seconds) -> Closings:
    """The marks that count `now`: when the time has come for sure (Unix seconds). Raises Retryable."""
    wanted = sa.select(table.c.at, table.c.offsets).order_by(table.c.number)
    rows = await database.read(lambda connection: connection.execute(wanted).all())
    marks = [
        Mark(at, {int(shard, 16): offset for shard, offset in msgspec.json.decode(offsets).items()})
        for at, offsets in rows
    ]
    return Closings(marks, now)


def _last(connection: Connection) -> float | None:
    return connection.scalar(sa.select(table.c.at).order_by(table.c.number.desc()).limit(1))
