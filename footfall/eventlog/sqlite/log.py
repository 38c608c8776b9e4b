"""The default log: SQLite files in the data directory (docs/decisions/0002 says why and how)."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar, TypeVarTuple, Unpack

from footfall.errors import LogFull, Misconfigured, Retryable
from footfall.eventlog.group_commit import GroupCommit
from footfall.eventlog.port import Backlog, Entry, GoneRecords, StoredRecord
from footfall.eventlog.sqlite.begun import begin
from footfall.eventlog.sqlite.ends import Ends, gone, recorded_end
from footfall.eventlog.sqlite.files import GAP, Claim, Segment, claim, read_mark, shard_directory, write_mark
from footfall.eventlog.sqlite.overflow import Overflow
from footfall.eventlog.sqlite.reader import SegmentReader
from footfall.eventlog.sqlite.recovery import heal_shard
from footfall.eventlog.sqlite.retention import SegmentRetention, SpaceGuard
from footfall.eventlog.sqlite.writer import Shard
from footfall.runtime.consumer_offsets import Consumers
from footfall.settings import Settings

_WIDE_GAP = 256 * GAP

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def open_log(settings: Settings, *, shard: Literal["claim", "none"]) -> "SqliteLog":
    """Open `settings.data`/log. See `footfall.eventlog.open_log`."""
    root = settings.data.absolute() / "log"
    if shard == "none":
        return SqliteLog(root, None, None)
    try:
        claimed, writer = await asyncio.to_thread(_claim, root, settings)
    except OSError as error:
        raise LogFull(f"no shard of the log could be made: {error.strerror}") from error
    return SqliteLog(root, claimed.shard, GroupCommit(writer))


class SqliteLog:
    """An EventLog; see the port. All blocking work of the reading side has one thread."""

    def __init__(self, root: Path, shard: int | None, writer: GroupCommit | None) -> None:
        """`shard` is the one this log writes, through `writer`; both None for a log that only reads."""
        self.shard = shard
        self._root = root
        self._writer = writer
        self._consumers = Consumers(root)
        self._reader = SegmentReader(root)
        self._retention = SegmentRetention(root, self._consumers, self._reader)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="footfall-log-read")
        self._closed = False

    async def append(self, entry: Entry) -> None:
        """See the port. The routing key does not matter: a shard is one partition."""
        if self._writer is None:
            raise Misconfigured("this log was opened for reading only")
        await self._writer.append(entry.data)

    async def shards(self) -> Sequence[int]:
        """See the port."""
        return await self._do(self._reader.shards)

    async def read(self, shard: int, after: int, limit: int, max_bytes: int) -> Sequence[StoredRecord]:
        """See the port."""
        return await self._do(self._reader.read, shard, after, limit, max_bytes)

    async def begin(self, shard: int, first: int, last: int) -> bool:
        """See the port."""
        return await self._do(self._begin, shard, first, last)

    async def commit(self, consumer: str, shard: int, upto: int) -> None:
        """See the port. Raises Invalid for a name that cannot be a file's."""
        await self._do(self._consumers.commit, consumer, shard, upto)

    async def gone(self, after: Mapping[int, int]) -> Sequence[GoneRecords]:
        """See the port."""
        return await self._do(gone, self._root, self._reader, after)

    async def drop_consumer(self, consumer: str) -> None:
        """See the port."""
        await self._do(self._consumers.drop, consumer)

    async def backlog(self, consumer: str) -> Backlog:
        """See the port."""
        return await self._do(self._backlog, consumer)

    async def retain(self, older_than: float) -> int:
        """See the port. Deletes in the own shard and in those that nobody writes any more.

        While no consumer is known nothing is deleted.
        """
        return await self._do(self._retention.retain, older_than, self.shard)

    async def close(self) -> None:
        """See the port."""
        if self._closed:
            return
        self._closed = True
        await self._do(self._reader.close)
        if self._writer is not None:
            await self._writer.close()
        self._thread.shutdown()

    async def _do(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """The edge of the reading side: what a file or its file system refuses is "not now"."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except OSError as error:  # its text may name a path
            raise Retryable(f"the log does not answer now: {error.strerror}") from error
        except (sqlite3.Error, MemoryError) as error:
            raise Retryable(f"the log does not answer now: {error or 'no memory'}") from error

    def _begin(self, shard: int, first: int, last: int) -> bool:
        try:
            as_read = begin(shard_directory(self._root, shard), first, last)
        except FileNotFoundError:
            return True  # with its directory all is gone that could be changed
        if not as_read:
            self._reader.forget(shard)  # the file that it has open may be the one before
        return as_read

    def _backlog(self, consumer: str) -> Backlog:
        records = 0
        oldest, newest = float("inf"), 0.0
        for shard in self._reader.shards():
            committed = self._consumers.committed(consumer, shard)
            segments = self._reader.segments(shard)
            for segment, following in zip(segments, (*segments[1:], None), strict=False):  # of none is none
                if following is not None and following.first <= committed + 1:
                    continue
                end = self._reader.end(shard, segment, following)
                if end is not None and end[0] > committed:
                    records += end[0] - max(committed, segment.first - 1)
                    newest = max(newest, end[1])
            appended_at = self._reader.oldest(shard, committed)
            oldest = oldest if appended_at is None else min(oldest, appended_at)
        return Backlog(records, min(oldest, newest), newest)


def _claim(root: Path, settings: Settings) -> tuple[Claim, Shard]:
    """Take a shard and find out where it goes on. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    consumers = Consumers(root)
    reader = SegmentReader(root)
    claimed = claim(root)
    try:
        unsealed = heal_shard(claimed.directory)
        first, empty = _next_offset(claimed, reader, consumers, recorded_end(root, claimed.shard))
        write_mark(claimed.lock, None)
    except BaseException:
        os.close(claimed.lock)
        reader.close()
        raise
    overflow = None
    if settings.overflow == "drop_oldest":
        overflow = Overflow(consumers, batch_bytes=settings.batch_bytes)
    room = SpaceGuard(
        root, claimed.shard, settings.log_max, SegmentRetention(root, consumers, reader), overflow
    )
    # The segment being written cannot be deleted; it must not be most of what is allowed.
    segment_bytes = min(settings.log_segment, settings.log_max // 8)
    ends = Ends(root, claimed.shard)
    shard = Shard(
        claimed, first, unsealed=unsealed, empty=empty, segment_bytes=segment_bytes, room=room, ends=ends
    )
    return claimed, shard


def _next_offset(
    claimed: Claim, reader: SegmentReader, consumers: Consumers, recorded: int | None
) -> tuple[int, Segment | None]:
    """The first offset of the next segment, and the last segment if that is empty and bears this name."""
    segments = reader.segments(claimed.shard)
    if not segments:
        return 0, None
    last = segments[-1]
    end = reader.end(claimed.shard, last, None)
    known = max(consumers.highest(claimed.shard), -1 if recorded is None else recorded)
    used = max(last.first - 1 if end is None else end[0], known)
    mark = read_mark(claimed.lock)
    # Segments may be gone, each behind a gap; what cannot be read now might know of them.
    gap = GAP if recorded is not None else _WIDE_GAP
    first = used + 1 + gap if mark is None else max(mark, used + 1)
    return first, last if first == last.first else None
