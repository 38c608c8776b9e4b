"""Reading on: the records of all shards, decoded and cut into batches.

A batch takes whole records, of each shard a run without a hole. A record that cannot be
read is in its batch like the others: what becomes of it is decided where the batch is prepared.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from footfall.eventlog.port import EventLog, Stored
from footfall.model.record import SEQ_PER_RECORD, NewerRecord, Record, decode, event_positions
from footfall.settings import Settings
from footfall.state.batches import Range
from footfall.state.letters import DAMAGED, NEWER_FORMAT, UNDECODABLE
from footfall.worker.threads import in_thread

# What is read from one shard before it is the next one's turn.
_CHUNK_BYTES = 4 << 20
_CHUNK_RECORDS = 20_000


class Placed(NamedTuple):
    """A record and its place in the log.

    `record` is None when it could not be read: `reason` says why, and `data` holds its bytes, if any.
    """

    shard: int
    offset: int
    appended_at: float  # Unix seconds
    size: int
    record: Record | None
    reason: str = ""
    data: bytes | None = None


class Batch(NamedTuple):
    """What is stored together: a range of each shard it has records of."""

    ranges: tuple[Range, ...]
    records: Sequence[Placed]


class Reader:
    """Reads every shard on from its position, and knows how far all of it is done."""

    def __init__(self, log: EventLog, positions: Mapping[int, int], settings: Settings) -> None:
        self._log = log
        self._max_rows = settings.batch_rows
        self._max_bytes = settings.batch_bytes
        self._max_age = settings.batch_age
        self._turn = 0
        self._waiting: list[Placed] = []
        self._rows = 0
        self._bytes = 0
        self._waiting_since = 0.0
        self._read = dict(positions)  # shard -> offset of the last record read
        self._done = dict(positions)  # shard -> offset of the last record stored
        self._complete: dict[int, float] = {}  # shard -> time up to which all of it is stored
        self._asked = 0.0

    @property
    def waiting(self) -> bool:
        """Whether records were read that are not in a batch yet."""
        return bool(self._waiting)

    @property
    def full(self) -> bool:
        """Whether what waits fills a batch."""
        return self._rows >= self._max_rows or self._bytes >= self._max_bytes

    @property
    def ripe(self) -> bool:
        """Whether what waits has waited long enough."""
        return self.waiting and time.monotonic() - self._waiting_since >= self._max_age

    @property
    def complete_through(self) -> float:
        """Unix time up to which everything that was durable in the log is in the store; 0 if unknown."""
        return min(self._complete.values(), default=self._asked)

    @property
    def done_positions(self) -> Mapping[int, int]:
        """For each shard the offset of its last record that is closed."""
        return dict(self._done)

    async def read_on(self) -> int:
        """Read a chunk of each shard, also of those born since, until a batch is full.

        Returns the number of rows found. Raises Retryable when the log fails.
        """
        before, self._asked = self._asked, time.time()
        shards = list(await self._log.shards())
        # A shard that was not there before holds nothing older.
        self._complete = {shard: self._complete.get(shard, before) for shard in shards}
        self._turn += 1
        found = 0
        for at in range(len(shards)):
            if self.full:
                break
            shard = shards[(self._turn + at) % len(shards)]
            after = self._read.get(shard, -1)
            stored = await self._log.read(shard, after, _CHUNK_RECORDS, _CHUNK_BYTES)
            if stored:
                found += self._add(await in_thread(_decode, shard, stored))
            elif self._done.get(shard, -1) == after:
                self._complete[shard] = self._asked
        return found

    def cut(self) -> Batch:
        """Take the next batch from what waits: at least one record, else within the limits."""
        rows = size = count = 0
        for placed in self._waiting:
            rows += _rows(placed)
            size += placed.size
            if count and (rows > self._max_rows or size > self._max_bytes):
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._rows -= sum(map(_rows, taken))
        self._bytes -= sum(placed.size for placed in taken)
        self._waiting_since = time.monotonic()
        return Batch(_ranges(taken), taken)

    def done(self, batch: Batch) -> None:
        """`batch` is stored and closed."""
        for part in batch.ranges:
            self._done[part.shard] = part.last_offset
        for placed in batch.records:
            self._complete[placed.shard] = placed.appended_at

    def _add(self, records: Sequence[Placed]) -> int:
        if not self._waiting:
            self._waiting_since = time.monotonic()
        rows = sum(map(_rows, records))
        self._waiting += records
        self._rows += rows
        self._bytes += sum(placed.size for placed in records)
        self._read[records[-1].shard] = records[-1].offset
        return rows


async def read_again(log: EventLog, ranges: Sequence[Range]) -> Batch:
    """The records of a batch that was planned before. Raises Retryable when the log fails."""
    records: list[Placed] = []
    for part in ranges:
        after = part.first_offset - 1
        while after < part.last_offset:
            stored = await log.read(part.shard, after, _CHUNK_RECORDS, _CHUNK_BYTES)
            if not stored:
                break
            wanted = [entry for entry in stored if entry.offset <= part.last_offset]
            records += await in_thread(_decode, part.shard, wanted)
            after = stored[-1].offset
    return Batch(tuple(ranges), records)


def _decode(shard: int, stored: Iterable[Stored]) -> list[Placed]:
    return [_placed(shard, entry) for entry in stored]


def _placed(shard: int, entry: Stored) -> Placed:
    offset, appended_at, data = entry
    if data is None:
        return Placed(shard, offset, appended_at, 0, None, DAMAGED)
    try:
        return Placed(shard, offset, appended_at, len(data), decode(data))
    except NewerRecord:
        return Placed(shard, offset, appended_at, len(data), None, NEWER_FORMAT, data)
    except ValueError:
        return Placed(shard, offset, appended_at, len(data), None, UNDECODABLE, data)


def _rows(placed: Placed) -> int:
    # A record without events counts as one row: batches of them must end, too.
    return max(1, len(placed.record.events)) if placed.record else 1


def _ranges(records: Iterable[Placed]) -> tuple[Range, ...]:
    bounds: dict[int, tuple[int, int]] = {}
    for placed in records:
        first, _ = bounds.get(placed.shard, (placed.offset, placed.offset))
        bounds[placed.shard] = (first, placed.offset)
    return tuple(
        Range(shard, first, last, event_positions(first, 1)[0], event_positions(last, SEQ_PER_RECORD)[-1])
        for shard, (first, last) in bounds.items()
    )
