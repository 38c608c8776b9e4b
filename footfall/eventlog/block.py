"""What a row of a log in a database holds: a block, the records of one group commit.

    header   magic (8 bytes), crc32 (4), last offset (8), appended at (8, a double: Unix
             seconds), records (4), size of the whole block (4); little-endian
    table    the length of each record (4 bytes each), then the crc32 of each (4 bytes each)
    bodies   the records, one after the other

The header's checksum covers what follows it in the header, and the table. One row a commit,
not one a record, because every step of a SQLite statement gives the interpreter lock away
and, in a busy process, waits milliseconds to get it back. The magic is random and belongs to
the segment (it is part of the file's name): a block can be found in a damaged file without
SQLite, and nobody can plant one by sending it as an event.
"""

from collections.abc import Sequence
from struct import Struct, pack, unpack_from
from typing import NamedTuple
from zlib import crc32

HEADER = Struct("<8sIQdII")
_COVERED = 12  # where the checksummed part of the header starts
MAX_RECORDS = 4096
MAX_RECORD = 16 << 20  # bytes
MAX_BLOCK = 64 << 20  # more than any block written; what claims to be larger is damaged


class DamagedBlock(Exception):
    """These bytes are not the block they should be."""


class Block(NamedTuple):
    """A decoded block. A record is None where its checksum did not match."""

    first: int
    last: int
    appended_at: float
    records: Sequence[bytes | None]

    @property
    def damaged(self) -> int:
        """How many records are."""
        return self.records.count(None)


def encode(magic: bytes, first: int, appended_at: float, bodies: Sequence[bytes]) -> tuple[int, bytes]:
    """The offset of the last record, which is the row's key, and the block."""
    count = len(bodies)
    last = first + count - 1
    table = pack(f"<{2 * count}I", *map(len, bodies), *map(crc32, bodies))
    size = HEADER.size + len(table) + sum(map(len, bodies))
    header = HEADER.pack(magic, 0, last, appended_at, count, size)
    checksum = crc32(table, crc32(header[_COVERED:]))
    header = header[:8] + pack("<I", checksum) + header[_COVERED:]
    return last, b"".join((header, table, *bodies))


def size_of(magic: bytes, start: bytes) -> int:
    """The size of the block that starts with `start` (at least a header). Raises DamagedBlock."""
    found, _, _, _, count, size = HEADER.unpack_from(start)
    if found != magic or not 0 < count <= MAX_RECORDS or not HEADER.size + 8 * count <= size <= MAX_BLOCK:
        raise DamagedBlock
    return size


def decode(magic: bytes, data: object) -> Block:
    """Read a block; `last` of the answer must be compared with the row's key.

    Raises DamagedBlock when the header or the table is (or `data` isn't even bytes, as in a
    damaged row); damage in a body costs only that record.
    """
    if not isinstance(data, bytes) or len(data) < HEADER.size or size_of(magic, data) != len(data):
        raise DamagedBlock
    _, checksum, last, appended_at, count, size = HEADER.unpack_from(data)
    position = HEADER.size + 8 * count
    if crc32(data[_COVERED : HEADER.size] + data[HEADER.size : position]) != checksum:
        raise DamagedBlock
    numbers = unpack_from(f"<{2 * count}I", data, HEADER.size)
    if position + sum(numbers[:count]) != size:
        raise DamagedBlock
    records: list[bytes | None] = []
    for length, expected in zip(numbers[:count], numbers[count:], strict=True):
        body = data[position : position + length]
        records.append(body if crc32(body) == expected else None)
        position += length
    return Block(last - count + 1, last, appended_at, records)
