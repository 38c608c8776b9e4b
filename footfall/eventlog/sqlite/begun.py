"""How far the worker has begun with the records of a shard: what `drop_oldest` never takes.

    DATA/log/<shard, 16 hex digits>/begun     two offsets and a checksum, overwritten in place

The worker notes how far a batch goes before it plans it, and is told then whether events up to there
have been dropped since it read them; who drops looks at the note, and notes how far it goes, while it
replaces a segment. So one of the two comes first, whatever the settings of either. Neither waits
for the other, who may stand still: it tries again.
"""

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from footfall.eventlog.sqlite.files import Segment, fsync_directory, list_segments

_NOTE = Struct("<qqI")
_EVERYTHING = 1 << 62


class _Note(NamedTuple):
    """The last offset that the worker has begun with, and the last whose events were dropped; -1: none."""

    begun: int
    dropped: int


def begin(directory: Path, first: int, last: int) -> bool:
    """Note, durably, that the worker begins with the offsets `first` to `last`.

    False when events up there were dropped already, maybe after they were read. Raises OSError:
    BlockingIOError while `replacing` is at work.
    """
    with _locked(directory) as file:
        begun, dropped = _read(file)
        if begun == _EVERYTHING:
            # From now on it is known again. The last segment was never replaced.
            begun, dropped = -1, max((each.first for each in list_segments(directory)), default=0) - 1
        _write(file, _Note(max(begun, last), dropped))
        fcntl.flock(file, fcntl.LOCK_UN)  # it is seen; that it is durable may take long
        os.fsync(file)
    return dropped < first


def begun(directory: Path) -> int:
    """The offset up to which the worker has begun; -1 where nothing was noted.

    Of a note that cannot be understood nobody knows how far it went: then it is beyond every
    record. Raises OSError: BlockingIOError while `begin` is at work.
    """
    with _locked(directory) as file:
        return _read(file).begun


@contextmanager
def replacing(directory: Path, segment: Segment, last: int) -> Generator[bool]:
    """Whether the segment, whose last offset is `last`, may be replaced within the block.

    Not when the worker has begun with it. Raises OSError as `begun` does.
    """
    with _locked(directory) as file:
        note = _read(file)
        free = note.begun < segment.first
        if free:
            _write(file, _Note(note.begun, max(note.dropped, last)))
        yield free


@contextmanager
def _locked(directory: Path) -> Generator[int]:
    file = os.open(directory / "begun", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not os.fstat(file).st_size:
            fsync_directory(directory)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    finally:
        os.close(file)


def _read(file: int) -> _Note:
    found = os.pread(file, _NOTE.size, 0)
    if not found:
        return _Note(-1, -1)
    if len(found) == _NOTE.size:
        *offsets, checksum = _NOTE.unpack(found)
        if checksum == crc32(found[:-4]):
            return _Note(*offsets)
    return _Note(_EVERYTHING, _EVERYTHING)


def _write(file: int, note: _Note) -> None:
    # In place and at once, so that at every instant the old one or the new one is there.
    packed = _NOTE.pack(*note, 0)[:-4]
    packed += crc32(packed).to_bytes(4, "little")
    if os.pwrite(file, packed, 0) < len(packed):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
