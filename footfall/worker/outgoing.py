"""Stored events to `events_topic`, as JSON in the fields that services know; at least once.

What is to go out is read from the store, so it is what reports count: deduplicated and enriched.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from footfall.enrich.countries import country_names
from footfall.state.outgoing import Outgoing, OutgoingRange
from footfall.store.port import Store
from footfall.topics.outbox import Outbox, Outgone

_RANGES = 20  # taken at once
_ROWS = 5000  # read at once
_READ = (
    "SELECT seq, toString(event_id) AS event_id, event_type, occurred_at, workspace_id, site_id, link_id,"
    " short_code, destination_url, variant, page_url, page_path, referrer AS referer,"
    " referrer_host AS referer_host, channel, country_code, region, city,"
    " if(isNaN(latitude), NULL, latitude) AS latitude, if(isNaN(longitude), NULL, longitude) AS longitude,"
    " timezone, device_type, browser, browser_version, os, os_version, user_agent, language, is_bot,"
    " bot_name, utm_source, utm_medium, utm_campaign, utm_term, utm_content,"
    " if(visitor_id = 0, '', leftPad(lower(hex(visitor_id)), 16, '0')) AS visitor_id,"
    " if(session_id = 0, '', leftPad(lower(hex(session_id)), 16, '0')) AS session_id, properties"
    " FROM events WHERE shard = {shard:UInt64} AND seq BETWEEN {first:UInt64} AND {last:UInt64}"
    " ORDER BY seq LIMIT {limit:UInt64}"
)
_OUR_OWN = ("seq", "occurred_at")

_encoder = msgspec.json.Encoder()


class Publisher:
    """Takes what is noted as outgoing to the topic."""

    def __init__(self, store: Store, outgoing: Outgoing, outbox: Outbox) -> None:
        self._store = store
        self._outgoing = outgoing
        self._outbox = outbox

    async def work(self) -> bool:
        """A round; returns whether there was something. Raises Retryable: then it goes out again, whole."""
        ranges = await self._outgoing.next(_RANGES)
        for each in ranges:
            await self._publish(each)
            await self._outgoing.done([each])
        return bool(ranges)

    async def _publish(self, part: OutgoingRange) -> None:
        first, more = part.first, True
        while more:
            bounds = {"shard": part.shard, "first": first, "last": part.last, "limit": _ROWS}
            rows = (await self._store.arrow(_READ, bounds, lane="house")).to_pylist()
            more = len(rows) == _ROWS
            if rows:
                first = rows[-1]["seq"] + 1
                await self._outbox.write(await asyncio.to_thread(_messages, rows))


def _messages(rows: Sequence[dict[str, Any]]) -> list[Outgone]:
    return list(_each(rows))


def _each(rows: Sequence[dict[str, Any]]) -> Iterator[Outgone]:
    names = country_names()
    for row in rows:
        at: datetime = row["occurred_at"]
        event = {name: value for name, value in row.items() if name not in _OUR_OWN} | {
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "country": names.get(row["country_code"], ""),
            "properties": msgspec.Raw(row["properties"].encode() or b"{}"),
        }
        yield Outgone(row["link_id"] or row["visitor_id"] or row["workspace_id"], _encoder.encode(event))
