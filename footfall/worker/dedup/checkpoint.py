"""The recent-id index on disk: what it knew at some positions, so that a start reads only the log's tail.

The file: magic, format version, length and CRC-32 of the head; the head (MessagePack); of
each index (ids with a key, and without) and partition of it two runs of three columns, little-endian
as is every machine that the embedded store runs on; CRC-32 of the columns. It is replaced whole, so
there is always an old or a new one. It may be missing or damaged: then the ids are read from the log
again.
"""

import os
import struct
import tempfile
from collections.abc import Sequence
from io import BufferedReader, BufferedWriter
from pathlib import Path
from zlib import crc32

import msgspec
import structlog
from msgspec import Struct

from footfall.worker.dedup.index import PARTITIONS, Generation, Partition, Snapshot
from footfall.worker.dedup.sorted_run import ID_BYTES, SortedRun, new_run

log = structlog.get_logger(__name__)

FORMAT_VERSION = 2
_ONE_INDEX = 1
"""The format in which ids with a key and without were of one kind."""

_MAGIC = b"ffrecent"
_START = struct.Struct("<8sIII")
_END = struct.Struct("<I")
_MOST_HEAD = 16 << 20


class _Index(Struct, array_like=True):
    complete_since: float
    first_generation: int
    generations: list[Generation]
    sizes: list[tuple[int, int]]  # ids in the two runs of each partition


class _Head(Struct, array_like=True):
    positions: dict[int, int]
    secret: bytes
    indexes: list[_Index]


class _OldHead(Struct, array_like=True):
    positions: dict[int, int]
    secret: bytes
    complete_since: float
    first_generation: int
    generations: list[Generation]
    sizes: list[tuple[int, int]]


def save(path: Path, snapshots: Sequence[Snapshot]) -> None:
    """Write the checkpoint and put it in place of the last one; it blocks, so call it in a thread.

    The snapshots, of one moment, are used up. Raises OSError, and then leaves the last checkpoint.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, snapshots)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _fsync_directory(path)


def remove(path: Path) -> None:
    """There is no checkpoint any more, also after a power failure. Raises OSError."""
    path.unlink(missing_ok=True)
    _fsync_directory(path)


def load(path: Path) -> list[Snapshot] | None:
    """The last checkpoint, or None where there is none that can be used. One snapshot: an older format."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("recent ids: the checkpoint is not used", path=str(path), problem=str(error))
        return None


def _fsync_directory(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write(file: BufferedWriter, snapshots: Sequence[Snapshot]) -> None:
    indexes = [
        _Index(
            each.complete_since,
            each.first_generation,
            each.generations,
            [(large.size, small.size) for large, small in each.partitions],
        )
        for each in snapshots
    ]
    head = msgspec.msgpack.encode(_Head(snapshots[0].positions, snapshots[0].secret, indexes))
    file.write(_START.pack(_MAGIC, FORMAT_VERSION, len(head), crc32(head)) + head)
    checksum = 0
    # Each partition is let go once it is written: the index may have replaced it meanwhile.
    for snapshot in snapshots:
        snapshot.partitions.reverse()
        while snapshot.partitions:
            for run in snapshot.partitions.pop():
                for column in run:
                    checksum = crc32(column.data, checksum)
                    file.write(column.data)
    file.write(_END.pack(checksum))


def _read(file: BufferedReader) -> list[Snapshot]:
    """Raises ValueError saying what is wrong with it."""
    head = _read_head(file)
    ids = sum(sum(map(sum, index.sizes)) for index in head.indexes)
    size = file.tell() + ids * ID_BYTES + _END.size
    if os.fstat(file.fileno()).st_size != size:
        raise ValueError(f"it should have {size} bytes")
    found: list[Snapshot] = []
    checksum = 0
    for index in head.indexes:
        partitions: list[Partition] = []
        for sizes in index.sizes:
            runs: list[SortedRun] = []
            for size in sizes:
                run = new_run(size)
                for column in run:
                    file.readinto(column.data)
                    checksum = crc32(column.data, checksum)
                runs.append(run)
            partitions.append(Partition(*runs))
        found.append(
            Snapshot(
                head.positions,
                head.secret,
                index.complete_since,
                index.first_generation,
                index.generations,
                partitions,
            )
        )
    if file.read() != _END.pack(checksum):
        raise ValueError("its ids are damaged")
    return found


def _read_head(file: BufferedReader) -> _Head:
    start = file.read(_START.size)
    if len(start) < _START.size or not start.startswith(_MAGIC):
        raise ValueError("it is no checkpoint")
    _, version, length, checksum = _START.unpack(start)
    if version not in (_ONE_INDEX, FORMAT_VERSION):
        raise ValueError(f"its format is {version}, this program reads {FORMAT_VERSION}")
    encoded = file.read(min(length, _MOST_HEAD))
    if len(encoded) != length or crc32(encoded) != checksum:
        raise ValueError("its head is damaged")
    if version == _ONE_INDEX:
        old = msgspec.msgpack.decode(encoded, type=_OldHead)
        index = _Index(old.complete_since, old.first_generation, old.generations, old.sizes)
        head = _Head(old.positions, old.secret, [index])
    else:
        head = msgspec.msgpack.decode(encoded, type=_Head)
    if len(head.indexes) not in (1, 2) or any(len(index.sizes) != PARTITIONS for index in head.indexes):
        raise ValueError("it has another number of partitions")
    return head
