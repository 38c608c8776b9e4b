"""Which events are stored already, by their ids."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from footfall.store.port import Lane, Store

# Of the store's DateTime64: ms.
_EARLIEST = -2_208_988_800_000

# An id has no index: of a workspace's events, what occurred earlier is not looked at.
_STORED = (
    "SELECT DISTINCT workspace_id, event_id FROM events WHERE workspace_id IN {workspaces:Array(String)}"
    " AND event_id IN {ids:Array(UUID)} AND occurred_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
)


class EventId(NamedTuple):
    """An id belongs to a workspace: the same one in another is another event."""

    workspace_id: str
    event_id: UUID


async def stored_ids(
    store: Store, ids: Collection[EventId], since: int = _EARLIEST, *, lane: Lane
) -> set[EventId]:
    """Which of these are in the store, of what occurred from `since` (ms) on.

    Raises as `Store.query` does in this lane.
    """
    if not ids:
        return set()
    rows = await store.query(
        _STORED,
        {
            "workspaces": sorted({each.workspace_id for each in ids}),
            "ids": [str(each.event_id) for each in ids],
            "since": max(since, _EARLIEST),
        },
        lane=lane,
    )
    return {EventId(*row) for row in rows}.intersection(ids)
