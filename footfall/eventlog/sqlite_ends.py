"""What each shard was told is durable, kept outside the log: so that what is gone from it can be named.

    DATA/log-ends/<shard, 16 hex digits>     a ring of the shard's last commits

An entry is written after its commit and before anybody is answered, but is not fsynced until the
segment is complete or closed: after a kill the ring knows every acknowledged record of the last
commits, after a power failure it may lack the last half minute or so.
"""

import os
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from footfall.eventlog.port import Gone
from footfall.eventlog.sqlite_files import list_shards
from footfall.eventlog.sqlite_reader import MOST_MISSING, Reader

_ENTRY = Struct("<QQdII")  # first offset, last offset, time, events, checksum of what precedes
_SLOTS = 16_384


class Commit(NamedTuple):
    """Records `first` to `last` (offsets) were made durable at `at` (Unix seconds)."""

    first: int
    last: int
    at: float
    events: int


class Ends:
    """The ring of one shard, for its writer. Nothing here raises: it is a witness, nobody waits for it."""

    def __init__(self, root: Path, shard: int) -> None:
        """`root` of the log."""
        self._file = -1
        self._slot = 0
        path = _path(root, shard)
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            known = read_commits(root, shard)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._slot = known[-1][0] + 1 if known else 0

    def note(self, commit: Commit) -> None:
        """The commit is durable in the log."""
        with suppress(OSError):
            os.pwrite(self._file, _pack(commit), self._slot % _SLOTS * _ENTRY.size)
            self._slot += 1

    def sync(self) -> None:
        """Make what was noted durable."""
        with suppress(OSError):
            os.fsync(self._file)

    def close(self) -> None:
        """The last act."""
        self.sync()
        with suppress(OSError):
            os.close(self._file)


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


def recorded_end(root: Path, shard: int) -> int:
    """The last offset that was durable, as far as the ring knows; -1 if it knows nothing."""
    try:
        return max((commit.last for _, commit in read_commits(root, shard)), default=-1)
    except OSError:
        return -1


def forget_ends(root: Path, shard: int, released: int) -> None:
    """The shard was deleted, and its id never comes again; nobody needs anything up to `released`.

    A ring that knows more, or cannot be read, is kept: what it is a witness of may be lost.
    """
    with suppress(OSError):
        commits = read_commits(root, shard)
        if commits and max(commit.last for _, commit in commits) <= released:
            _path(root, shard).unlink()


def gone(root: Path, reader: Reader, after: Mapping[int, int]) -> list[Gone]:
    """See `EventLog.gone`. Raises Retryable when a segment cannot be read now, OSError."""
    return [
        Gone(shard, commit.first, commit.last, commit.events, commit.at)
        # The ring first: what it knows was in the log by then.
        for shard in sorted({*list_shards(root.parent / "log-ends"), *after})
        for commit in _gone(reader, shard, [each for _, each in read_commits(root, shard)], after.get(shard))
    ]


def _gone(reader: Reader, shard: int, commits: list[Commit], known: int | None) -> list[Commit]:
    after = -1 if known is None else known
    commits = [commit for commit in commits if commit.last > after]
    segments = reader.segments(shard)
    found: list[Commit] = []
    if known is not None and segments:
        # Retention took nothing above `known`, so what is missing there was deleted, also if it is older than
        # the ring: then of each record it is only known that it was.
        first = min([segments[0].first, *(commit.first for commit in commits)])
        if 0 < (records := first - known - 1) < MOST_MISSING:
            found.append(Commit(known + 1, first - 1, segments[0].path.stat().st_mtime, records))
    for commit in commits:
        index = bisect_right(segments, commit.last, key=lambda segment: segment.first) - 1
        if index < 0:
            found.append(commit)
            continue
        following = segments[index + 1] if index + 1 < len(segments) else None
        end = reader.end(shard, segments[index], following)
        last = segments[index].first - 1 if end is None else end[0]
        # What is missing between two segments is read as damaged records, unless it is as wide as a gap.
        is_damage = following is not None and following.first - 1 - last < MOST_MISSING
        if commit.last > last and not is_damage:
            found.append(commit)
    return found


def _pack(commit: Commit) -> bytes:
    entry = _ENTRY.pack(commit.first, commit.last, commit.at, commit.events, 0)
    return entry[:-4] + crc32(entry[:-4]).to_bytes(4, "little")


def _path(root: Path, shard: int) -> Path:
    return root.parent / "log-ends" / f"{shard:016x}"
