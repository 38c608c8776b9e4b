"""`overflow = "drop_oldest"`: a log at its size limit gives up events instead of refusing new ones.

Records are not deleted: their positions stay, and in place of its events each says how many there
were, of which site, dropped for overflow. So the worker takes them as any other record, and
books them in the transaction that closes their batch. A segment is written anew, as a draft,
which takes its name when it is durable: at any instant there is the one or the other, whole.
"""

import logging
import os
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from footfall.eventlog.block import DamagedBlock, decode, encode
from footfall.eventlog.sqlite.begun import begun, replacing
from footfall.eventlog.sqlite.files import (
    INSERT,
    PAGE,
    Segment,
    fsync_directory,
    is_sealed,
    list_segments,
    open_reader,
    remove_files,
)
from footfall.metrics import LOG_DROPPED
from footfall.model.record import without_events
from footfall.runtime.consumer_offsets import Consumers

# A number in the header of a database file that is free for its user
# (https://www.sqlite.org/fileformat2.html, section 1.3.14): a segment whose events were dropped.
_DROPPED = 1
_USER_VERSION = slice(60, 64)

_log = logging.getLogger(__name__)


class Overflow:
    """Drops the oldest events that the worker has not begun with. Blocking; the writer's thread alone.

    What the worker has begun with stays as it is, because what was stored must not be counted as
    dropped: it notes how far that goes (see begun.py). What it has read beyond that it would have to
    read again, so that is spared as well, as far as can be told: above what is committed here it holds at
    most a batch that is closed but not committed, one that is being inserted, and what it read
    on: less than a batch and one more chunk of at most `batch_bytes`. Each of the four may be longer by
    its last record. (This alone spares a batch that a version without the note left open.)
    """

    def __init__(self, consumers: Consumers, batch_bytes: int) -> None:
        self._consumers = consumers
        self._batch_bytes = batch_bytes

    def drop(self, directory: Path, shard: int, enough: int) -> None:
        """Free at least `enough` bytes, if that is possible now."""
        released = self._consumers.released(shard)
        try:
            kept = max(released, begun(directory))
        except OSError as error:
            _log.warning(
                "nothing is dropped: how far the worker has begun is not known now: %s", error.strerror
            )
            return
        ahead = largest = freed = 0  # bytes; `largest` of a block above what is committed
        # The last segment is being written.
        for segment, following in pairwise(list_segments(directory)):
            try:
                if following.first - 1 <= released:
                    continue
                if segment.first <= kept or ahead < 4 * (self._batch_bytes + largest):
                    size, longest = _bytes_between(segment, released, following.first)
                    ahead, largest = ahead + size, max(largest, longest)
                elif is_sealed(segment) and not _was_dropped(segment):
                    size = segment.path.stat().st_size
                    freed += size - _drop_events(segment, following.first)
            except (sqlite3.Error, OSError, DamagedBlock) as error:
                # The reader of pages can still save something of a damaged one. One whose bytes
                # cannot be counted counts for none: then more of what follows it is left.
                _log.warning("log segment %s stays as it is: %s", segment.path.name, error)
            if freed >= enough:
                return


def _bytes_between(segment: Segment, after: int, below: int) -> tuple[int, int]:
    """Bytes of all blocks that end between these offsets, and of the largest. Raises sqlite3.Error."""
    with closing(open_reader(segment)) as connection:
        size, largest = connection.execute(
            "SELECT total(length(data)), max(length(data)) FROM blocks WHERE last > ? AND last < ?",
            (after, below),
        ).fetchone()
    return int(size), largest or 0


def _drop_events(segment: Segment, below: int) -> int:
    """Write the segment anew without its events; returns its size from now on.

    It stays as it is where the worker has begun with it meanwhile. Raises DamagedBlock, sqlite3.Error or
    OSError, and then nothing has changed.
    """
    draft = segment.path.with_name("draft")
    remove_files(draft)
    dropped = 0
    with closing(open_reader(segment)) as old, closing(sqlite3.connect(draft, isolation_level=None)) as new:
        for statement in (
            f"PRAGMA page_size = {PAGE}",
            f"PRAGMA user_version = {_DROPPED}",
            "PRAGMA journal_mode = OFF",  # a draft that is not finished counts for nothing
            "PRAGMA synchronous = OFF",
            "CREATE TABLE blocks (last INTEGER PRIMARY KEY, data BLOB NOT NULL)",
            "BEGIN",
        ):
            new.execute(statement)
        for (data,) in old.execute("SELECT data FROM blocks WHERE last < ? ORDER BY last", (below,)):
            block = decode(segment.magic, data)
            bodies: list[bytes] = []
            for record in block.records:
                # A damaged record stays one that cannot be read.
                body, events = without_events(record or b"")
                bodies.append(body)
                dropped += events
            new.execute(INSERT, encode(segment.magic, block.first, block.appended_at, bodies))
        new.execute("COMMIT")
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    with replacing(segment.path.parent, segment, below - 1) as free:
        if not free:
            remove_files(draft)
            return segment.path.stat().st_size
        draft.replace(segment.path)
    # From now on they are dropped, whatever else fails.
    LOG_DROPPED.inc(dropped)
    _log.error("the log is full: dropped %d events (overflow = drop_oldest)", dropped)
    fsync_directory(segment.path.parent)
    return size


def _was_dropped(segment: Segment) -> bool:
    with segment.path.open("rb") as file:
        return int.from_bytes(file.read(_USER_VERSION.stop)[_USER_VERSION], "big") == _DROPPED
