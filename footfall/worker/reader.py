"""Reading on: the records of all shards, decoded and cut into batches.

A batch takes whole records, of each shard a run without a hole. A record that cannot be
read is in its batch like the others: what becomes of it is decided where the batch is prepared.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from footfall.errors import Retryable
from footfall.eventlog.port import EventLog, StoredRecord
from footfall.model.reasons import DAMAGED, NEWER_FORMAT, UNDECODABLE
from footfall.model.record import SEQ_PER_RECORD, NewerRecord, Record, decode, event_positions
from footfall.settings import Settings
from footfall.state.batches import SeqRange
from footfall.worker.threads import in_thread

# What is read from one shard before it is the next one's turn.
_CHUNK_BYTES = 4 << 20
_CHUNK_RECORDS = 20_000

_FIRST_PAUSE = 0.1  # seconds in which a shard that could not be read is let be; doubled up to
_LONGEST_PAUSE = 10.0

log = structlog.get_logger(__name__)


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


class RecordBatch(NamedTuple):
    """What is stored together: a range of each shard it has records of."""

    ranges: tuple[SeqRange, ...]
    records: Sequence[Placed]


class _Trouble(NamedTuple):
    """A shard could not be read, so many times in a row; it is tried again at `due` (monotonic)."""

    failures: int
    due: float


class BatchReader:
    """Reads every shard on from its position, and knows how far all of it is done.

    A shard that cannot be read now does not keep the others from being read.
    """

    def __init__(self, log: EventLog, positions: Mapping[int, int], settings: Settings) -> None:
        self._log = log
        self._max_rows = settings.batch_rows
        self._max_bytes = settings.batch_bytes
        self._max_age = settings.batch_age
        # The log spares of what is not committed what is held here: see `drop_oldest`.
        self._chunk_bytes = min(_CHUNK_BYTES, settings.batch_bytes)
        self._turn = 0
        self._waiting: list[Placed] = []
        self._rows = 0
        self._bytes = 0
        self._waiting_since = 0.0
        self._read = dict(positions)  # shard -> offset of the last record read
        self._done = dict(positions)  # shard -> offset of the last record stored
        self._complete: dict[int, float] = {}  # shard -> time up to which all of it is stored
        self._asked = 0.0
        self._shards: Sequence[int] = ()
        self._troubles: dict[int | None, _Trouble] = {}  # by shard; None: the shards are not known now
        self.hole = False
        """Offsets were left out since this was last set to False: maybe records that are gone."""

    @property
    def held(self) -> bool:
        """Whether something could not be read now, so that what was found is not all."""
        return bool(self._troubles)

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

        Returns the number of rows found.
        """
        asked = time.time()
        if self._is_due(None):
            try:
                self._shards = list(await self._log.shards())
            except Retryable as error:
                self._failed(None, error)
            else:
                self._troubles = {key: self._troubles[key] for key in self._shards if key in self._troubles}
                # A shard that was not there before holds nothing older.
                self._complete = {shard: self._complete.get(shard, self._asked) for shard in self._shards}
                self._asked = asked
        return await self._read_shards(self._shards, asked)

    async def _read_shards(self, shards: Sequence[int], asked: float) -> int:
        self._turn += 1
        found = 0
        for at in range(len(shards)):
            if self.full:
                break
            shard = shards[(self._turn + at) % len(shards)]
            if not self._is_due(shard):
                continue
            after = self._read.get(shard, -1)
            try:
                stored = await self._log.read(shard, after, _CHUNK_RECORDS, self._chunk_bytes)
            except Retryable as error:
                self._failed(shard, error)
                continue
            self._troubles.pop(shard, None)
            if stored:
                self.hole |= stored[-1].offset - after != len(stored)
                found += self._add(await in_thread(_decode, shard, stored))
            elif self._done.get(shard, -1) == after and None not in self._troubles:
                self._complete[shard] = asked
        return found

    def _is_due(self, key: int | None) -> bool:
        return key not in self._troubles or time.monotonic() >= self._troubles[key].due

    def _failed(self, key: int | None, error: Retryable) -> None:
        failures = self._troubles[key].failures + 1 if key in self._troubles else 1
        pause = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
        self._troubles[key] = _Trouble(failures, time.monotonic() + pause)
        log.warning("the log cannot be read now", problem=str(error), failures=failures)

    def cut(self) -> RecordBatch:
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
        return RecordBatch(_ranges(taken), taken)

    def done(self, batch: RecordBatch) -> None:
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


class PlannedMissing(Retryable):
    """The log lacks records of a shard that were planned, and nobody knows that they are gone."""

    def __init__(self, shard: int, message: str) -> None:
        super().__init__(message)
        self.shard = shard


async def begin(eventlog: EventLog, ranges: Sequence[SeqRange]) -> bool:
    """Nothing of these ranges is changed in the log any more. False: something may have been already.

    Raises Retryable.
    """
    return all([await eventlog.begin(part.shard, part.first_offset, part.last_offset) for part in ranges])


async def read_again(eventlog: EventLog, ranges: Sequence[SeqRange]) -> RecordBatch:
    """The records of a batch that was planned before, from the first to the last of each range.

    What is between them and left out was no record then. Raises Retryable when the log cannot
    be read now, PlannedMissing (which is one) when an end of a range is missing and the log does
    not say that it is gone.
    """
    records: list[Placed] = []
    for part in ranges:
        after = part.first_offset - 1
        while after < part.last_offset:
            stored = await eventlog.read(part.shard, after, _CHUNK_RECORDS, _CHUNK_BYTES)
            if not stored:
                break
            wanted = [entry for entry in stored if entry.offset <= part.last_offset]
            records += await in_thread(_decode, part.shard, wanted)
            after = stored[-1].offset
        await _prove_complete(eventlog, part, records)
    return RecordBatch(tuple(ranges), records)


async def _prove_complete(eventlog: EventLog, part: SeqRange, records: Sequence[Placed]) -> None:
    """Raises Retryable unless both ends of `part` were read, or are gone for good."""
    there = {placed.offset for placed in records if placed.shard == part.shard}
    absent = {part.first_offset, part.last_offset} - there
    if not absent:
        return
    gone = [
        each for each in await eventlog.gone({part.shard: part.first_offset - 1}) if each.shard == part.shard
    ]
    unknown = [offset for offset in absent if not any(each.first <= offset <= each.last for each in gone)]
    which = f"records {part.first_offset} to {part.last_offset} of shard {part.shard:016x}"
    if unknown:
        raise PlannedMissing(
            part.shard,
            f"{which} were planned and {min(unknown)} is not in the log, nor known to be gone: not closed",
        )
    log.error("a batch that was left open lacks records that are gone from the log", lacking=which)


def _decode(shard: int, stored: Iterable[StoredRecord]) -> list[Placed]:
    return [_placed(shard, entry) for entry in stored]


def _placed(shard: int, entry: StoredRecord) -> Placed:
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


def _ranges(records: Iterable[Placed]) -> tuple[SeqRange, ...]:
    bounds: dict[int, tuple[int, int]] = {}
    for placed in records:
        first, _ = bounds.get(placed.shard, (placed.offset, placed.offset))
        bounds[placed.shard] = (first, placed.offset)
    return tuple(
        SeqRange(shard, first, last, event_positions(first, 1)[0], event_positions(last, SEQ_PER_RECORD)[-1])
        for shard, (first, last) in bounds.items()
    )
