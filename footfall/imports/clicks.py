"""Imports of click files: lines -> the clicks that are not stored yet -> the log.

An event's id is a keyed hash of its line and of how many identical lines the file had so far,
so an import can be repeated, broken off and continued, and adds only what is missing. What
exists is asked of the store, over the chunk's own time range; what is on its way there (in
the log, not stored) is remembered here. For this one process at a time runs imports: the
console, or a command that holds the data directory's lock.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from footfall.errors import Retryable
from footfall.eventlog.port import Entry, EventLog
from footfall.imports.chunk import Numbered, Problem, checked_format, read, with_links
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, Tally, Visit, encode
from footfall.store.port import Store
from footfall.tenants.model import Link, Workspace

_PER_RECORD = 1000

# Live traffic goes first: an import waits while the worker is behind, or has this much of ours to do.
_OLDEST = 5.0
_MOST_PENDING = 100_000
_PATIENCE = 20.0  # then the caller is asked to come again

_PRESENT = (
    "SELECT event_id FROM events WHERE workspace_id = {workspace:String}"
    " AND occurred_at BETWEEN fromUnixTimestamp64Milli({first:Int64}, 'UTC')"
    " AND fromUnixTimestamp64Milli({last:Int64}, 'UTC')"
    " AND event_id IN {ids:Array(UUID)}"
)


class Links(Protocol):
    """What is needed of the links: they are there when it returns."""

    async def ensure_links(
        self, workspace_id: str, wanted: Sequence[tuple[str, str, str]]
    ) -> tuple[Mapping[tuple[str, str], Link], int]:
        """For each (domain, code, url) its link, by (domain, code), and how many were made.

        Left out is what no link may be.
        """
        ...


class Outcome(Struct, frozen=True):
    """What became of a chunk. `problems` tells of the first refused lines, heartbeats aside."""

    accepted: int
    present: int
    rejected: dict[str, int]
    links_created: int
    problems: list[Problem]


class Importer:
    """Takes chunks of lines, one chunk at a time.

    `open_log` opens the log with a shard to append to, at the first chunk: who never imports
    claims none. `consumer` is the worker's name there.
    """

    def __init__(
        self, open_log: Callable[[], Awaitable[EventLog]], store: Store, links: Links, *, consumer: str
    ) -> None:
        self._open_log = open_log
        self._log: EventLog | None = None
        self._store = store
        self._links = links
        self._consumer = consumer
        self._turn = asyncio.Lock()
        # Ids that are in the log but perhaps not yet in the store, each with the time when its
        # append had returned.
        self._pending: dict[bytes, float] = {}
        # What an earlier process appended is not in `_pending`, so it must be stored first.
        self._started = self._latest = time.time()

    async def add(
        self, workspace: Workspace, format_name: str, lines: Sequence[str], occurrences: Sequence[int]
    ) -> Outcome:
        """Append the clicks of `lines` that are missing; returns when they are safe in the log.

        `occurrences[i]` is the number of lines identical to `lines[i]` in the file up to and
        including it, so at least 1. Raises Invalid for a wrong chunk, Retryable when the
        worker is too far behind or the log is full; repeating the chunk is right after both.
        """
        parse = checked_format(format_name, lines, occurrences)
        found, refusals = await asyncio.to_thread(read, parse, workspace.secret, lines, occurrences)
        links, created = await self._ensure_links(workspace.id, found)
        clicks = with_links(found, links, refusals)
        async with self._turn:
            self._log = log = self._log or await self._open_log()
            await self._make_room(log)
            present = await self._present(workspace.id, clicks)
            # By key: a caller's wrong occurrence numbers must not store a line twice.
            fresh = {each.key: each for each in clicks if each.key not in present}
            record = Record(
                version=FORMAT_VERSION,
                received_at=int(time.time() * 1000),
                workspace_id=workspace.id,
                source=f"import:{format_name}",
                events=[],
                visits=[],
                tallies=[Tally("", reason, count) for reason, count in refusals.counts.items()],
            )
            await self._append(log, record, list(fresh.values()), links)
        return Outcome(
            accepted=len(fresh),
            present=len(clicks) - len(fresh),
            rejected=dict(sorted(refusals.counts.items())),
            links_created=created,
            problems=refusals.problems,
        )

    async def _ensure_links(
        self, workspace_id: str, clicks: Sequence[Numbered]
    ) -> tuple[Mapping[tuple[str, str], Link], int]:
        targets: dict[tuple[str, str], str] = {}
        for _, click, _ in clicks:
            targets.setdefault((click.domain, click.code), click.url)
        return await self._links.ensure_links(
            workspace_id, [(domain, code, url) for (domain, code), url in targets.items()]
        )

    async def _make_room(self, log: EventLog) -> None:
        """Wait until the worker has caught up, and forget the pending ids that are stored now.

        A record is stored when the oldest one that is not is younger: that holds over all
        shards, and for what was appended before this process began.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            now = time.time()
            backlog = await log.backlog(self._consumer)
            oldest = now - backlog.oldest_age if backlog.records else float("inf")
            if oldest > self._started:
                self._pending = {key: at for key, at in self._pending.items() if at >= oldest}
                behind = backlog.records and backlog.oldest_age > _OLDEST
                if not behind and len(self._pending) <= _MOST_PENDING:
                    return
            if time.monotonic() > deadline:
                raise Retryable(
                    "the worker is behind; the import goes on when it has caught up", retry_after=5
                )
            await asyncio.sleep(0.1)

    async def _present(self, workspace_id: str, clicks: Sequence[Numbered]) -> set[bytes]:
        """The keys among these clicks' that are stored or on their way there."""
        if not clicks:
            return set()
        times = [each.click.occurred_at for each in clicks]
        rows = await self._store.query(
            _PRESENT,
            {
                "workspace": workspace_id,
                "first": min(times),
                "last": max(times),
                "ids": [each.key.hex() for each in clicks],
            },
        )
        return {row[0].bytes for row in rows} | {each.key for each in clicks if each.key in self._pending}

    async def _append(
        self,
        log: EventLog,
        record: Record,
        fresh: Sequence[Numbered],
        links: Mapping[tuple[str, str], Link],
    ) -> None:
        """Append in records of a size that the worker likes; the tallies go with the first."""
        for start in range(0, len(fresh), _PER_RECORD) or ([0] if record.tallies else []):
            part = fresh[start : start + _PER_RECORD]
            record.events, record.visits = _events(part, links)
            await log.append(Entry(key="import", data=encode(record)))
            self._latest = max(self._latest, time.time())  # a clock that is set back must not hide a record
            self._pending |= dict.fromkeys((each.key for each in part), self._latest)
            record.tallies = []


def _events(
    clicks: Sequence[Numbered], links: Mapping[tuple[str, str], Link]
) -> tuple[list[RawEvent], list[Visit]]:
    visits: dict[Visit, int] = {}
    events = [
        RawEvent(
            event_id=key,
            event_type="click",
            occurred_at=click.occurred_at,
            visit=visits.setdefault(click.visit, len(visits)),
            referrer=click.referrer,
            properties=click.properties,
            link_id=links[click.domain, click.code].id,
            short_code=click.code,
            destination_url=click.url,
        )
        for key, click, _ in clicks
    ]
    return events, list(visits)
