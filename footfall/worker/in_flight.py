"""What is in flight: acknowledged, in the log, and in no closed batch yet."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from footfall.eventlog.port import EventLog, StoredRecord
from footfall.model.record import decode
from footfall.model.times import to_millis
from footfall.state.ledger import Waiting, hour_of, received
from footfall.tenants.model import DEFAULT_WORKSPACE

# One count reads no more than this; of a longer backlog it says "at least".
MAX_RECORDS = 50_000
MAX_BYTES = 32 << 20

_CHUNK_RECORDS = 5000
_CHUNK_BYTES = 4 << 20
_FRESH = 1.0  # seconds

# (workspace, site, hour) -> events
_Counts = Counter[tuple[str, str, int]]


class InFlightCounter:
    """Reads the log above what is closed; an `InFlight`. A count serves everybody for a second."""

    def __init__(self, log: EventLog, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES) -> None:
        self._log = log
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._lock = asyncio.Lock()
        self._counted_at = float("-inf")
        self._closed: Mapping[int, int] = {}
        self._counts: _Counts = Counter()
        self._complete = True

    async def __call__(
        self, workspace_id: str, site_id: str | None, start: int, end: int, closed: Mapping[int, int]
    ) -> Waiting:
        """What of this workspace stands in the log above `closed`. Raises Retryable when the log fails."""
        async with self._lock:
            if self._closed != closed or time.monotonic() - self._counted_at >= _FRESH:
                await self._count(closed)
            counts, complete = self._counts, self._complete
        by_hour: Counter[int] = Counter()
        for (workspace, site, hour), events in counts.items():
            if workspace == workspace_id and site_id in (None, site) and start <= hour < end:
                by_hour[hour] += events
        return Waiting(by_hour, complete)

    async def _count(self, closed: Mapping[int, int]) -> None:
        asked = time.monotonic()
        counts: _Counts = Counter()
        records, size, complete = self._max_records, self._max_bytes, True
        for shard in await self._log.shards():
            after = closed.get(shard, -1)
            while True:
                chunk = await self._log.read(
                    shard, after, max(1, min(records, _CHUNK_RECORDS)), max(1, min(size, _CHUNK_BYTES))
                )
                if not chunk:
                    break
                if records <= 0 or size <= 0:
                    complete = False
                    break
                counts += await asyncio.to_thread(_events, chunk)
                after = chunk[-1].offset
                records -= len(chunk)
                size -= sum(len(entry.data or b"") for entry in chunk)
        self._closed, self._counts, self._complete, self._counted_at = dict(closed), counts, complete, asked


def _events(chunk: Sequence[StoredRecord]) -> _Counts:
    counts: _Counts = Counter()
    for entry in chunk:
        try:
            record = decode(entry.data or b"")
        except ValueError:  # counts as the worker will count it
            counts[DEFAULT_WORKSPACE, "", hour_of(to_millis(entry.appended_at))] += 1
            continue
        hour = hour_of(record.received_at)
        for (site_id, outcome, _), events in received(record).items():
            if outcome == "received":
                counts[record.workspace_id, site_id, hour] += events
    return counts
