"""The recent ids over a restart: a checkpoint, and the log's records since then.

The tail comes from the log rather than from the store (decision 0007): the log knows which ids
their clients sent. It keeps records for a week, unless it is full: what it deleted since the
checkpoint is asked of the store. Of what came after a checkpoint every id is entered, whenever it
came: it is newer than all that the checkpoint knows, and a clock may have been wrong meanwhile. How old
something is decides only where there is no checkpoint, or it knows less than it should. There the log's
time counts, not the clock's: what waits in the log may be a resend of what came just before it, however
long ago that was.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import structlog

from footfall.errors import Retryable
from footfall.eventlog.port import EventLog, StoredRecord
from footfall.model.record import SEQ_PER_RECORD, RawEvent, decode
from footfall.state.dead_letters.letters import Unstored
from footfall.state.ledger import BACKFILLED
from footfall.store.port import Store
from footfall.worker.dedup.checkpoint import load, remove, save
from footfall.worker.dedup.index import RecentIds
from footfall.worker.dedup.keys import ID_BYTES, UNKNOWN_PAYLOAD, Ids, payload_digests
from footfall.worker.dedup.sorted_run import sort
from footfall.worker.threads import in_thread

log = structlog.get_logger(__name__)

# What is read ahead, of all shards together; of each at least a little.
_CHUNK_RECORDS = 20_000
_CHUNK_BYTES = 8 << 20
_LEAST_BYTES = 64 << 10

# A checkpoint is written after so many new ids, or so many seconds with any.
_NEW_IDS = 1_000_000
_SECONDS = 60.0


# Rows of the store at once.
_CHUNK_ROWS = 200_000

_NO_TIME = 1 << 62  # ms, later than any

_NO_CHECKPOINT = (1 << 51) - 1  # an offset that no record has

# Whether a row's id is its client's is not known there. One that was made at the door never comes again; it
# bears the time of receipt, as a client's does now and then. The newest come first.
_STORED = (
    "SELECT workspace_id, toString(event_id), toUnixTimestamp64Milli(received_at) AS at, shard, seq"
    " FROM events WHERE shard IN {shards:Array(UInt64)} AND seq >= transform(shard, {shards:Array(UInt64)},"
    " {firsts:Array(UInt64)}, toUInt64(0)) AND seq < transform(shard, {shards:Array(UInt64)},"
    " {ends:Array(UInt64)}, toUInt64(0)) AND NOT startsWith(source, {imported:String})"
    " AND (UUIDv7ToDateTime(event_id, 'UTC') = received_at) = {made_here:Bool}"
    " AND (at >= {oldest:Int64} OR seq >= transform(shard, {shards:Array(UInt64)}, {sures:Array(UInt64)},"
    " toUInt64(0))) AND (at, shard, seq) < ({at:Int64}, {shard:UInt64}, {seq:UInt64})"
    " ORDER BY at DESC, shard DESC, seq DESC LIMIT {limit:UInt32}"
)


class _Row(NamedTuple):
    """A row of the store. `received_at` in ms."""

    workspace_id: str
    event_id: str
    received_at: int
    shard: int
    seq: int


class DurableRecentIds:
    """Keeps `recent` over restarts, in the file at `path`."""

    def __init__(self, recent: RecentIds, path: Path, window: float) -> None:
        self._recent = recent
        self._path = path
        self._window = window
        self._new = 0
        self._saved = time.monotonic()
        self._saving: asyncio.Task[None] | None = None

    async def restore(
        self, eventlog: EventLog, store: Store, closed: Mapping[int, int], unstored: Unstored
    ) -> None:
        """Know the ids of everything up to the `closed` positions, but of what is `unstored`.

        Raises Retryable when the log or the store cannot be read now.
        """
        known = await self._load(closed)
        through = await _closed_through(eventlog, closed)
        newest = await _newest_closed(eventlog, closed, through)
        oldest = newest - self._window
        # A checkpoint of a shorter window, or of a smaller limit, does not say all.
        anew = known is None or self._recent.lacks(through - self._window)
        size = max(_CHUNK_BYTES // max(len(closed), 1), _LEAST_BYTES)
        tails: list[_Tail] = []
        for shard, upto in closed.items():
            sure = _NO_CHECKPOINT if known is None else known.get(shard, -1)
            tails.append(_Tail(eventlog, shard, (-1 if anew else sure, upto), sure, oldest, size))
        async for records in _by_time(tails):
            await in_thread(self._enter, records, unstored)
        # Last, because a log that is full goes on deleting while it is read.
        missing = [tail for tail in tails if any(tail.missing)]
        for made_here in (False, True):
            await self._enter_stored(store, missing, oldest, made_here=made_here)
        if known is None:  # from now on the clock decides nothing
            await self._save(closed)

    async def _load(self, closed: Mapping[int, int]) -> Mapping[int, int] | None:
        """Know what the checkpoint knows, and return its positions; None where none can be used."""
        snapshot = await in_thread(load, self._path)
        if not snapshot or any(closed.get(shard, -1) < at for shard, at in snapshot.positions.items()):
            return None
        self._recent.restore(snapshot)
        return snapshot.positions

    def entered(self, count: int, closed: Mapping[int, int]) -> None:
        """So many ids were entered; `closed` are the positions they go up to. Saves when it is time."""
        self._new += count
        if self._saving and not self._saving.done():
            return
        waited = time.monotonic() - self._saved
        if self._new >= _NEW_IDS or (self._new and waited >= _SECONDS):
            self._saving = asyncio.create_task(self._save(closed))

    async def enter_late(self, ids: Ids, oldest: float) -> None:
        """Know these ids, of positions that the checkpoint claims to cover: it goes first.

        `oldest`: when the first of them was received (Unix seconds). Raises Retryable when it cannot be
        removed now.
        """
        if self._saving:
            await self._saving
        try:
            await in_thread(remove, self._path)
        except OSError as error:
            raise Retryable(f"the checkpoint of the recent ids cannot be removed: {error}") from error
        self._saved = float("-inf")
        await in_thread(self._add, ids, time.time(), oldest)
        self._new += len(ids.key)

    async def close(self, closed: Mapping[int, int]) -> None:
        """Save what is new, so that the next start reads no tail."""
        if self._saving:
            await self._saving
        if self._new:
            await self._save(closed)

    async def _save(self, closed: Mapping[int, int]) -> None:
        snapshot = self._recent.snapshot(dict(closed))
        self._new, self._saved = 0, time.monotonic()
        try:
            await in_thread(save, self._path, snapshot)
        except OSError as error:  # the log has it all: the next start takes longer
            log.warning("recent ids: no checkpoint could be written", problem=str(error))

    def _enter(self, records: Sequence[tuple[int, StoredRecord]], unstored: Unstored) -> None:
        """In the order given, in parts of as many ids as are forgotten together."""
        workspaces: list[str] = []
        events: list[RawEvent] = []
        newest, oldest = 0, _NO_TIME
        for shard, (offset, _, data) in records:
            try:
                record = decode(data) if data is not None else None
            except ValueError:
                record = None
            if record is None or (shard, offset) in unstored.records:
                continue
            newest, oldest = max(newest, record.received_at), min(oldest, record.received_at)
            for index, event in enumerate(record.events):
                known = event.client_id and len(event.event_id) == ID_BYTES
                if known and (shard, offset * SEQ_PER_RECORD + index) not in unstored.events:
                    workspaces.append(record.workspace_id)
                    events.append(event)
            if len(events) >= self._recent.together:
                self._enter_events(workspaces, events, newest, oldest)
                workspaces, events, oldest = [], [], _NO_TIME
        self._enter_events(workspaces, events, newest, oldest)

    async def _enter_stored(
        self, store: Store, tails: Sequence["_Tail"], oldest: float, *, made_here: bool
    ) -> None:
        """Know ids of rows at the offsets that the log lacks, as many as fit: the newest.

        Those at offsets that are not `sure` only if they were received since `oldest` (Unix s).
        """
        if not tails:
            return
        await store.settle()
        last = _Row("", "", 1 << 62, 0, 0)
        while limit := min(self._recent.room, _CHUNK_ROWS):
            found = await store.query(
                _STORED,
                {
                    "shards": [tail.shard for tail in tails],
                    "firsts": [tail.missing[0] * SEQ_PER_RECORD for tail in tails],
                    "ends": [tail.missing[1] * SEQ_PER_RECORD for tail in tails],
                    "sures": [(tail.sure + 1) * SEQ_PER_RECORD for tail in tails],
                    "imported": BACKFILLED,
                    "made_here": made_here,
                    "oldest": int(oldest * 1000),
                    "at": last.received_at,
                    "shard": last.shard,
                    "seq": last.seq,
                    "limit": limit,
                },
                lane="worker",
            )
            if not found:
                return
            rows = [_Row(*row) for row in found]
            await in_thread(self._enter_rows, rows)
            last = rows[-1]

    def _enter_rows(self, rows: Sequence[_Row]) -> None:
        for first in range(0, len(rows), self._recent.together):
            part = rows[first : first + self._recent.together]
            event_ids = [UUID(row.event_id).bytes for row in part]
            unknown = [UNKNOWN_PAYLOAD] * len(part)
            ids = self._recent.identify([row.workspace_id for row in part], event_ids, unknown)
            self._add(ids, part[0].received_at / 1000, part[-1].received_at / 1000)

    def _enter_events(
        self, workspaces: Sequence[str], events: Sequence[RawEvent], newest: int, oldest: int
    ) -> None:
        """`newest` and `oldest`: when they were received (ms)."""
        ids = self._recent.identify(workspaces, [event.event_id for event in events], payload_digests(events))
        self._add(ids, newest / 1000, oldest / 1000)

    def _add(self, ids: Ids, received_at: float, oldest: float) -> None:
        again = self._recent.check(ids).duplicate
        self._recent.enter(sort(ids, ~again), received_at, oldest)


class _Tail:
    """Closed records of one shard between two offsets.

    All behind `sure`; of those up to there the first that was appended at `oldest` (Unix seconds) or
    later, and all after that one. Each is as new as the newest before it, whatever the clock said
    when it was appended. What the log did not have lies within `missing`: offsets, the second one
    excluded. A full log deletes what is stored whatever its age.
    """

    def __init__(
        self,
        eventlog: EventLog,
        shard: int,
        between: tuple[int, int],
        sure: int,
        oldest: float,
        size: int,
    ) -> None:
        self._eventlog = eventlog
        self.shard = shard
        self.sure = sure
        self.missing = (0, 0)
        self._after, self._upto = between
        self._oldest = oldest
        self._size = size
        self._newest = 0.0
        self._waiting: Sequence[StoredRecord] = ()
        self._more = self._after < self._upto

    async def fill(self) -> None:
        """Read on until something waits, or all was read. Raises Retryable."""
        while self._more and not self._waiting:
            read = await self._eventlog.read(self.shard, self._after, _CHUNK_RECORDS, self._size)
            self._note_missing(read)
            self._more = bool(read) and read[-1].offset < self._upto
            self._after = read[-1].offset if read else self._upto
            self._waiting = [each for each in map(self._placed, read) if self._wanted(each)]

    def _placed(self, record: StoredRecord) -> StoredRecord:
        """It, appended no sooner than those before it."""
        self._newest = max(self._newest, record.appended_at)
        return record._replace(appended_at=self._newest)

    def _wanted(self, record: StoredRecord) -> bool:
        new = record.offset > self.sure or record.appended_at >= self._oldest
        return new and record.offset <= self._upto

    def _note_missing(self, read: Sequence[StoredRecord]) -> None:
        closed = sum(each.offset <= self._upto for each in read)  # behind them there may be many more
        first = self._after + 1
        end = min(read[-1].offset if read else self._upto, self._upto) + 1
        if end - first > closed:
            self.missing = (self.missing[0] if any(self.missing) else first, end)

    @property
    def known_until(self) -> float:
        """When the last record that waits was appended; nothing older is still to be read."""
        return self._waiting[-1].appended_at if self._more else float("inf")

    def take(self, until: float) -> list[tuple[int, StoredRecord]]:
        """What waits and was appended until then, with its shard."""
        taken = [(self.shard, each) for each in self._waiting if each.appended_at <= until]
        self._waiting = [each for each in self._waiting if each.appended_at > until]
        return taken


async def _by_time(tails: Sequence[_Tail]) -> AsyncGenerator[list[tuple[int, StoredRecord]]]:
    """The records of all shards in the order of time, a part of them at once.

    So the newest ids are remembered when there are too many, whichever door they came through.
    """
    while True:
        for tail in tails:
            await tail.fill()
        until = min((tail.known_until for tail in tails), default=float("inf"))
        records = [each for tail in tails for each in tail.take(until)]
        if not records:
            return
        yield sorted(records, key=lambda each: each[1].appended_at)


async def _closed_through(eventlog: EventLog, closed: Mapping[int, int]) -> float:
    """When the oldest record that is not closed was appended, in Unix seconds; now, if there is none."""
    through = time.time()
    for shard in await eventlog.shards():
        for waiting in await eventlog.read(shard, closed.get(shard, -1), 1, 1):
            through = min(through, waiting.appended_at)
    return through


async def _newest_closed(eventlog: EventLog, closed: Mapping[int, int], through: float) -> float:
    """When the newest closed record was appended (Unix seconds), `through` at most.

    From there the tail counts: after days of rest, or with a clock that stands days ahead, the last
    ids are remembered all the same.
    """
    times = [
        last.appended_at
        for shard, upto in closed.items()
        for last in await eventlog.read(shard, upto - 1, 1, 1)
        if last.offset <= upto
    ]
    return min(max(times, default=through), through)
