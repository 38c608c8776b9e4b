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
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import structlog

from footfall.errors import Retryable
from footfall.eventlog.port import EventLog, StoredRecord
from footfall.model.record import SEQ_PER_RECORD, WITHOUT_KEY, RawEvent, decode
from footfall.model.times import Millis, Seconds, to_millis
from footfall.state.dead_letters.letters import Unstored
from footfall.state.ledger import BACKFILLED
from footfall.store.port import Store
from footfall.worker.dedup.by_key import RecentIdsByKey
from footfall.worker.dedup.checkpoint import load, remove, save
from footfall.worker.dedup.keys import ID_BYTES, UNKNOWN_PAYLOAD, Ids, payload_digests
from footfall.worker.dedup.sorted_run import sort
from footfall.worker.dedup.tail import Tail, by_time, closed_through, newest_closed
from footfall.worker.threads import in_thread

log = structlog.get_logger(__name__)

# What is read ahead, of all shards together; of each at least a little.
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
    " AND (source IN {sources:Array(String)}) = {without_key:Bool}"
    " AND (at >= {oldest:Int64} OR seq >= transform(shard, {shards:Array(UInt64)}, {sures:Array(UInt64)},"
    " toUInt64(0))) AND (at, shard, seq) < ({at:Int64}, {shard:UInt64}, {seq:UInt64})"
    " ORDER BY at DESC, shard DESC, seq DESC LIMIT {limit:UInt32}"
)


_CHUNK_LETTERS = 5000
_RETRIED = (
    "SELECT workspace_id, toString(event_id), toUnixTimestamp64Milli(received_at) AS at, shard, seq"
    " FROM events WHERE shard IN {shards:Array(UInt64)}"
    " AND (shard, seq) IN {places:Array(Tuple(UInt64, UInt64))}"
    " AND (source IN {sources:Array(String)}) = {without_key:Bool} ORDER BY at DESC"
)


class _Row(NamedTuple):
    """A row of the store. `received_at` in ms."""

    workspace_id: str
    event_id: str
    received_at: Millis
    shard: int
    seq: int


class _Sent(NamedTuple):
    event: RawEvent
    workspace_id: str
    without_key: bool


class DurableRecentIds:
    """Keeps `recent` over restarts, in the file at `path`."""

    def __init__(self, recent: RecentIdsByKey, path: Path, window: Seconds) -> None:
        self._recent = recent
        self._path = path
        self._window = window
        self._new = 0
        self._saved = time.monotonic()
        self._saving: asyncio.Task[None] | None = None

    async def restore(
        self,
        eventlog: EventLog,
        store: Store,
        closed: Mapping[int, int],
        unstored: Unstored,
        retried: Sequence[tuple[int, int]],
    ) -> None:
        """Know the ids of everything up to the `closed` positions, but of what is `unstored`.

        `retried`: positions of letters that were stored in the end, maybe long after their records came.
        Raises Retryable when the log or the store cannot be read now.
        """
        known = await self._load(closed)
        through = await closed_through(eventlog, closed)
        newest = await newest_closed(eventlog, closed, through)
        oldest = newest - self._window
        # A checkpoint of a shorter window, or of a smaller limit, does not say all.
        anew = known is None or self._recent.lacks(through - self._window)
        size = max(_CHUNK_BYTES // max(len(closed), 1), _LEAST_BYTES)
        tails: list[Tail] = []
        for shard, upto in closed.items():
            sure = _NO_CHECKPOINT if known is None else known.get(shard, -1)
            tails.append(Tail(eventlog, shard, (-1 if anew else sure, upto), sure, oldest, size))
        async for records in by_time(tails):
            await in_thread(self._enter, records, unstored)
        # Last, because a log that is full goes on deleting while it is read.
        missing = [tail for tail in tails if any(tail.missing)]
        for made_here, without_key in product((False, True), repeat=2):
            await self._enter_stored(store, missing, oldest, made_here=made_here, without_key=without_key)
        if anew:
            await self._enter_retried(store, retried)
        if known is None:  # from now on the clock decides nothing
            await self._save(closed)

    async def _load(self, closed: Mapping[int, int]) -> Mapping[int, int] | None:
        """Know what the checkpoint knows, and return its positions; None where none can be used."""
        snapshots = await in_thread(load, self._path)
        if not snapshots:
            return None
        positions = snapshots[0].positions
        if any(closed.get(shard, -1) < at for shard, at in positions.items()):
            return None
        self._recent.restore(snapshots)
        return positions

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
        snapshots = self._recent.snapshot(dict(closed))
        self._new, self._saved = 0, time.monotonic()
        try:
            await in_thread(save, self._path, snapshots)
        except OSError as error:  # the log has it all: the next start takes longer
            log.warning("recent ids: no checkpoint could be written", problem=str(error))

    def _enter(self, records: Sequence[tuple[int, StoredRecord]], unstored: Unstored) -> None:
        """In the order given, in parts of as many ids as are forgotten together."""
        sent: list[_Sent] = []
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
                    sent.append(_Sent(event, record.workspace_id, record.source in WITHOUT_KEY))
            if len(sent) >= self._recent.together:
                self._enter_events(sent, newest, oldest)
                sent, oldest = [], _NO_TIME
        self._enter_events(sent, newest, oldest)

    async def _enter_stored(
        self, store: Store, tails: Sequence[Tail], oldest: float, *, made_here: bool, without_key: bool
    ) -> None:
        """Know ids of rows at the offsets that the log lacks, as many as fit: the newest. Of one kind.

        Those at offsets that are not `sure` only if they were received since `oldest` (Unix s).
        """
        if not tails:
            return
        await store.settle()
        last = _Row("", "", 1 << 62, 0, 0)
        while limit := min(self._recent.room(without_key=without_key), _CHUNK_ROWS):
            found = await store.query(
                _STORED,
                {
                    "shards": [tail.shard for tail in tails],
                    "firsts": [tail.missing[0] * SEQ_PER_RECORD for tail in tails],
                    "ends": [tail.missing[1] * SEQ_PER_RECORD for tail in tails],
                    "sures": [(tail.sure + 1) * SEQ_PER_RECORD for tail in tails],
                    "imported": BACKFILLED,
                    "made_here": made_here,
                    "sources": list(WITHOUT_KEY),
                    "without_key": without_key,
                    "oldest": to_millis(oldest),
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
            await in_thread(self._enter_rows, rows, without_key)
            last = rows[-1]

    async def _enter_retried(self, store: Store, retried: Sequence[tuple[int, int]]) -> None:
        """Know the ids of letters that a retry stored. They are as young as that, whenever they came."""
        for start in range(0, len(retried), _CHUNK_LETTERS):
            places = retried[start : start + _CHUNK_LETTERS]
            for without_key in (False, True):
                found = await store.query(
                    _RETRIED,
                    {
                        "shards": list({shard for shard, _ in places}),
                        "places": places,
                        "sources": list(WITHOUT_KEY),
                        "without_key": without_key,
                    },
                    lane="worker",
                )
                await in_thread(self._enter_rows, [_Row(*row) for row in found], without_key)

    def _enter_rows(self, rows: Sequence[_Row], without_key: bool) -> None:  # noqa: FBT001 -- for in_thread
        for first in range(0, len(rows), self._recent.together):
            part = rows[first : first + self._recent.together]
            event_ids = [UUID(row.event_id).bytes for row in part]
            unknown = [UNKNOWN_PAYLOAD] * len(part)
            workspaces, kinds = [row.workspace_id for row in part], [without_key] * len(part)
            ids = self._recent.identify(workspaces, event_ids, unknown, kinds)
            self._add(ids, part[0].received_at / 1000, part[-1].received_at / 1000)

    def _enter_events(self, sent: Sequence[_Sent], newest: int, oldest: int) -> None:
        """`newest` and `oldest`: when they were received (ms)."""
        ids = self._recent.identify(
            [each.workspace_id for each in sent],
            [each.event.event_id for each in sent],
            payload_digests(each.event for each in sent),
            [each.without_key for each in sent],
        )
        self._add(ids, newest / 1000, oldest / 1000)

    def _add(self, ids: Ids, received_at: Seconds, oldest: float) -> None:
        again = self._recent.check(ids).duplicate
        self._recent.enter(sort(ids, ~again), received_at, oldest)
