"""What was acknowledged and is gone from the log: booked once, as received and lost."""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.state import lease, ledger
from footfall.state.lease import Fence
from footfall.state.ledger import LedgerCount, hour_of
from footfall.state.tables import insert, lost_records


class Lost(NamedTuple):
    """Records up to the offset `last` of a shard; of whom its events were, nobody knows any more."""

    shard: int
    last: int
    events: int
    at: float  # Unix seconds


def book(connection: Connection, fence: Fence | None, workspace_id: str, found: Iterable[Lost]) -> int:
    """Book what is not booked yet, for that workspace; returns how many events these are.

    In the caller's transaction. Raises Conflict when the lease was taken over.
    """
    lease.check(connection, fence)
    booked = {int(row.shard, 16): row.offset for row in connection.execute(sa.select(lost_records))}
    new = [each for each in found if each.last > booked.get(each.shard, -1)]
    for each in new:
        hour = hour_of(int(each.at * 1000))
        received = LedgerCount(workspace_id, "", hour, "received", each.events)
        ledger.add(connection, [received, LedgerCount(workspace_id, "", hour, "lost", each.events)])
    for shard in {each.shard for each in new}:
        last = max(each.last for each in new if each.shard == shard)
        row = insert(connection, lost_records).values(shard=f"{shard:016x}", offset=last)
        connection.execute(
            row.on_conflict_do_update(index_elements=[lost_records.c.shard], set_={"offset": last})
        )
    return sum(each.events for each in new)
