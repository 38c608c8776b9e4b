"""A log in memory: NOT durable, for tests and for trying things out in one process.

Whatever is not stored when the process ends is lost, and no other process can read it.
"""

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from secrets import randbits
from typing import Literal

from footfall.errors import LogFull, Misconfigured
from footfall.eventlog.port import Backlog, Entry, GoneRecords, StoredRecord
from footfall.metrics import LOG_BYTES, LOG_RECORDS
from footfall.settings import Settings

_MAX_BYTES = 256 << 20


async def open_log(settings: Settings, *, shard: Literal["claim", "none"]) -> "MemoryLog":
    """A new, empty log, of at most 256 MiB. See `footfall.eventlog.open_log`."""
    return MemoryLog(min(settings.log_max, _MAX_BYTES), writable=shard == "claim")


class MemoryLog:
    """An EventLog; see the port."""

    def __init__(self, max_bytes: int, *, writable: bool = True) -> None:
        self.shard = randbits(64) or 1
        self._max_bytes = max_bytes
        self._writable = writable
        self._records: list[StoredRecord] = []
        self._next = 0
        self._bytes = 0
        self._consumers: dict[str, int] = {}
        self._closed = False

    async def append(self, entry: Entry) -> None:
        """Returns at once. Raises LogFull when the records that are still needed fill the log."""
        if not self._writable:
            raise Misconfigured("this log was opened for reading only")
        if self._closed:
            raise LogFull("the log is closing")
        size = len(entry.data)
        if self._bytes + size > self._max_bytes:
            await self.retain(float("inf"))
        if self._bytes + size > self._max_bytes:
            raise LogFull("the log has reached its size limit (log_max)")
        self._records.append(StoredRecord(self._next, time.time(), entry.data))
        self._next += 1
        self._bytes += size
        LOG_RECORDS.inc()
        LOG_BYTES.inc(size)

    async def shards(self) -> Sequence[int]:
        """See the port."""
        return [self.shard] if self._next else []

    async def read(self, shard: int, after: int, limit: int, max_bytes: int) -> Sequence[StoredRecord]:
        """See the port."""
        if shard != self.shard:
            return []
        taken: list[StoredRecord] = []
        size = 0
        start = bisect_left(self._records, after + 1, key=lambda stored: stored.offset)
        for stored in self._records[start : start + limit]:
            if size >= max_bytes and taken:
                break
            taken.append(stored)
            size += len(stored.data or b"")
        return taken

    async def begin(self, shard: int, first: int, last: int) -> bool:  # noqa: ARG002 -- as in the port
        """See the port. Nothing is ever changed here."""
        return True

    async def commit(self, consumer: str, shard: int, upto: int) -> None:
        """See the port."""
        known = self._consumers.get(consumer, -1)
        self._consumers[consumer] = max(known, upto if shard == self.shard else -1)

    async def gone(self, after: Mapping[int, int]) -> Sequence[GoneRecords]:  # noqa: ARG002 -- as in the port
        """See the port. Nothing survives the process here, so nothing is known of what was."""
        return []

    async def drop_consumer(self, consumer: str) -> None:
        """See the port."""
        self._consumers.pop(consumer, None)

    async def backlog(self, consumer: str) -> Backlog:
        """See the port."""
        waiting = await self.read(self.shard, self._consumers.get(consumer, -1), len(self._records), 1 << 62)
        times = [record.appended_at for record in waiting]
        return Backlog(len(waiting), min(times, default=0.0), max(times, default=0.0))

    async def retain(self, older_than: float) -> int:
        """See the port. While no consumer is known nothing is deleted."""
        released = min(self._consumers.values(), default=-1)
        keep = 0
        for stored in self._records:
            if stored.offset > released or stored.appended_at >= older_than:
                break
            keep += 1
            self._bytes -= len(stored.data or b"")
        del self._records[:keep]
        return keep

    async def close(self) -> None:
        """See the port."""
        self._closed = True
