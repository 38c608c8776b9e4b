"""The files of the SQLite log: shard directories, their locks, and segments.

    DATA/log/<shard, 16 hex digits>/lock                               held (flock) by the writer;
                                                                       its text: see write_mark
    DATA/log/<shard, 16 hex digits>/<first offset>-<magic>.db          a segment
    DATA/log/<shard, 16 hex digits>/begun                              see begun.py
    DATA/log/consumers/<consumer>/<shard>                              see runtime/consumer_offsets.py

A segment is written through one connection, in WAL mode with an fsync per commit; readers
open it with `mode=ro` and never checkpoint. A full one is sealed: checkpointed and switched
to the rollback journal, so that it is one file without a write-ahead log. Offsets are dense
in a shard, except that GAP of them or more are left out where the end of the older segment is
not certain, because its writer was killed: no position may ever be used twice, even if the
disk lost what a consumer has read already.
"""

import fcntl
import os
import re
import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

GAP = 1 << 24
PAGE = 16384  # bytes; measured, see docs/decisions/0002
# Pages in the write-ahead log (2 MiB) at which it is copied into the segment. A small one is
# overwritten in place again and again, which halves the time of an fsync.
_CHECKPOINT = 128
INSERT = "INSERT INTO blocks (last, data) VALUES (?, ?)"

_SHARD = re.compile(r"[0-9a-f]{16}")
_SEGMENT = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.db")
_SEALED = b"\x01\x01"  # write and read version of a database with a rollback journal
_CREATE = (
    f"PRAGMA page_size = {PAGE}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    # The key is the offset of the block's last record.
    "CREATE TABLE blocks (last INTEGER PRIMARY KEY, data BLOB NOT NULL)",
)


class Segment(NamedTuple):
    """One file of a shard. No record in it is below `first`, or at or above the next one's `first`."""

    first: int
    magic: bytes
    path: Path


class Claim(NamedTuple):
    """A shard that this process alone may write, as long as `lock` is open."""

    shard: int
    directory: Path
    lock: int


def shard_directory(root: Path, shard: int) -> Path:
    """Where a shard lives."""
    return root / f"{shard:016x}"


def list_shards(root: Path) -> list[int]:
    """The ids of all shard directories, in no particular order."""
    try:
        names = os.listdir(root)  # noqa: PTH208 - polled; pathlib makes an object per name
    except FileNotFoundError:
        return []
    return [int(name, 16) for name in names if _SHARD.fullmatch(name)]


def list_segments(directory: Path) -> list[Segment]:
    """The segments of a shard, in the order of their offsets."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - polled; pathlib makes an object per name
    except FileNotFoundError:
        return []
    found = [match for name in names if (match := _SEGMENT.fullmatch(name))]
    return sorted(
        Segment(int(match[1], 16), bytes.fromhex(match[2]), directory / match[0]) for match in found
    )


def fsync_directory(directory: Path) -> None:
    """Make names created, renamed or deleted in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(directory: Path) -> int | None:
    """The locked descriptor, or None if another log holds the shard or just removed it."""
    path = directory / "lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def claim(root: Path) -> Claim:
    """Take a shard that nobody writes, or make one.

    A directory without a segment has forgotten its offsets and is never continued.
    Raises OSError when a new shard cannot be made.
    """
    for shard in list_shards(root):
        directory = shard_directory(root, shard)
        if list_segments(directory) and (lock := try_lock(directory)) is not None:
            if list_segments(directory):
                return Claim(shard, directory, lock)
            os.close(lock)
    while True:
        shard = secrets.randbits(64)
        directory = shard_directory(root, shard)
        if shard == 0 or directory.exists():
            continue
        directory.mkdir(parents=True, mode=0o700)
        if (lock := try_lock(directory)) is not None:
            fsync_directory(root)
            fsync_directory(root.parent)
            return Claim(shard, directory, lock)


def read_mark(lock: int) -> int | None:
    """The next offset, if the last writer closed the shard properly."""
    digits, _, checksum = os.pread(lock, 64, 0).decode("ascii", "replace").partition(" ")
    if not digits.isdecimal() or checksum != f"{crc32(digits.encode()):08x}":
        return None
    return int(digits)


def write_mark(lock: int, offset: int | None) -> None:
    """Note the next offset on closing; None when writing begins. Durable. Raises OSError."""
    os.ftruncate(lock, 0)
    if offset is not None:
        os.pwrite(lock, f"{offset} {crc32(str(offset).encode()):08x}".encode(), 0)
    os.fsync(lock)


def create_segment(directory: Path, first: int) -> Segment:
    """A new, empty segment. It gets its name when it is complete, so no reader sees half of one.

    When this returns, older segments count as complete, and the directory is still to be
    fsynced. Raises sqlite3.Error or OSError, and then nothing has changed.
    """
    magic = secrets.token_bytes(8)
    draft = directory / "draft"
    remove_files(draft)
    connection = sqlite3.connect(draft, isolation_level=None)
    try:
        for statement in _CREATE:
            connection.execute(statement)
    finally:
        connection.close()
    path = draft.rename(directory / f"{first:016x}-{magic.hex()}.db")
    return Segment(first, magic, path)


def open_writer(segment: Segment) -> sqlite3.Connection:
    """THE writing connection of a segment; the caller holds the shard's lock."""
    connection = sqlite3.connect(f"file:{segment.path}?mode=rw", uri=True, isolation_level=None, timeout=1)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_reader(segment: Segment) -> sqlite3.Connection:
    """A connection that never writes, for any process, beside the writer.

    It waits briefly for who holds the file: the caller tries again, and reads other shards meanwhile.
    """
    connection = sqlite3.connect(
        f"file:{segment.path}?mode=ro", uri=True, isolation_level=None, timeout=0.5, check_same_thread=False
    )
    # A flipped length must not become an allocation of gigabytes.
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 80 << 20)
    return connection


def is_sealed(segment: Segment) -> bool:
    """The segment is one file, without a write-ahead log."""
    with segment.path.open("rb") as file:
        return file.read(20)[18:] == _SEALED


def seal(connection: sqlite3.Connection) -> bool:
    """Checkpoint, leave WAL mode, close.

    False if a reader or an error stood in the way; then the connection is still open.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.close()
    except sqlite3.Error:
        return False
    return True


def log_path(path: Path) -> Path:
    """The write-ahead log of a segment."""
    return path.with_name(path.name + "-wal")


def remove_files(path: Path) -> None:
    """Delete a segment (or draft) with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def size_on_disk(directories: Sequence[Path]) -> int:
    """Bytes in all files of the shard directories."""
    total = 0
    for directory in directories:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    try:
                        total += entry.stat().st_size
                    except FileNotFoundError:
                        continue
        except FileNotFoundError:
            continue
    return total
