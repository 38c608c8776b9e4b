"""Which imported events were already received live.

The rule. A line and a live event are the same occurrence when they are of one kind; for a
click of the same link, for a page view of the same path of the same site; of the same user
agent; of the same device, where both know it (the day's salt still exists); and at the same
time to the second. A second's difference is allowed, because servers note the beginning or
the end of a request; a page view may be up to ten seconds later than its line, because the
browser reports it when the page is there. Each live event stands for one line.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from footfall.enrich.page import parse_page
from footfall.imports.access_log.request import none_if_dash
from footfall.imports.intake import ImportedEvent
from footfall.model.times import DAY_MS
from footfall.store.port import Store

WINDOW = {"click": (-1, 1), "page_view": (-1, 10)}
"""How much later than its line a live event may be: from and to, in seconds."""

_BUCKET = 16  # seconds; more than the width of any window
_REMEMBERED = 200_000

_LIVE = (
    "SELECT event_id, toUnixTimestamp(occurred_at) AS second, event_type, link_id, page_path, user_agent,"
    " device_hash FROM events WHERE workspace_id = {workspace:String}"
    " AND occurred_at BETWEEN fromUnixTimestamp64Milli({first:Int64}, 'UTC')"
    " AND fromUnixTimestamp64Milli({last:Int64}, 'UTC')"
    " AND intDiv(toUnixTimestamp(occurred_at), {width:UInt32}) IN {buckets:Array(UInt32)}"
    " AND NOT startsWith(source, 'import:') AND user_agent IN {agents:Array(String)}"
    " AND (event_type = 'click' AND link_id IN {links:Array(String)}"
    " OR event_type = 'page_view' AND site_id = {site:String} AND page_path IN {paths:Array(String)})"
    " ORDER BY second, event_id"
)

# kind, link or path, user agent
_Key = tuple[str, str, str]


class _Live(NamedTuple):
    second: int
    event_id: bytes
    device: int


class Matcher:
    """Remembers which live event stands for which line, also from one chunk to the next."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._taken: dict[bytes, bytes] = {}  # live event -> imported one

    async def received(
        self, workspace_id: str, site_id: str, found: Sequence[ImportedEvent], devices_known: frozenset[int]
    ) -> set[bytes]:
        """The ids among `found`'s whose occurrence was received live.

        `devices_known`: days (ms // 86,400,000) whose device hashes are those of live events.
        """
        live = await self._live(workspace_id, site_id, found)
        matched: set[bytes] = set()
        for each in sorted(found, key=lambda each: each.event.occurred_at):
            event = each.event
            candidates = live.get(_key(each))
            device = event.device_hash if event.occurred_at // DAY_MS in devices_known else 0
            same = self._first(each, candidates, device) if candidates else None
            if same:
                self._taken[same.event_id] = event.event_id
                matched.add(event.event_id)
        for old in list(self._taken)[: max(0, len(self._taken) - _REMEMBERED)]:
            del self._taken[old]
        return matched

    def _first(self, each: ImportedEvent, candidates: Sequence[_Live], device: int) -> _Live | None:
        """The first candidate in the window of the same device; else the first that may be."""
        before, after = WINDOW[each.event.event_type]
        second = each.event.occurred_at // 1000
        possible = None
        for live in candidates[bisect_left(candidates, (second + before,)) :]:
            if live.second > second + after:
                break
            if self._taken.get(live.event_id, each.event.event_id) != each.event.event_id:
                continue
            if not device or live.device == device:
                return live
            if not live.device and possible is None:
                possible = live
        return possible

    async def _live(
        self, workspace_id: str, site_id: str, found: Sequence[ImportedEvent]
    ) -> Mapping[_Key, Sequence[_Live]]:
        if not found:
            return {}
        times = [each.event.occurred_at for each in found]
        keys = {_key(each) for each in found}
        widest = max(after for _, after in WINDOW.values())
        rows = await self._store.query(
            _LIVE,
            {
                "workspace": workspace_id,
                "site": site_id,
                "first": min(times) - 2000,
                "last": max(times) + (widest + 1) * 1000,
                "width": _BUCKET,
                "buckets": sorted(
                    {(at // 1000 + moved) // _BUCKET for at in times for moved in (-1, widest)}
                ),
                "agents": sorted({agent for _, _, agent in keys} | {"-"}),
                "links": sorted({what for kind, what, _ in keys if kind == "click"}),
                "paths": sorted({what for kind, what, _ in keys if kind == "page_view"}),
            },
            lane="house",
        )
        live: defaultdict[_Key, list[_Live]] = defaultdict(list)
        for event_id, second, kind, link_id, path, agent, device in rows:
            live[kind, link_id if kind == "click" else path, none_if_dash(agent)].append(
                _Live(second, event_id.bytes, device)
            )
        return live


def _key(each: ImportedEvent) -> _Key:
    event = each.event
    what = event.link_id if event.event_type == "click" else _path(event.page_url)
    return event.event_type, what, none_if_dash(each.visit.user_agent)


@lru_cache(10_000)
def _path(page_url: str) -> str:
    return parse_page(page_url, None).page_path
