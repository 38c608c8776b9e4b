"""What the store holds of a range of hours of receipt: the questions of `verify`.

No question remembers more than a few million rows at once: where each row counts, they
are asked in parts of the rows.
"""
# ruff: noqa: S608 -- the statements are put together from constants of this file; values are parameters

from collections.abc import Sequence
from typing import Any, NamedTuple

from footfall.model.record import SEQ_PER_RECORD, WITHOUT_KEY
from footfall.store.port import Store
from footfall.verify.findings import Key, Position

# Distinct values that one question remembers, at 16 bytes each and as much again.
_MOST_DISTINCT = 4_000_000
_MOST_LISTED = 1000

# Ids are remembered by kind: the same one of two kinds is two events.
_WITHOUT_KEY = f"(source IN {WITHOUT_KEY})"
_KIND = f"if(source IN ('redirect', 'pixel'), 2, toUInt8({_WITHOUT_KEY}))"  # 2: made at the door
_RANGE = (
    "received_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')"
    " AND received_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')"
    " AND ({workspace:String} = '' OR workspace_id = {workspace:String})"
)
_HOUR = "toInt64(toUnixTimestamp(toStartOfHour(received_at))) * 1000"
_OPEN = "seq >= transform(shard, {shards:Array(UInt64)}, {ends:Array(UInt64)}, toUInt64(0))"


class Doubled(NamedTuple):
    """Rows that share a position. `rows` of them."""

    key: Key
    position: Position
    rows: int


class DoubledId(NamedTuple):
    """Rows with one client's id, each at its own position, that came at these times (ms, ascending)."""

    workspace_id: str
    site_id: str
    event_id: str
    received_at: Sequence[int]
    without_key: bool


class Rows:
    """Rows received from `start` to `end` (exclusive, ms), of one workspace or of all (None).

    Every method raises StoreDown.
    """

    def __init__(self, store: Store, start: int, end: int, workspace_id: str | None) -> None:
        self._store = store
        self._range: dict[str, Any] = {"start": start, "end": end, "workspace": workspace_id or ""}

    async def by_hour(self, open_from: dict[int, int]) -> dict[Key, tuple[int, int]]:
        """By (workspace, site, hour): how many are closed, and how many lie at or above `open_from`.

        `open_from`: by shard the first seq that is not closed. A shard that is not named has none.
        """
        rows = await self._ask(
            f"SELECT workspace_id, site_id, {_HOUR} AS hour, countIf(NOT ({_OPEN})), countIf({_OPEN})"
            f" FROM events WHERE {_RANGE} GROUP BY workspace_id, site_id, hour",
            **_limits(open_from),
        )
        return {(workspace, site, hour): (closed, above) for workspace, site, hour, closed, above in rows}

    async def open_records(self, open_from: dict[int, int], limit: int) -> dict[tuple[int, int], Key]:
        """The records (shard, offset) at or above `open_from` that have rows, at most `limit`."""
        rows = await self._ask(
            f"SELECT shard, intDiv(seq, {SEQ_PER_RECORD}) AS record, any(workspace_id), any(site_id),"
            f" min({_HOUR}) FROM events WHERE {_RANGE} AND {_OPEN}"
            " GROUP BY shard, record ORDER BY shard, record LIMIT {limit:UInt32}",
            **_limits(open_from),
            limit=limit,
        )
        return {(shard, offset): (workspace, site, hour) for shard, offset, workspace, site, hour in rows}

    async def doubled_positions(self, rows: int) -> list[Doubled]:
        """Positions with several rows, at most 1000; `rows` is about how many there are in the range."""
        found: list[Doubled] = []
        parts = _parts(rows)
        for part in range(parts):
            where = f"{_RANGE} AND cityHash64(shard, seq) % {{parts:UInt32}} = {{part:UInt32}}"
            ((count, distinct),) = await self._ask(
                f"SELECT count(), uniqExact(shard, seq) FROM events WHERE {where}",
                parts=parts,
                part=part,
            )
            if count == distinct:
                continue
            listed = await self._ask(
                f"SELECT any(workspace_id), any(site_id), min({_HOUR}), shard, seq, count() AS n"
                f" FROM events WHERE {where} GROUP BY shard, seq HAVING n > 1"
                f" ORDER BY shard, seq LIMIT {_MOST_LISTED}",
                parts=parts,
                part=part,
            )
            found += [
                Doubled((workspace, site, hour), (shard, seq), n)
                for workspace, site, hour, shard, seq, n in listed
            ]
        return found[:_MOST_LISTED]

    async def doubled_ids(self, since: int, rows: int) -> list[DoubledId]:
        """Ids at several positions, at most 1000, of which the last was received from `since` (ms) on.

        Those of redirects and pixels the door made: who sends one of them as their own sends another event.
        """
        found: list[DoubledId] = []
        parts = _parts(rows)
        for part in range(parts):
            where = f"{_RANGE} AND cityHash64(event_id) % {{parts:UInt32}} = {{part:UInt32}}"
            ((count, distinct),) = await self._ask(
                f"SELECT count(), uniqExact(workspace_id, event_id, {_KIND}) FROM events WHERE {where}",
                parts=parts,
                part=part,
            )
            if count == distinct:
                continue
            listed = await self._ask(
                "SELECT workspace_id, any(site_id), toString(event_id),"
                f" arraySort(groupArray(1000)(toUnixTimestamp64Milli(received_at))) AS times,"
                f" any({_WITHOUT_KEY}) FROM events WHERE {where} GROUP BY workspace_id, event_id, {_KIND}"
                " HAVING uniqExact(shard, seq) > 1 AND times[-1] >= {since:Int64}"
                f" ORDER BY workspace_id, event_id LIMIT {_MOST_LISTED}",
                parts=parts,
                part=part,
                since=since,
            )
            found += [DoubledId(*row) for row in listed]
        return found[:_MOST_LISTED]

    async def all_by_hour(self, *, without_key: bool | None = None) -> dict[int, int]:
        """How many rows there are by hour; of those that came with a key or without, where that is asked."""
        kind = "1" if without_key is None else f"{_WITHOUT_KEY} = {without_key:d}"
        rows = await self._ask(
            f"SELECT {_HOUR} AS hour, count() FROM events WHERE {_RANGE} AND {kind} GROUP BY hour"
        )
        return {hour: count for hour, count in rows}  # noqa: C416 -- dict() would not know the types

    async def _ask(self, text: str, **more: Any) -> Sequence[tuple[Any, ...]]:
        return await self._store.query(text, self._range | more, lane="house")


async def at_positions(
    store: Store, shard: int, seqs: tuple[int, int], occurred: tuple[int, int]
) -> dict[int, list[int]]:
    """By record (offset) the indexes of those of its events that are in the store.

    Within `seqs` and `occurred` (ms), both inclusive.
    """
    rows = await store.query(
        f"SELECT intDiv(seq, {SEQ_PER_RECORD}) AS record, groupUniqArray(toUInt16(seq % {SEQ_PER_RECORD}))"
        " FROM events WHERE shard = {shard:UInt64} AND seq BETWEEN {first:UInt64} AND {last:UInt64}"
        " AND occurred_at BETWEEN fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
        " AND fromUnixTimestamp64Milli({until:Int64}, 'UTC') GROUP BY record",
        {"shard": shard, "first": seqs[0], "last": seqs[1], "since": occurred[0], "until": occurred[1]},
        lane="house",
    )
    return {record: list(indexes) for record, indexes in rows}


def _limits(open_from: dict[int, int]) -> dict[str, Any]:
    # One pair at least: `transform` wants some. No shard is 0.
    return {"shards": [0, *open_from], "ends": [0, *open_from.values()]}


def _parts(rows: int) -> int:
    return max(1, -(-rows // _MOST_DISTINCT))
