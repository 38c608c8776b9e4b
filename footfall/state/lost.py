"""What was acknowledged and is gone from the log: booked once, as received and lost."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.model.times import to_millis
from footfall.state import lease, ledger
from footfall.state.lease import Fence
from footfall.state.ledger import LedgerCount, hour_of
from footfall.state.tables import losses_booked, lost_ranges

Range = tuple[int, int]
"""Offsets of a shard, both included."""


class Lost(NamedTuple):
    """The records `first` to `last` (offsets) of a shard; of whom its events were, nobody knows any more."""

    shard: int
    first: int
    last: int
    events: int
    at: float  # Unix seconds


def book(connection: Connection, fence: Fence | None, workspace_id: str, found: Iterable[Lost]) -> int:
    """Book what is not booked yet, for that workspace; returns how many events these are.

    In the caller's transaction. Raises Conflict when the lease was taken over.
    """
    lease.check(connection, fence)
    by_shard: defaultdict[int, list[Lost]] = defaultdict(list)
    for each in found:
        by_shard[each.shard].append(each)
    by_hour: Counter[int] = Counter()
    for shard, losses in by_shard.items():
        known = _joined(_booked(connection, shard))
        reach = -1  # of those before
        for each in sorted(losses, key=lambda each: each.first):
            missing = _outside((max(each.first, reach + 1), each.last), known)
            reach = max(reach, each.last)
            # Of a part of it only the number of records is known.
            by_hour[hour_of(to_millis(each.at))] += -(-each.events * missing // _size(each.first, each.last))
        mark_booked(connection, shard, [(each.first, each.last) for each in losses])
    lines = [
        LedgerCount(workspace_id, "", hour, outcome, events)
        for hour, events in by_hour.items()
        for outcome in ("received", "lost")
        if events
    ]
    ledger.add(connection, lines)
    if total := by_hour.total():
        connection.execute(losses_booked.insert().values(at=time.time(), events=total))
    return total


def booked_since(connection: Connection, at: float) -> int:
    """How many events were booked as lost at `at` (Unix seconds) or later."""
    table = losses_booked
    return int(connection.scalar(sa.select(sa.func.sum(table.c.events)).where(table.c.at >= at)) or 0)


def mark_booked(connection: Connection, shard: int, ranges: Iterable[Range]) -> None:
    """Whatever of these is gone from the log stands in the ledger already. In the caller's transaction."""
    table, name = lost_ranges, f"{shard:016x}"
    known = _joined([*_booked(connection, shard), *ranges])
    connection.execute(table.delete().where(table.c.shard == name))
    if known:
        rows = [{"shard": name, "first": first, "last": last} for first, last in known]
        connection.execute(table.insert(), rows)


def _booked(connection: Connection, shard: int) -> list[Range]:
    table = lost_ranges
    mine = sa.select(table.c.first, table.c.last).where(table.c.shard == f"{shard:016x}")
    return [(row.first, row.last) for row in connection.execute(mine)]


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """The same offsets in as few ranges as there can be, in order."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _outside(part: Range, ranges: Sequence[Range]) -> int:
    """How many offsets of the part lie in none of the ranges, of which no two share any."""
    first, last = part
    inside = sum(_size(max(one, first), min(other, last)) for one, other in ranges)
    return _size(first, last) - inside


def _size(first: int, last: int) -> int:
    return max(0, last - first + 1)
