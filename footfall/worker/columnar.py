"""From records to columns: what the log holds by request, the store takes by column.

Python touches each event once per column and never builds a row. All times are ms since
1970 UTC, as in the record.
"""

from collections.abc import Iterable
from typing import Any

from footfall.model.record import RawEvent, Record, SenderContext, event_positions

Columns = dict[str, list[Any]]


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
        "event_id": [e.event_id for e in events],
        "event_type": [e.event_type for e in events],
        "event_version": [e.event_version for e in events],
        "occurred_at": [e.occurred_at for e in events],
        "occurred_at_original": [e.occurred_at_original for e in events],
        "received_at": received_at,
        "source": source,
        "sent_by": [e.sent_by for e in events],
        "workspace_id": workspace_id,
        "site_id": [e.site_id for e in events],
        "link_id": [e.link_id for e in events],
        "short_code": [e.short_code for e in events],
        "destination_url": [e.destination_url for e in events],
        "variant": [e.variant for e in events],
        "via_click_id": [e.via_click_id for e in events],
        "visitor_id": [e.visitor_id for e in events],
        "device_hash": [e.device_hash for e in events],
        "session_id": [e.session_id for e in events],
        "page_url": [e.page_url for e in events],
        "referrer": [e.referrer for e in events],
        "sample_weight": [e.sample_weight for e in events],
        "properties": [e.properties for e in events],
        "utm": [e.utm for e in events],
        "own_referrer": [e.own_referrer for e in events],
        "previous_device": [e.previous_device for e in events],
        "client_id": [e.client_id for e in events],
        "user_agent": [v.user_agent for v in visits],
        "client_hints": [v.client_hints for v in visits],
        "told": [v.told for v in visits],
        "language": [v.language for v in visits],
        "country_code": [v.country_code for v in visits],
        "region": [v.region for v in visits],
        "city": [v.city for v in visits],
        "latitude": [v.latitude for v in visits],
        "longitude": [v.longitude for v in visits],
        "timezone": [v.timezone for v in visits],
        "asn": [v.asn for v in visits],
        "shard": shards,
        "seq": seq,
    }
