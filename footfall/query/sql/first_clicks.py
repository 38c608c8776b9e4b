"""Which clicks are the first of a visitor on a link in a day (UTC)."""

from collections.abc import Sequence
from typing import NamedTuple

from footfall.model.times import DAY_MS, Millis
from footfall.store.statement import Statement, Values


class ClickKey(NamedTuple):
    """Of clicks that are one unique click: visitor, link and day (days since 1970)."""

    visitor_id: int
    link_id: str
    day: int


def click_key(visitor_id: int, link_id: str, occurred_at: Millis) -> ClickKey:
    """The key of a click that occurred then (ms)."""
    return ClickKey(visitor_id, link_id, occurred_at // DAY_MS)


def first_clicks(workspace_id: str, keys: Sequence[ClickKey]) -> Statement:
    """Rows of (visitor, link, day, shard, seq): of each of these the first click's place in the log."""
    values = Values()
    days = [key.day for key in keys]
    key = "(visitor_id, toString(link_id), toInt32(intDiv(toUnixTimestamp64Milli(occurred_at), 86400000)))"
    return Statement(
        f"SELECT {key} AS key, argMin((shard, seq), (occurred_at, seq, shard)) FROM events"
        f" WHERE workspace_id = {values.add(workspace_id, 'String')} AND event_type = 'click'"
        f" AND occurred_at >= {values.time(min(days) * DAY_MS)}"
        f" AND occurred_at < {values.time((max(days) + 1) * DAY_MS)}"
        f" AND link_id IN {values.add(sorted({each.link_id for each in keys}), 'Array(String)')}"
        f" AND {key} IN {values.add([tuple(each) for each in keys], 'Array(Tuple(UInt64, String, Int32))')}"
        " GROUP BY key",
        values.parameters,
    )
