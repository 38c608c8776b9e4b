"""Reading the SQLite log: any shard, beside its writer or long after it is gone."""

import logging
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from footfall.errors import Retryable
from footfall.eventlog.block import MAX_RECORDS, Block, DamagedBlock, decode
from footfall.eventlog.port import StoredRecord
from footfall.eventlog.sqlite.files import (
    GAP,
    Segment,
    list_segments,
    list_shards,
    log_path,
    open_reader,
    shard_directory,
)
from footfall.eventlog.sqlite.salvage import Salvage
from footfall.metrics import LOG_DAMAGED
from footfall.runtime.presence import is_there

_READ = "SELECT last, data FROM blocks WHERE last > ? AND last < ? ORDER BY last"
_LAST = "SELECT last, data FROM blocks WHERE last < ? ORDER BY last DESC LIMIT 1"
_NO_END = 1 << 62
# More than this between two segments is a gap, less is damage. Half, because a consumer may be
# ahead of what is left of a segment that lost its end.
MOST_MISSING = GAP // 2
_CONNECTIONS = 64
_ENDS = 4096  # finished segments whose end is remembered
_TRANSIENT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

_log = logging.getLogger(__name__)

_End = tuple[int, float]  # offset and time (Unix seconds) of the last readable record


class SegmentReader:
    """Reads records and the ends of segments. Blocking; to be used by one thread at a time.

    Within a shard offsets are dense (see files.py), so whatever is missing between two
    readable records of a segment is damaged, and is delivered as such, once all ways to read it failed.
    What is missing behind a segment in which nothing is damaged is not its own: a whole file is gone.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # One connection per shard, for the segment read last; the oldest is closed first.
        self._open: dict[int, tuple[Segment, sqlite3.Connection]] = {}
        self._listings: dict[int, tuple[int, list[Segment]]] = {}
        self._ends: dict[Path, tuple[_End | None, bool]] = {}
        self._salvage: tuple[object, Salvage] | None = None

    def segments(self, shard: int) -> list[Segment]:
        """The shard's segments in order. As cheap as a stat while the directory is unchanged."""
        directory = shard_directory(self._root, shard)
        try:
            changed = directory.stat().st_mtime_ns
        except FileNotFoundError:
            self.forget(shard)
            return []
        stamp, known = self._listings.get(shard, (0, []))
        if stamp == changed:
            return known
        listed = list_segments(directory)
        # File systems count time in ticks: a young stamp may stand for two changes.
        if time.time_ns() - changed > 1_000_000_000:
            self._listings[shard] = (changed, listed)
        return listed

    def shards(self) -> list[int]:
        """All shards that have a segment, or whose directory cannot be listed now. Raises OSError."""
        return [shard for shard in list_shards(self._root) if self._may_hold(shard)]

    def read(self, shard: int, after: int, limit: int, max_bytes: int) -> list[StoredRecord]:
        """See the port. Raises Retryable, OSError."""
        taken: list[StoredRecord] = []
        try:
            self._take(taken, shard, after, limit, max_bytes)
        except (Retryable, OSError):
            if not taken:
                raise
        if damaged := sum(stored.data is None for stored in taken):
            LOG_DAMAGED.inc(damaged)
        return taken

    def oldest(self, shard: int, after: int) -> float | None:
        """When the first record above `after` was appended, or None. Raises Retryable, OSError."""
        return next((block.appended_at for block in self._blocks(shard, after)), None)

    def end(self, shard: int, segment: Segment, following: Segment | None) -> tuple[int, float] | None:
        """Offset and time of the segment's last readable record; None if there is none.

        Raises Retryable, OSError.
        """
        return self._end(shard, segment, following)[0]

    def upto(self, shard: int, segment: Segment, following: Segment | None) -> int:
        """The last offset that `read` delivers of the segment, damaged or not.

        What lies between it and the next segment was left out, or a file that had it is gone. Raises
        Retryable, OSError.
        """
        end, whole = self._end(shard, segment, following)
        last = segment.first - 1 if end is None else end[0]
        if following is None or whole or following.first - 1 - last >= MOST_MISSING:
            return last
        return following.first - 1

    def _end(self, shard: int, segment: Segment, following: Segment | None) -> tuple[_End | None, bool]:
        """The end of the segment, and whether nothing of it is damaged there."""
        if segment.path in self._ends:
            return self._ends[segment.path]
        below = _NO_END if following is None else following.first
        found: _End | None = None
        whole = True
        try:
            rows = self._connection(shard, segment).execute(_LAST, (below,)).fetchall()
            for last, data in rows:
                block = decode(segment.magic, data)
                if block.last != last:
                    raise DamagedBlock
                found = (last, block.appended_at)
            if 0 < below - 1 - (found[0] if found else segment.first - 1) < MOST_MISSING:
                # SQLite may have been misled by a flipped bit: its pages know.
                newest = self._salvaged(segment).newest(below)
                whole = newest is None or (found is not None and newest.last <= found[0])
        except (sqlite3.Error, DamagedBlock, OSError, MemoryError) as error:
            if not self._give_up(shard, segment, error):
                return None, True
            whole = False
        if not whole:
            newest = self._salvaged(segment).newest(below)
            found = (newest.last, newest.appended_at) if newest else None
        if following is not None:
            if len(self._ends) >= _ENDS:
                self._ends.clear()
            self._ends[segment.path] = found, whole
        return found, whole

    def forget(self, shard: int) -> None:
        """Let go of what is open or remembered of a shard."""
        if shard in self._open:
            self._open.pop(shard)[1].close()
        for segment in self._listings.pop(shard, (0, []))[1]:
            self._ends.pop(segment.path, None)

    def close(self) -> None:
        """Close all files."""
        for shard in list(self._open):
            self.forget(shard)
        if self._salvage is not None:
            self._salvage[1].close()
            self._salvage = None

    def _may_hold(self, shard: int) -> bool:
        try:
            return bool(self.segments(shard))
        except OSError:
            return True

    def _take(self, taken: list[StoredRecord], shard: int, after: int, limit: int, max_bytes: int) -> None:
        size = 0
        for block in self._blocks(shard, after):
            at = block.appended_at
            for offset, data in enumerate(block.records, block.first):
                if offset <= after:
                    continue
                if len(taken) >= limit or (size >= max_bytes and taken):
                    return
                taken.append(StoredRecord(offset, at, data))
                size += len(data or b"")

    def _blocks(self, shard: int, after: int) -> Iterator[Block]:
        # Listed before reading: the writer never writes to a segment that has a successor.
        segments = self.segments(shard)
        start = bisect_right(segments, after + 1, key=lambda segment: segment.first) - 1
        for index in range(max(start, 0), len(segments)):
            segment = segments[index]
            following = segments[index + 1] if index + 1 < len(segments) else None
            yield from self._segment_blocks(shard, segment, following, max(after, segment.first - 1))

    def _segment_blocks(
        self, shard: int, segment: Segment, following: Segment | None, after: int
    ) -> Iterator[Block]:
        """The blocks of one segment from `after` on, and what is missing as damaged ones."""
        below = _NO_END if following is None else following.first
        try:
            with closing(self._connection(shard, segment).execute(_READ, (after, below))) as rows:
                for last, data in rows:
                    block = decode(segment.magic, data)
                    if block.last != last or block.first > after + 1 or block.damaged:
                        raise DamagedBlock
                    yield block
                    after = last
            if following is not None and after < below - 1 and after < self.upto(shard, segment, following):
                raise DamagedBlock
        except (sqlite3.Error, DamagedBlock, OSError, MemoryError) as error:
            if not self._give_up(shard, segment, error):
                return
            times = self._modified(segment)
            for block in self._salvaged(segment).blocks(after, below):
                yield from _missing(after + 1, block.first, block.appended_at)
                yield block
                after, times = block.last, block.appended_at
            if following is not None:
                yield from _missing(after + 1, self.upto(shard, segment, following) + 1, times)

    def _connection(self, shard: int, segment: Segment) -> sqlite3.Connection:
        known, connection = self._open.get(shard, (None, None))
        if connection is not None:
            if known == segment:
                return connection
            # A reader that stays would keep the writer from sealing the segment.
            connection.close()
            del self._open[shard]
        elif len(self._open) >= _CONNECTIONS:
            self._open.pop(next(iter(self._open)))[1].close()
        connection = open_reader(segment)
        self._open[shard] = (segment, connection)
        return connection

    def _give_up(self, shard: int, segment: Segment, error: BaseException) -> bool:
        """Whether the pages should be read without SQLite. Raises Retryable for passing trouble, OSError."""
        if shard in self._open:
            self._open.pop(shard)[1].close()
        if not is_there(segment.path):
            return False  # it was removed meanwhile; whether it should have been, the consumer knows
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT:
            raise Retryable(f"log segment {segment.path.name} cannot be read now: {error}") from error
        return True

    def _salvaged(self, segment: Segment) -> Salvage:
        """What can be found without SQLite; remembered until the files change."""
        signature = (segment.path, *map(_signature, (segment.path, log_path(segment.path))))
        if self._salvage is None or self._salvage[0] != signature:
            if self._salvage is not None:
                self._salvage[1].close()
                self._salvage = None
            _log.warning(
                "log segment %s, or what followed it, is damaged; reading it page by page", segment.path.name
            )
            self._salvage = (signature, Salvage(segment))
        return self._salvage[1]

    def _modified(self, segment: Segment) -> float:
        try:
            return segment.path.stat().st_mtime
        except FileNotFoundError:
            return time.time()


def _missing(first: int, below: int, appended_at: float) -> Iterator[Block]:
    for start in range(first, below, MAX_RECORDS):
        count = min(MAX_RECORDS, below - start)
        yield Block(start, start + count - 1, appended_at, [None] * count)


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns
