"""The shard that this process writes: the chain of its segments, from the writer's side."""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress

from footfall.errors import LogFull
from footfall.eventlog.block import encode
from footfall.eventlog.sqlite.ends import Commit, Ends
from footfall.eventlog.sqlite.files import (
    GAP,
    INSERT,
    Claim,
    Segment,
    create_segment,
    fsync_directory,
    open_writer,
    remove_files,
    seal,
    write_mark,
)
from footfall.eventlog.sqlite.retention import SpaceGuard
from footfall.metrics import LOG_BYTES, LOG_COMMIT_SECONDS, LOG_RECORDS
from footfall.model.record import count_events
from footfall.runtime.presence import is_there

_SEGMENT_AGE = 86400.0  # seconds; old records must not wait for a quiet shard to fill a segment
_RETRY = 0.25  # seconds between attempts to write after a failure


class Shard:
    """Writes blocks. Blocking; to be used by one thread. `close` lets go of the shard."""

    def __init__(
        self,
        claim: Claim,
        first: int,
        *,
        unsealed: Sequence[Segment] = (),
        empty: Segment | None = None,
        segment_bytes: int,
        room: SpaceGuard,
        ends: Ends,
    ) -> None:
        """`first` is the next offset, `unsealed` are older segments still to be sealed.

        `empty` is the last segment if it has no records, and would have the same name.
        """
        self._claim = claim
        self._next = first
        self._unsealed: list[tuple[Segment, sqlite3.Connection | None]] = [(each, None) for each in unsealed]
        self._segment_bytes = segment_bytes
        self._room = room
        self._ends = ends
        self._segment = empty
        self._connection: sqlite3.Connection | None = None
        self._size = 0
        self._started = 0.0
        self._failed = float("-inf")
        self._broken = False
        self.refusal = ""  # a file has its answer at once

    def write(self, bodies: Sequence[bytes]) -> None:
        """Make the records durable, or raise LogFull and keep none of them.

        A commit whose fsync failed may still lie in the write-ahead log, where a recovery would
        find it. So the segment is never written again, and its connection stays open, which
        keeps the failed commit invisible, until the next segment starts at the same offset:
        what an older segment has from there on counts for nothing. If the process dies
        before that, a record that was refused may be in the log, once.
        """
        start = time.perf_counter()
        if start - self._failed < _RETRY:
            raise LogFull("the log could not be written")
        payload = sum(map(len, bodies))
        try:
            self._make_room(payload)
            connection = self._connection
            if connection is None or self._broken:
                connection = self._roll()
            assert self._segment is not None
            at = time.time()
            last, data = encode(self._segment.magic, self._next, at, bodies)
            connection.execute(INSERT, (last, data))
        except (sqlite3.Error, OSError) as error:
            self._failed = time.perf_counter()
            self._broken = True
            reason = error.strerror if isinstance(error, OSError) else error  # never a path
            raise LogFull(f"the log could not be written: {reason}") from error
        self._ends.note(Commit(self._next, last, at, sum(map(count_events, bodies))))
        self._next = last + 1
        self._size += len(data)
        LOG_COMMIT_SECONDS.observe(time.perf_counter() - start)
        LOG_RECORDS.inc(len(bodies))
        LOG_BYTES.inc(payload)

    def tidy(self) -> None:
        """Start the next segment if it is time; callers have their answer before this is called."""
        if self._connection is None or self._broken or not self._size:
            return
        if self._size >= self._segment_bytes or time.monotonic() - self._started > _SEGMENT_AGE:
            # Nobody waits for the outcome: the next write finds out what is wrong.
            with suppress(sqlite3.Error, OSError):
                self._roll()

    def idle(self) -> None:
        """As `tidy`, and `seal_older`."""
        self.tidy()
        self.seal_older()

    def seal_older(self) -> None:
        """Try again to seal segments that a reader, or an error, kept open."""
        waiting = self._unsealed
        self._unsealed = []
        for segment, connection in waiting:
            try:
                if not is_there(segment.path):  # retention was here
                    if connection is not None:
                        connection.close()
                    continue
                if not seal(connection := connection or open_writer(segment)):
                    self._unsealed.append((segment, connection))
            except (sqlite3.Error, OSError):
                self._unsealed.append((segment, connection))

    def close(self) -> None:
        """Seal what can be sealed, note where to go on, and release the shard."""
        certain = self._connection is not None and not self._broken
        if self._connection is not None and self._segment is not None:
            self._unsealed.append((self._segment, self._connection))
        self.seal_older()
        for _, connection in self._unsealed:
            if connection is not None:
                connection.close()
        self._room.close()
        self._ends.close()
        with suppress(OSError):  # without a mark the next owner leaves a gap
            if certain:
                write_mark(self._claim.lock, self._next)
        os.close(self._claim.lock)

    def start(self) -> None:
        """Make the first segment, so that the first append need not; a failure is no harm yet."""
        try:
            self._roll()
        except (sqlite3.Error, OSError):
            self._failed = time.perf_counter()

    def _make_room(self, size: int) -> None:
        """Raises LogFull; sqlite3.Error or OSError."""
        try:
            self._room.take(size)
        except LogFull:
            # The segment being written cannot be deleted when its records are committed.
            if self._connection is not None and self._size:
                self._roll()
            raise

    def _roll(self) -> sqlite3.Connection:
        """Start the next segment, then seal the present one. Raises sqlite3.Error or OSError."""
        old, old_connection = self._segment, self._connection
        empty = old is not None and self._next == old.first
        # Two segments with one first offset would have no order.
        first = self._next + GAP if empty else self._next
        self._segment = create_segment(self._claim.directory, first)
        # Readers take the old segment for complete now: whatever fails below, it gets no more records.
        self._connection, self._next, self._broken = None, first, False
        self._size = 0
        self._started = time.monotonic()
        if old is not None and empty and not self._unsealed:
            if old_connection is not None:
                old_connection.close()
            remove_files(old.path)
        elif old is not None:
            # An empty one stays as the border of an older one that may hold a failed commit.
            self._unsealed.append((old, old_connection))
        fsync_directory(self._claim.directory)
        self._ends.sync()
        self._connection = open_writer(self._segment)
        self.seal_older()
        return self._connection
