"""Deleting what nobody needs: whole days by dropping their partitions, else blocks."""

import time
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg.sql import SQL, Identifier

from footfall.eventlog.postgres.database import Connection
from footfall.model.times import Seconds

_LOCK_MS = 1000  # a drop waits so long for readers: writers wait behind it

_DAYS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'footfall.log'::regclass ORDER BY c.relname
"""
_NEEDED = SQL(
    "SELECT 1 FROM {day} LEFT JOIN footfall.log_released USING (shard)"
    " WHERE last > coalesce(upto, -1) LIMIT 1"
)
_RECORDS = SQL(
    "SELECT shard, sum(last - first + 1)::bigint, sum(length(block))::bigint FROM {day} GROUP BY shard"
)
_DROP = SQL("DROP TABLE {day}")
_LOCK = SQL("LOCK TABLE {day} IN ACCESS EXCLUSIVE MODE")
_SMALLER = "UPDATE footfall.log_shards SET bytes = bytes - %s WHERE shard = %s"

# The last block of a shard stays while somebody writes there.
_DELETE = """
WITH old AS (
  SELECT shard, last, day, length(block) AS size,
         sum(length(block)) OVER (ORDER BY appended_at, last) - length(block) AS before
  FROM footfall.log JOIN footfall.log_released USING (shard) JOIN footfall.log_shards USING (shard)
  WHERE shard = %(shard)s AND last <= upto AND last < next - %(kept)s
    AND appended_at < %(older_than)s
),
gone AS (
  DELETE FROM footfall.log AS log USING old
  WHERE log.shard = old.shard AND log.last = old.last AND log.day = old.day AND old.before < %(enough)s
  RETURNING log.shard, log.last - log.first + 1 AS records, old.size
),
smaller AS (
  UPDATE footfall.log_shards AS shards SET bytes = bytes - deleted.size
  FROM (SELECT shard, sum(size) AS size FROM gone GROUP BY shard) AS deleted
  WHERE shards.shard = deleted.shard
)
SELECT coalesce(sum(records), 0)::bigint, coalesce(sum(size), 0)::bigint FROM gone
"""
_SHARDS = "SELECT shard FROM footfall.log_shards ORDER BY shard"
_TRY_LOCK = "SELECT pg_try_advisory_lock(%s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s)"
# A shard that lost records which somebody needs stays: it is their witness.
_FORGET = """
WITH forgotten AS (
  DELETE FROM footfall.log_shards AS shards USING footfall.log_released AS released
  WHERE shards.shard = %s AND released.shard = shards.shard AND next > 0 AND upto >= next - 1
    AND NOT EXISTS (SELECT 1 FROM footfall.log WHERE log.shard = shards.shard)
  RETURNING shards.shard
)
DELETE FROM footfall.log_consumers USING forgotten WHERE log_consumers.shard = forgotten.shard
"""
_NO_END = float("inf")
_ALL = 1 << 62


def retain(connection: Connection, older_than: float) -> int:
    """See the port. Days that are over as a whole go at once; blocks only where all are old."""
    deleted = 0
    for day in _days(connection):
        if datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) <= _at(older_than):
            deleted += _drop(connection, day)
    enough = _ALL if older_than >= time.time() else 0
    return deleted + _delete(connection, older_than, enough)[0]


def make_room(connection: Connection, own: int, enough: int) -> None:
    """Delete what no consumer needs, however young, the oldest first, until `enough` bytes are free."""
    _delete(connection, _NO_END, enough, own)


def _at(seconds: Seconds) -> datetime:
    return datetime.fromtimestamp(min(seconds, 1 << 35), UTC)


def _days(connection: Connection) -> list[date]:
    names = [row[0] for row in connection.execute(_DAYS)]
    return [datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date() for name in names]


def _drop(connection: Connection, day: date) -> int:
    """A whole day, if nobody needs anything of it; the number of its records."""
    named = Identifier("footfall", f"log_{day:%Y%m%d}")
    if connection.execute(_NEEDED.format(day=named)).fetchone():
        return 0
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (str(_LOCK_MS),))
            connection.execute(_LOCK.format(day=named))
            if connection.execute(_NEEDED.format(day=named)).fetchone():  # somebody's clock is behind
                return 0
            records = 0
            for shard, count, size in connection.execute(_RECORDS.format(day=named)).fetchall():
                records += count
                connection.execute(_SMALLER, (size, shard))
            connection.execute(_DROP.format(day=named))
            return records
    except psycopg.errors.LockNotAvailable:
        return 0  # the next time


def _delete(
    connection: Connection, older_than: float, enough: int, own: int | None = None
) -> tuple[int, int]:
    """The records and bytes that were deleted. Shards that nobody writes, and nobody needs, are forgotten."""
    records = freed = 0
    for (shard,) in connection.execute(_SHARDS).fetchall():
        row = connection.execute(_TRY_LOCK, (shard,)).fetchone() if shard != own else None
        idle = row is not None and row[0]
        try:
            if enough > freed:
                place = {"shard": shard, "kept": 0 if idle else 1}
                limits = {"older_than": older_than, "enough": enough - freed}
                row = connection.execute(_DELETE, place | limits).fetchone()
                records += row[0] if row else 0
                freed += row[1] if row else 0
            if idle:
                connection.execute(_FORGET, (shard,))
        finally:
            if idle:
                connection.execute(_UNLOCK, (shard,))
    return records, freed
