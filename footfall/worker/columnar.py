"""From records to columns: what the log holds by request, the store takes by column.

Python touches each event once per column and never builds a row. All times are ms since
1970 UTC, as in the record.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from footfall.model.record import RawEvent, Record, SenderContext, event_positions

Columns = dict[str, list[Any]]

# By its name: what a record has of an event, and of a sender, and the store, or a step of the worker, wants.
_OF_EVENT = [(name, attrgetter(name)) for name in RawEvent.__struct_fields__ if name != "visit"]
_OF_SENDER = [(name, attrgetter(name)) for name in SenderContext.__struct_fields__]


def columns(records: Iterable[tuple[int, int, Record]]) -> Columns:
    """One list per column, all of the same length: one entry per event, in the order given.

    `records`: shard, offset in the shard, and the record.

    They are the columns of `model.columns` that the door fills and, besides, `client_hints`, `told`, `utm`
    and `own_referrer` for the enrichment, `previous_device` for the sessions, and `client_id`: whether the
    event's id is its client's.
    `session_id` is the client's own, 0 where it has none.
    """
    events: list[RawEvent] = []
    visits: list[SenderContext] = []  # of each event
    received_at: list[int] = []
    source: list[str] = []
    workspace_id: list[str] = []
    shards: list[int] = []
    seq: list[int] = []
    for shard, offset, record in records:
        its_events = record.events
        its_visits = record.visits
        count = len(its_events)
        events += its_events
        visits += its_visits * count if len(its_visits) == 1 else [its_visits[e.visit] for e in its_events]
        received_at += [record.received_at] * count
        source += [record.source] * count
        workspace_id += [record.workspace_id] * count
        shards += [shard] * count
        seq += event_positions(offset, count)
    return {
        **{name: list(map(get, events)) for name, get in _OF_EVENT},
        **{name: list(map(get, visits)) for name, get in _OF_SENDER},
        "received_at": received_at,
        "source": source,
        "workspace_id": workspace_id,
        "shard": shards,
        "seq": seq,
    }
