"""The records of the log that were received in a range of hours, in groups of a bounded size.

The log knows when a record was appended, which is when it was received and a little later.
Times of one shard ascend but for corrections of the clock, so the range is found by halving.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from footfall.errors import Retryable
from footfall.eventlog.port import EventLog, StoredRecord
from footfall.model.reasons import Reason
from footfall.model.record import NIL_ID, SEQ_PER_RECORD, decode
from footfall.model.times import to_millis
from footfall.state.ledger import hour_of, received
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.verify.findings import Key

# A record is appended at most so long after it was received, corrections of the clock included (ms).
SLACK = 15 * 60_000

# Of the store's DateTime64: from 1900 to 2299, ms.
_EARLIEST, _LATEST = -2_208_988_800_000, 10_413_791_999_999

_GROUP_EVENTS = 200_000
_CHUNK_RECORDS = 5000
_CHUNK_BYTES = 4 << 20


class Logged(NamedTuple):
    """One record. `sites` of its events; `ids` of those that the client named, else None.

    Not `readable`: it is damaged or no record, stands for one event, and `hour` is that of its
    append.
    """

    offset: int
    workspace_id: str
    hour: int
    sites: Sequence[str]
    ids: Sequence[bytes | None]
    occurred: tuple[int, int]  # the first and the last of its events, ms
    received: dict[Key, int]
    duplicates: dict[Key, int]  # those that the door recognised
    readable: bool = True


class RecordGroup(NamedTuple):
    """Records of one shard that follow each other."""

    shard: int
    records: Sequence[Logged]

    @property
    def seqs(self) -> tuple[int, int]:
        """The first and the last seq that the records could have."""
        return (
            self.records[0].offset * SEQ_PER_RECORD,
            self.records[-1].offset * SEQ_PER_RECORD + SEQ_PER_RECORD - 1,
        )

    @property
    def occurred(self) -> tuple[int, int]:
        """When the first and the last event occurred, ms."""
        times = [record.occurred for record in self.records if record.sites and record.readable]
        first = min((first for first, _ in times), default=0)
        last = max((last for _, last in times), default=0)
        # What lies beyond is no time for the store: such an event is a dead letter.
        return max(first, _EARLIEST), min(last, _LATEST)


async def oldest(log: EventLog, shard: int) -> StoredRecord | None:
    """The first record that the log still holds of a shard; None if there is none. Raises Retryable."""
    return next(iter(await log.read(shard, -1, 1, 1)), None)


class Held(NamedTuple):
    """What the log holds of the closed records of a shard: the first one, and the offset of the last one."""

    first: StoredRecord
    last: int


async def held(log: EventLog, shard: int, closed: int) -> Held | None:
    """Of the records up to the offset `closed` those that the log holds; None if it holds none of them.

    Retention begins with the oldest: if the last one is not `closed`, the end of the log is missing. Raises
    Retryable.
    """
    first = await oldest(log, shard)
    while first is not None and first.offset <= closed:
        last = await _last(log, shard, first.offset, closed)
        again = first if last == closed else await oldest(log, shard)
        if again is not None and again.offset == first.offset:
            return Held(first, last)
        first = again  # retention came in between
    return None


async def _last(log: EventLog, shard: int, low: int, closed: int) -> int:
    """The offset of the last record up to `closed`; there is one at `low`."""
    high = closed + 1
    at = closed - 1  # nearly always it is all there
    while high - low > 1:
        found = next(iter(await log.read(shard, at, 1, 1)), None)
        if found is not None and found.offset <= closed:
            low = found.offset
        else:
            high = at + 1
        at = (low + high - 1) // 2
    return low


def cannot_be_read(shard: int, after: int, last: int) -> Retryable:
    """Nothing was found above `after`, though there is something up to `last`."""
    return Retryable(
        f"shard {shard:016x} of the log cannot be read now: {after} is the last, though {last} is there"
    )


async def next_readable(log: EventLog, shard: int, after: int, upto: int) -> StoredRecord | None:
    """The first record above `after` that is not damaged; None if there is none up to `upto`.

    When a damaged one was appended is only guessed: its file may bear the time of a copy. Raises Retryable.
    """
    limit = 1
    while after < upto:
        chunk = await log.read(shard, after, limit, _CHUNK_BYTES)
        if not chunk:
            there = await held(log, shard, upto)
            if there is not None and there.last > after:
                raise cannot_be_read(shard, after, there.last)
            return None
        for entry in chunk:
            if entry.data is not None:
                return entry
        after, limit = chunk[-1].offset, _CHUNK_RECORDS
    return None


async def groups(
    log: EventLog, shard: int, upto: int, start: int, end: int, noted: tuple[int, int] | None = None
) -> AsyncGenerator[RecordGroup]:
    """All records of `shard` up to offset `upto` that may have been received from `start` to `end` (ms).

    `noted`: the first and the last offset of such, as they were closed: a clock that was behind for a while
    leads the search by times astray. Raises Retryable when the log fails.
    """
    there = await held(log, shard, upto)
    if there is None:
        return
    after = await last_before(log, shard, (there.first.offset - 1, there.last), start - SLACK)
    first_noted, last_noted = noted or (upto, -1)
    after = max(min(after, first_noted - 1), there.first.offset - 1)
    # A clock that was ahead for a while ends no reading: its end lies where also the last record is late.
    until = end + SLACK
    ends = all(_is_late(entry, until) for entry in await log.read(shard, there.last - 1, 1, 1))
    records: list[Logged] = []
    events = 0
    going = True
    while going:
        chunk = await log.read(shard, after, _CHUNK_RECORDS, _CHUNK_BYTES)
        if not chunk and after < there.last and await held(log, shard, there.last):
            raise cannot_be_read(shard, after, there.last)
        within = [entry for entry in chunk if entry.offset <= upto]
        late = ends and after >= last_noted and all(_is_late(entry, until) for entry in chunk)
        going = bool(chunk) and len(within) == len(chunk) and not late
        for record in await asyncio.to_thread(_decode, [] if late else within):
            records.append(record)
            events += len(record.sites)
        if chunk:
            after = chunk[-1].offset
        if records and (not going or events >= _GROUP_EVENTS or len(records) >= _GROUP_EVENTS):
            yield RecordGroup(shard, records)
            records, events = [], 0


def _is_late(entry: StoredRecord, until: int) -> bool:
    """Whether it was appended from `until` (ms) on; when a damaged one was, nobody knows."""
    return entry.data is not None and entry.appended_at * 1000 >= until


async def last_before(log: EventLog, shard: int, bounds: tuple[int, int], at: int) -> int:
    """An offset within `bounds` up to which all was appended before `at` (ms), nearly the largest.

    Raises Retryable.
    """
    low, high = bounds
    while high - low > 1:
        middle = (low + high) // 2
        found = await next_readable(log, shard, middle, high)
        if found is not None and found.appended_at * 1000 < at:
            low = min(found.offset, high)
        else:
            high = middle
    return low


def _decode(entries: Sequence[StoredRecord]) -> list[Logged]:
    return [_logged(entry) for entry in entries]


def _logged(entry: StoredRecord) -> Logged:
    try:
        record = None if entry.data is None else decode(entry.data)
    except ValueError:
        record = None
    if record is None:
        hour = hour_of(to_millis(entry.appended_at))
        one = {(DEFAULT_WORKSPACE, "", hour): 1}
        return Logged(entry.offset, DEFAULT_WORKSPACE, hour, [""], [None], (0, 0), one, {}, readable=False)
    workspace, hour = record.workspace_id, hour_of(record.received_at)
    duplicates: Counter[Key] = Counter()
    for tally in record.tallies:
        if tally.reason == Reason.DUPLICATE:
            duplicates[workspace, tally.site_id, hour] += tally.count
    return Logged(
        entry.offset,
        workspace,
        hour,
        [event.site_id for event in record.events],
        # An id of another length is that of a dead letter.
        [e.event_id if e.client_id and len(e.event_id) == len(NIL_ID) else None for e in record.events],
        (
            min((event.occurred_at for event in record.events), default=0),
            max((event.occurred_at for event in record.events), default=0),
        ),
        {
            (workspace, site, hour): count
            for (site, outcome, _), count in received(record).items()
            if outcome == "received"
        },
        duplicates,
    )
