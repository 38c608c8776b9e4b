"""What all imports have in common: one chunk at a time, slower than live traffic, each line once.

An event's id is a keyed hash of its line, so what is stored, or on its way there (in the log,
not stored), is known by it. What exists is asked of the store, over the chunk's own time
range; what is on its way is remembered here. For this one process at a time runs imports:
the console, or a command that holds the data directory's lock.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from footfall.errors import LogFull, Retryable
from footfall.eventlog.port import Entry, EventLog
from footfall.imports.clicks.chunk import Refusals
from footfall.imports.clicks.line import RefusedLine
from footfall.imports.runs import Lines, Owner, Registry
from footfall.model.reasons import Reason
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, SenderContext, Tally, encode
from footfall.model.times import now_ms
from footfall.store.port import Store

_PER_RECORD = 1000

# Live traffic goes first: an import waits while the worker is behind, or has this much of ours to do.
_OLDEST = 5.0
_MOST_PENDING = 100_000
_PATIENCE = 20.0  # then the caller is asked to come again

_IN_RANGE = (
    " FROM events WHERE workspace_id = {workspace:String}"
    " AND occurred_at BETWEEN fromUnixTimestamp64Milli({first:Int64}, 'UTC')"
    " AND fromUnixTimestamp64Milli({last:Int64}, 'UTC')"
)
_SOURCES = "SELECT DISTINCT source" + _IN_RANGE
_PRESENT = "SELECT event_id" + _IN_RANGE + " AND event_id IN {ids:Array(UUID)}"


class ImportedEvent(Struct, frozen=True, gc=False):
    """An event of an imported line: its index in the chunk, and what goes to the log."""

    line: int
    event: RawEvent
    visit: SenderContext


class Span(Struct, frozen=True):
    """When the first and the last of some events occurred, in ISO 8601."""

    first: str
    last: str


def span_of(times: Sequence[int]) -> Span | None:
    """Of these times (ms); None of none."""
    if not times:
        return None
    first, last = (datetime.fromtimestamp(at / 1000, UTC) for at in (min(times), max(times)))
    return Span(first.isoformat(timespec="seconds"), last.isoformat(timespec="seconds"))


def by_id(found: Iterable[ImportedEvent]) -> list[ImportedEvent]:
    """Each id once: a caller's wrong occurrence numbers must not store a line twice."""
    return list({each.event.event_id: each for each in found}.values())


def without(found: Iterable[ImportedEvent], ids: set[bytes]) -> list[ImportedEvent]:
    """Those whose id is none of these."""
    return [each for each in found if each.event.event_id not in ids]


def let_go(*lists: list[Any]) -> None:
    """Forget what a chunk was made into. For a thread: it takes the event loop ten milliseconds."""
    for each in lists:
        each.clear()


class Intake:
    """The way of imported events into the log.

    `open_log` opens the log with a shard to append to, at the first chunk: who never imports
    claims none. `consumer` is the worker's name there. `gone`: of a site, before which time (ms) events
    were deleted by age, 0 for none. Hold `turn` from asking what is there
    until all is appended.
    """

    def __init__(
        self,
        open_log: Callable[[], Awaitable[EventLog]],
        store: Store,
        registry: Registry,
        *,
        consumer: str,
        gone: Callable[[str], Awaitable[int]] | None = None,
    ) -> None:
        self.turn = asyncio.Lock()
        self.store = store
        self.registry = registry
        self._open_log = open_log
        self._gone = gone
        self._log: EventLog | None = None
        self._consumer = consumer
        # Ids that are in the log but perhaps not yet in the store, each with the time when its
        # append had returned.
        self._pending: dict[bytes, float] = {}
        # What an earlier process appended is not in `_pending`, so it must be stored first: up to this time
        # of the log, by whatever clock, 0 once it is. None: not known yet.
        self._earlier: float | None = None
        self._latest = time.time()
        # Counts of lines that are registered and could not be written yet.
        self._untold: Counter[tuple[str, str, str, str]] = Counter()

    async def make_room(self) -> None:
        """Wait until the worker has caught up, and forget the pending ids that are stored now.

        A record is stored when the oldest one that is not is younger: that holds over all
        shards. Raises Retryable when it takes long, LogFull.
        """
        log = await self._opened()
        deadline = time.monotonic() + _PATIENCE
        while True:
            backlog = await log.backlog(self._consumer)
            if self._earlier is None:
                self._earlier = backlog.newest
            oldest = backlog.oldest if backlog.records else float("inf")
            if oldest > self._earlier:
                self._earlier = 0.0
                self._pending = {key: at for key, at in self._pending.items() if at >= oldest}
                behind = backlog.records and backlog.oldest_age > _OLDEST
                if not behind and len(self._pending) <= _MOST_PENDING:
                    return
            if time.monotonic() > deadline:
                raise Retryable(
                    "the worker is behind; the import goes on when it has caught up", retry_after=5
                )
            await asyncio.sleep(0.1)

    async def sources(self, workspace_id: str, first: int, last: int) -> set[str]:
        """The sources of the events that are stored of this time (ms, both inclusive)."""
        rows = await self.store.query(
            _SOURCES, {"workspace": workspace_id, "first": first, "last": last}, lane="house"
        )
        return {row[0] for row in rows}

    async def present(self, workspace_id: str, found: Sequence[ImportedEvent]) -> set[bytes]:
        """The ids among these events' that are stored or on their way there."""
        if not found:
            return set()
        times = [each.event.occurred_at for each in found]
        ids = await asyncio.to_thread(lambda: [each.event.event_id.hex() for each in found])
        rows = await self.store.query(
            _PRESENT,
            {"workspace": workspace_id, "first": min(times), "last": max(times), "ids": ids},
            lane="house",
        )
        return await asyncio.to_thread(lambda: {row[0].bytes for row in rows}) | self.pending(found)

    async def settled(
        self,
        site_id: str,
        fresh: Sequence[ImportedEvent],
        chunk: tuple[Lines, Sequence[bool]],
        refusals: Refusals,
    ) -> list[ImportedEvent]:
        """Those of `fresh` that are certainly not there yet; the others are refused.

        Where events were deleted by age there are no ids to compare with: lines that are doubtful beside the
        chunk's known ones may count already.
        """
        runs, known = chunk
        doubtful = await asyncio.to_thread(runs.doubtful, known)
        gone = await self._gone(site_id) if self._gone and any(doubtful) else 0
        kept: list[ImportedEvent] = []
        for each in fresh:
            if doubtful[each.line] and each.event.occurred_at < gone:
                refusals.add(
                    each.line, RefusedLine(Reason.PERHAPS_IMPORTED, "lines beside it were imported before")
                )
            else:
                kept.append(each)
        return kept

    def pending(self, found: Iterable[ImportedEvent]) -> set[bytes]:
        """The ids among these events' that are in the log and perhaps not in the store."""
        return {each.event.event_id for each in found if each.event.event_id in self._pending}

    async def append(self, workspace_id: str, source: str, found: Sequence[ImportedEvent]) -> None:
        """Append in records of a size that the worker likes; safe in the log on return.

        After LogFull some of them may be there: appending again is right, for those that
        `present` does not name.
        """
        parts = (found[start : start + _PER_RECORD] for start in range(0, len(found), _PER_RECORD))
        appending = [self._append_record(workspace_id, source, part) for part in parts]
        # All have their outcome before the first failure is told: who tries again finds what is there.
        for failure in await asyncio.gather(*appending, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _append_record(self, workspace_id: str, source: str, found: Sequence[ImportedEvent]) -> None:
        def record() -> bytes:
            visits: dict[SenderContext, int] = {}
            for each in found:
                each.event.visit = visits.setdefault(each.visit, len(visits))
            return _encoded(workspace_id, source, [each.event for each in found], list(visits), [])

        await self._write(await asyncio.to_thread(record))
        self._latest = max(self._latest, time.time())  # a clock that is set back must not hide a record
        self._pending |= dict.fromkeys((each.event.event_id for each in found), self._latest)

    async def register(self, owner: Owner, runs: Lines, known: Sequence[bool]) -> None:
        """Remember the chunk's runs, those aside of which every line is known."""
        new = await asyncio.to_thread(runs.runs, owner.secret, known)
        await self.registry.add(owner.workspace_id, owner.scope, new, now_ms())

    async def tell(self, workspace_id: str, source: str, tallies: Iterable[Tally]) -> None:
        """Have lines that are no events counted in the ledger.

        Their run is in the registry, so they are never counted again; a crash at this moment
        may lose the counts, never an event. What the log cannot take now goes with the next.
        """
        for tally in tallies:
            self._untold[workspace_id, source, tally.site_id, tally.reason] += tally.count
        waiting: dict[tuple[str, str], list[Tally]] = {}
        for (workspace, of, site_id, reason), count in self._untold.items():
            waiting.setdefault((workspace, of), []).append(Tally(site_id, reason, count))
        for (workspace, of), theirs in waiting.items():
            try:
                await self._write(_encoded(workspace, of, [], [], theirs))
            except LogFull:
                return
            for tally in theirs:
                del self._untold[workspace, of, tally.site_id, tally.reason]

    async def _write(self, record: bytes) -> None:
        log = await self._opened()
        await log.append(Entry(key="import", data=record))

    async def _opened(self) -> EventLog:
        if self._log is None:
            self._log = await self._open_log()
        return self._log


def _encoded(
    workspace_id: str,
    source: str,
    events: list[RawEvent],
    visits: list[SenderContext],
    tallies: list[Tally],
) -> bytes:
    return encode(Record(FORMAT_VERSION, now_ms(), workspace_id, source, events, visits, tallies))
