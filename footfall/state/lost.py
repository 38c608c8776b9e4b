"""What was acknowledged and is gone from the log: booked once, as received and lost."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

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
    new: defaultdict[int, list[Range]] = defaultdict(list)
    booked: dict[int, list[Range]] = {}
    total = 0
    for each in found:
        known = booked.setdefault(each.shard, _booked(connection, each.shard))
        missing = _outside(each, [*known, *new[each.shard]])
        # Of a part of it only the number of records is known.
        events = -(-each.events * missing // (each.last - each.first + 1))
        if not missing:
            continue
        new[each.shard].append((each.first, each.last))
        hour = hour_of(int(each.at * 1000))
        received = LedgerCount(workspace_id, "", hour, "received", events)
        ledger.add(connection, [received, LedgerCount(workspace_id, "", hour, "lost", events)])
        total += events
    for shard, ranges in new.items():
        mark_booked(connection, shard, ranges)
    if total:
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


def _outside(lost: Lost, ranges: Sequence[Range]) -> int:
    """How many of the offsets of `lost` lie in none of the ranges."""
    inside = sum(max(0, min(last, lost.last) - max(first, lost.first) + 1) for first, last in _joined(ranges))
    return lost.last - lost.first + 1 - inside
