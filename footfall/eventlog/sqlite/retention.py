"""Deleting segments that nobody needs, and refusing records when there is no room."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from footfall.errors import LogFull, Retryable
from footfall.eventlog.sqlite.ends import forget_ends
from footfall.eventlog.sqlite.files import (
    Segment,
    fsync_directory,
    list_segments,
    list_shards,
    remove_files,
    shard_directory,
    size_on_disk,
    try_lock,
)
from footfall.eventlog.sqlite.overflow import Overflow
from footfall.eventlog.sqlite.reader import MOST_MISSING, SegmentReader
from footfall.eventlog.sqlite.recovery import heal_shard
from footfall.runtime.consumer_offsets import Consumers

# Space on the disk that the log leaves to others: the worker must be able to empty it, which takes an
# insert and merges of the store. At most a twentieth of the disk.
_RESERVE = 256 << 20
_SHORT = 4  # times the reserve: where so little is free, what is stored already goes
_LOOK_EVERY = 0.25  # seconds between looks at the disk


class SegmentRetention:
    """Deletes whole segments. Blocking; to be used by one thread at a time, with its reader."""

    def __init__(self, root: Path, consumers: Consumers, reader: SegmentReader) -> None:
        self._root = root
        self._consumers = consumers
        self._reader = reader

    def retain(self, older_than: float, own: int | None) -> int:
        """See the port. Looks after the own shard, and after those that nobody writes any more.

        Raises Retryable, OSError: of the last shard that could not be looked after.
        """
        deleted = 0
        trouble: Retryable | OSError | None = None
        for shard in list_shards(self._root):
            try:
                deleted += self._retain(shard, older_than, own=shard == own)[0]
            except (Retryable, OSError) as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return deleted

    def make_room(self, own: int, enough: float) -> None:
        """Delete what no consumer needs, however young, until `enough` bytes are free.

        First in the own shard, then in those that nobody writes any more.
        """
        for shard in sorted(list_shards(self._root), key=lambda shard: shard != own):
            if enough <= 0:
                return
            with suppress(Retryable, OSError):  # what cannot be read now is not deleted
                enough -= self._retain(shard, float("inf"), own=shard == own, enough=enough)[1]

    def _retain(
        self, shard: int, older_than: float, *, own: bool, enough: float = float("inf")
    ) -> tuple[int, int]:
        directory = shard_directory(self._root, shard)
        if own:
            return self.trim(shard, list_segments(directory)[:-1], older_than, enough)
        lock = try_lock(directory)
        if lock is None:
            return 0, 0
        try:
            self._reader.forget(shard)
            heal_shard(directory)
            released = self._consumers.released(shard)
            deleted = self.trim(shard, list_segments(directory), older_than, enough)
            if not list_segments(directory):
                forget_ends(self._root, shard, released)
                self._consumers.forget_shard(shard)
                shutil.rmtree(directory, ignore_errors=True)
            return deleted
        finally:
            os.close(lock)

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()

    def trim(
        self, shard: int, segments: list[Segment], older_than: float, enough: float = float("inf")
    ) -> tuple[int, int]:
        """Delete from the oldest of `segments` on; the number of records and of bytes deleted.

        Stops at one that is needed or not old, or when `enough` bytes are free. Raises Retryable
        when one cannot be read now, OSError.
        """
        released = self._consumers.released(shard)
        records = freed = 0
        for index, segment in enumerate(segments):
            following = segments[index + 1] if index + 1 < len(segments) else None
            end = self._reader.end(shard, segment, following)
            try:
                last, newest = end or (segment.first - 1, segment.path.stat().st_mtime)
                size = segment.path.stat().st_size
            except FileNotFoundError:
                continue
            if following is not None and following.first - 1 - last < MOST_MISSING:
                last = following.first - 1  # what is damaged is still to be delivered as such
            if released < last or newest >= older_than or freed >= enough:
                break
            self._reader.forget(shard)
            remove_files(segment.path)
            records += last - segment.first + 1
            freed += size
        if freed:
            fsync_directory(shard_directory(self._root, shard))
        return records, freed


class SpaceGuard:
    """Says whether the log may grow: below `log_max`, and not into the last bytes of the disk."""

    def __init__(
        self,
        root: Path,
        shard: int,
        limit: int,
        retention: SegmentRetention,
        overflow: Overflow | None = None,
    ) -> None:
        """`overflow`: drops events at the limit instead of refusing new ones."""
        self._root = root
        self._shard = shard
        self._limit = limit
        self._retention = retention
        self._overflow = overflow
        self._size = 0
        self._refusal = ""
        self._looked = float("-inf")

    def take(self, size: int) -> None:
        """Account for `size` more bytes. Raises LogFull if they have no room."""
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY or (not self._refusal and self._size + size > self._limit):
            self._looked = now
            self._refusal = self._look(size)
        if self._refusal:
            raise LogFull(self._refusal)
        self._size += size

    def close(self) -> None:
        """Let go of the files that looking for room has opened."""
        self._retention.close()

    def _look(self, size: int) -> str:
        # Age is a wish, room is not: what every consumer has committed goes early.
        free, reserve = self._disk()
        if (short := size + _SHORT * reserve - free) > 0:
            self._retention.make_room(self._shard, short)
            free, reserve = self._disk()
        if free < size + reserve:
            return "the disk of the log is full"
        self._measure()
        if self._size + size > self._limit:
            excess = self._size + size - self._limit + self._limit // 16
            self._retention.make_room(self._shard, excess)
            self._measure()
            if self._overflow and self._size + size > self._limit:
                self._overflow.drop(shard_directory(self._root, self._shard), self._shard, excess)
                self._measure()
        if self._size + size > self._limit:
            return "the log has reached its size limit (log_max)"
        return ""

    def _disk(self) -> tuple[int, int]:
        """Bytes that are free on the disk of the log, and how many of them are not for it."""
        disk = os.statvfs(self._root)
        return disk.f_bavail * disk.f_frsize, min(_RESERVE, disk.f_blocks * disk.f_frsize // 20)

    def _measure(self) -> None:
        self._size = size_on_disk([shard_directory(self._root, shard) for shard in list_shards(self._root)])
