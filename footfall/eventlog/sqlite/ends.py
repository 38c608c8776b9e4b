"""What each shard was told is durable, kept outside the log: so that what is gone from it can be named.

    DATA/log-ends/<shard, 16 hex digits>     a ring of the shard's last commits

An entry is written after its commit and before anybody is answered, but is not fsynced until the
segment is complete or closed: after a kill the ring knows every acknowledged record of the last
commits, after a power failure it may lack the last half minute or so.
"""

import errno
import logging
import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from footfall.eventlog.port import GoneRecords
from footfall.eventlog.sqlite.files import list_shards
from footfall.eventlog.sqlite.reader import MOST_MISSING, SegmentReader
from footfall.metrics import LOG_WITNESS_OFF

_ENTRY = Struct("<QQdII")  # first offset, last offset, time, events, checksum of what precedes
_SLOTS = 16_384
_NO_END = 1 << 62
_RETRY = 1.0  # seconds between attempts to open it

_log = logging.getLogger(__name__)


class Commit(NamedTuple):
    """Records `first` to `last` (offsets) were made durable at `at` (Unix seconds)."""

    first: int
    last: int
    at: float
    events: int


class Ends:
    """The ring of one shard, for its writer. Nothing here raises: it is a witness, nobody waits for it.

    What could not be written is kept, as many commits as the ring holds, and written when that is
    possible again; `footfall_log_witness_off` says meanwhile that it is not.
    """

    def __init__(self, root: Path, shard: int) -> None:
        """`root` of the log."""
        self._root = root
        self._shard = shard
        self._file = -1
        self._slot = 0
        self._unwritten: deque[Commit] = deque(maxlen=_SLOTS)
        self._tried = float("-inf")
        self._off = False
        with self._trouble_is_shown():
            self._open()

    def note(self, commit: Commit) -> None:
        """The commit is durable in the log."""
        self._unwritten.append(commit)
        if self._file >= 0 or time.monotonic() - self._tried > _RETRY:
            with self._trouble_is_shown():
                self._write()

    def sync(self) -> None:
        """Make what was noted durable."""
        with self._trouble_is_shown():
            self._write()
            os.fsync(self._file)

    def close(self) -> None:
        """The last act."""
        self.sync()
        self._show(off=False)
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._tried = time.monotonic()
        path = _path(self._root, self._shard)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        known = read_commits(self._root, self._shard)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slot = known[-1][0] + 1 if known else 0

    def _write(self) -> None:
        if self._file < 0:
            self._open()
        while self._unwritten:
            entry = _pack(self._unwritten[0])
            if os.pwrite(self._file, entry, self._slot % _SLOTS * _ENTRY.size) < len(entry):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._unwritten.popleft()
            self._slot += 1

    @contextmanager
    def _trouble_is_shown(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if not self._off:
                _log.error("what the log makes durable is not noted beside it now: %s", error.strerror)
            self._show(off=True)
        else:
            self._show(off=False)

    def _show(self, *, off: bool) -> None:
        if off != self._off:  # a process may write several shards
            self._off = off
            LOG_WITNESS_OFF.inc(1 if off else -1)


def read_commits(root: Path, shard: int) -> list[tuple[int, Commit]]:
    """The slots of the ring with their commits, in the order of offsets."""
    try:
        content = _path(root, shard).read_bytes()
    except FileNotFoundError:
        return []
    found: list[tuple[int, Commit]] = []
    for slot in range(len(content) // _ENTRY.size):
        entry = content[slot * _ENTRY.size : (slot + 1) * _ENTRY.size]
        first, last, at, events, checksum = _ENTRY.unpack(entry)
        if checksum == crc32(entry[:-4]):
            found.append((slot, Commit(first, last, at, events)))
    return sorted(found, key=lambda each: each[1])


def recorded_end(root: Path, shard: int) -> int | None:
    """The last offset that was durable, as far as the ring knows; -1 if it knows nothing, None: not now."""
    try:
        return max((commit.last for _, commit in read_commits(root, shard)), default=-1)
    except OSError:
        return None


def forget_ends(root: Path, shard: int, released: int) -> None:
    """The shard was deleted, and its id never comes again; nobody needs anything up to `released`.

    A ring that knows more, or cannot be read, is kept: what it is a witness of may be lost.
    """
    with suppress(OSError):
        commits = read_commits(root, shard)
        if commits and max(commit.last for _, commit in commits) <= released:
            _path(root, shard).unlink()


def gone(root: Path, reader: SegmentReader, after: Mapping[int, int]) -> list[GoneRecords]:
    """See `EventLog.gone`. Raises Retryable when a segment cannot be read now, OSError."""
    return [
        GoneRecords(shard, commit.first, commit.last, commit.events, commit.at)
        # The ring first: what it knows was in the log by then.
        for shard in sorted({*list_shards(root.parent / "log-ends"), *after})
        for commit in _gone(reader, shard, [each for _, each in read_commits(root, shard)], after.get(shard))
    ]


def _gone(reader: SegmentReader, shard: int, commits: list[Commit], known: int | None) -> list[Commit]:
    """Parts of commits; and what is older than the ring, of which only the number of records is known."""
    found: list[Commit] = []
    for begin, end in _absent(reader, shard, -1 if known is None else known):
        unknown = begin
        for commit in commits:
            first, last = max(commit.first, unknown), min(commit.last, end)
            if first > last:
                continue
            found += _by_number(unknown, first - 1, commit.at)
            found.append(_part(commit, first, last))
            unknown = last + 1
        if unknown == 0 and known is None:
            continue  # before the first record that anybody knows of
        if end < _NO_END:
            found += _by_number(unknown, end, reader.oldest(shard, end) or time.time())
    return found


def _absent(reader: SegmentReader, shard: int, after: int) -> Iterator[tuple[int, int]]:
    """The first and the last of offsets above `after` that `read` passes over; the last range has no end."""
    segments = reader.segments(shard)
    begin = after + 1
    for segment, following in zip(segments, (*segments[1:], None), strict=False):  # of none there is none
        if following is not None and following.first <= begin:
            continue
        if begin < segment.first:
            yield begin, segment.first - 1
        begin = max(begin, reader.upto(shard, segment, following) + 1)
    yield begin, _NO_END


def _by_number(first: int, last: int, at: float) -> list[Commit]:
    """What offsets are dense enough to tell of: a record each, unless they were left out."""
    records = last - first + 1
    return [Commit(first, last, at, records)] if 0 < records < MOST_MISSING else []


def _part(commit: Commit, first: int, last: int) -> Commit:
    """These records of the commit; of the events of each only the mean is known."""
    records = commit.last - commit.first + 1
    return Commit(first, last, commit.at, -(-commit.events * (last - first + 1) // records))


def _pack(commit: Commit) -> bytes:
    entry = _ENTRY.pack(commit.first, commit.last, commit.at, commit.events, 0)
    return entry[:-4] + crc32(entry[:-4]).to_bytes(4, "little")


def _path(root: Path, shard: int) -> Path:
    return root.parent / "log-ends" / f"{shard:016x}"
