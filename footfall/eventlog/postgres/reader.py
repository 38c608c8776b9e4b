"""Reading shards: blocks in the order of their offsets."""

import time
from collections.abc import Iterator, Mapping, Sequence

from footfall.eventlog.block import DamagedBlock, decode
from footfall.eventlog.port import Backlog, GoneRecords, StoredRecord
from footfall.eventlog.postgres.database import Connection, signed, unsigned

_FEW = 16  # blocks that are fetched at once: each may have megabytes

_SHARDS = "SELECT shard FROM footfall.log_shards WHERE next > 0 ORDER BY shard"
_BLOCKS = """
SELECT first, last, appended_at, block FROM footfall.log
WHERE shard = %s AND last > %s ORDER BY last LIMIT %s
"""
_BACKLOG = """
SELECT next - greatest(start.first, known.upto + 1), start.appended_at, newest.appended_at
FROM footfall.log_shards
LEFT JOIN LATERAL (
  SELECT upto FROM footfall.log_consumers
  WHERE consumer = %s AND log_consumers.shard = log_shards.shard
) AS committed ON true
CROSS JOIN LATERAL (SELECT coalesce(committed.upto, -1) AS upto) AS known
CROSS JOIN LATERAL (
  SELECT first, appended_at FROM footfall.log
  WHERE log.shard = log_shards.shard AND last > known.upto ORDER BY last LIMIT 1
) AS start
CROSS JOIN LATERAL (
  SELECT appended_at FROM footfall.log WHERE log.shard = log_shards.shard ORDER BY last DESC LIMIT 1
) AS newest
"""
# Above an offset: where each block begins and ends, and at last where the next one will begin.
_KEPT_FROM = "SELECT upto FROM footfall.log_released WHERE shard = %s"
_BORDERS = """
SELECT first, last, appended_at FROM footfall.log WHERE shard = %(shard)s AND last > %(after)s
UNION ALL SELECT next, next, NULL FROM footfall.log_shards WHERE shard = %(shard)s
ORDER BY 1
"""


def shards(connection: Connection) -> list[int]:
    """See the port."""
    return [unsigned(row[0]) for row in connection.execute(_SHARDS)]


def read(connection: Connection, shard: int, after: int, limit: int, max_bytes: int) -> list[StoredRecord]:
    """See the port."""
    found: list[StoredRecord] = []
    size = 0
    while len(found) < limit and (size < max_bytes or not found):
        place = (signed(shard), after, min(limit - len(found), _FEW))
        blocks = connection.execute(_BLOCKS, place, binary=True).fetchall()
        for first, last, at, block in blocks:
            for record in _records(first, last, at, block):
                if record.offset <= after:
                    continue
                if len(found) >= limit or (size >= max_bytes and found):
                    return found
                found.append(record)
                size += len(record.data or b"")
            after = last
        if len(blocks) < _FEW:
            break
    return found


def backlog(connection: Connection, consumer: str) -> Backlog:
    """See the port."""
    rows = connection.execute(_BACKLOG, (consumer,)).fetchall()
    if not rows:
        return Backlog(0)
    counts, oldest, newest = zip(*rows, strict=True)
    return Backlog(sum(counts), min(oldest), max(newest))


def gone(connection: Connection, after: Mapping[int, int]) -> list[GoneRecords]:
    """See the port. How many events they had is not known: at least one a record."""
    found: list[GoneRecords] = []
    for shard in sorted({*shards(connection), *after}):
        known = after.get(shard, _released(connection, shard))
        expected = known + 1
        for first, last, at in connection.execute(_BORDERS, {"shard": signed(shard), "after": known}):
            if first > expected:
                found.append(GoneRecords(shard, expected, first - 1, first - expected, at or time.time()))
            expected = max(expected, last + 1)
    return found


def _released(connection: Connection, shard: int) -> int:
    """Above it retention deletes nothing."""
    row = connection.execute(_KEPT_FROM, (signed(shard),)).fetchone()
    return row[0] if row else -1


def _records(first: int, last: int, at: float, block: bytes) -> Iterator[StoredRecord]:
    """The records of a row. One that is damaged tells no more than where it stood."""
    bodies: Sequence[bytes | None]
    try:
        decoded = decode(block[:8], block)
        if (decoded.first, decoded.last) != (first, last):
            raise DamagedBlock
        bodies, at = decoded.records, decoded.appended_at
    except DamagedBlock:
        bodies = [None] * (last - first + 1)
    for offset, body in enumerate(bodies, first):
        yield StoredRecord(offset, at, body)
