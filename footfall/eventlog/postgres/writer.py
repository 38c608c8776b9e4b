"""The shard that this process writes: claimed by a lock, written by one statement a commit.

What a statement answers is certain. When the connection breaks under it, nobody knows whether it was carried
out. Then its session is ended for sure, and the log is asked: until that has an answer nothing else is
written, and appends are refused.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from secrets import randbits
from typing import LiteralString, NamedTuple

import psycopg
import structlog

from footfall.database.postgres import has_news, said
from footfall.errors import LogFull
from footfall.eventlog.block import encode
from footfall.eventlog.postgres.database import (
    Connection,
    connect,
    day_of,
    make_partition,
    origin,
    signed,
)
from footfall.eventlog.postgres.retention import make_room
from footfall.metrics import LOG_BYTES, LOG_COMMIT_SECONDS, LOG_RECORDS
from footfall.model.record import count_events

log = structlog.get_logger(__name__)

_STATEMENT = 30.0  # seconds
_RETRY = 0.25  # seconds between attempts after a failure
_LOOK_EVERY = 1.0  # seconds between looks at the size of all shards
_UNANSWERED = "the log's database does not answer"

_CLAIMABLE = "SELECT shard FROM footfall.log_shards WHERE origin = %s ORDER BY shard"
_CLAIM = "SELECT pg_try_advisory_lock(%s)"
_NEW = "INSERT INTO footfall.log_shards (shard, origin) VALUES (%s, %s)"
# What a consumer has behind it is not used again, even if the database was set back.
_NEXT = """
UPDATE footfall.log_shards AS shards
SET next = greatest(
  next, (SELECT max(upto) + 1 FROM footfall.log_consumers AS known WHERE known.shard = shards.shard)
)
WHERE shard = %s RETURNING next
"""
_APPEND = """
WITH own AS (
  UPDATE footfall.log_shards SET next = %(last)s + 1, bytes = bytes + %(size)s
  WHERE shard = %(shard)s AND next = %(first)s
  RETURNING shard
)
INSERT INTO footfall.log (shard, last, first, appended_at, day, events, block)
SELECT shard, %(last)s, %(first)s, %(at)s, %(day)s, %(events)s, %(block)b FROM own
"""
_SIZE = "SELECT coalesce(sum(bytes), 0)::bigint FROM footfall.log_shards"
_END_SESSION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %s AND backend_start = %s AND usename = current_user
"""
_STARTED = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_HOLDER = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND (classid::bigint << 32) | objid::bigint = %s AND pid = %s
"""
_IS_THERE = """
SELECT 1 FROM footfall.log WHERE shard = %s AND last = %s AND day = %s AND substr(block, 1, 8) = %b
"""


# A session that was ended while it waited for the standby has committed here, and perhaps nowhere else. A
# commit behind that one waits until the standby has both.
_TOUCH = "UPDATE footfall.log_shards SET next = next WHERE shard = %s"


class _Session(NamedTuple):
    """Of the server: its process, and when that started, because numbers of processes come again."""

    pid: int
    started: object


class _Commit(NamedTuple):
    """A block on its way."""

    shard: int
    first: int
    last: int
    at: float
    day: date
    events: int
    size: int
    block: bytes


class PostgresShard:
    """A `ShardWriter`. `shard` is its id, signed; it changes where another process has taken it over."""

    def __init__(self, url: str, limit: int) -> None:
        """`limit` in bytes, of all shards. Claims the shard; raises psycopg.Error."""
        self._url = url
        self._limit = limit
        self._magic = os.urandom(8)  # of the blocks of this writer
        self._connection: Connection | None = None
        self._session = _Session(0, None)
        self._next = 0
        self._days: set[date] = set()
        self._size = 0
        self._looked = float("-inf")
        self._failed = float("-inf")
        self.shard = 0
        self.refusal = ""
        self._claim()

    def start(self) -> None:
        """The shard is claimed already."""

    def write(self, bodies: Sequence[bytes]) -> None:
        """Make the records durable, or raise LogFull and keep none of them."""
        start = time.perf_counter()
        if start - self._failed < _RETRY:
            raise LogFull(_UNANSWERED)
        payload = sum(map(len, bodies))
        try:
            if not (self._append(bodies) or self._append(bodies)):
                raise LogFull("the log's database went away twice")
        except psycopg.Error as error:
            self._failed = time.perf_counter()
            raise LogFull(f"the log could not be written: {said(error)}") from error
        LOG_COMMIT_SECONDS.observe(time.perf_counter() - start)
        LOG_RECORDS.inc(len(bodies))
        LOG_BYTES.inc(payload)

    def tidy(self) -> None:
        """Nothing is due."""

    def idle(self) -> None:
        """See that the connection lives, so that the next append does not find a dead one."""
        with suppress(psycopg.Error, LogFull):
            self._ready().execute("SELECT 1")

    def close(self) -> None:
        """Release the shard."""
        with suppress(psycopg.Error):
            if self._connection is not None:
                self._connection.execute("SELECT pg_advisory_unlock(%s)", (self.shard,))
        self._drop_connection()

    def _prepared(self, bodies: Sequence[bytes]) -> _Commit:
        """Before anything is written. Raises LogFull, psycopg.Error: nothing is kept then."""
        connection = self._ready()
        at = time.time()
        last, block = encode(self._magic, self._next, at, bodies)
        self._take_room(connection, len(block))
        day = day_of(at)
        if day not in self._days:
            make_partition(connection, day)
            self._days = {day}
        events = sum(map(count_events, bodies))
        return _Commit(self.shard, self._next, last, at, day, events, len(block), block)

    def _append(self, bodies: Sequence[bytes]) -> bool:
        """Whether it is durable; False when it was not, but may be when tried again.

        Raises LogFull, psycopg.Error: nothing is kept then.
        """
        commit = self._prepared(bodies)
        connection = self._ready()
        try:
            written = connection.execute(_APPEND, commit._asdict()).rowcount == 1
        except psycopg.errors.CheckViolation:  # the day's partition was dropped: it is made again
            self._days.clear()
            return False
        except psycopg.Error:
            if not connection.closed:
                raise  # the server has refused it
            written = self._was_written(commit)
        if not written:
            self._drop_connection()
            return False
        self._next = commit.last + 1
        self._size += commit.size
        return True

    def _was_written(self, commit: _Commit) -> bool:
        """Whether a commit whose connection broke is in the log: asked until that is known."""
        before = self._session
        self._drop_connection()
        self.refusal = _UNANSWERED
        log.warning("log.uncertain", records=commit.last - commit.first + 1)
        try:
            while True:
                with suppress(psycopg.Error), connect(self._url, _STATEMENT) as connection:
                    if self._is_over(connection, before, commit.shard):
                        place = (commit.shard, commit.last, commit.day, self._magic)
                        found = connection.execute(_IS_THERE, place).fetchone() is not None
                        if found:
                            connection.execute(_TOUCH, (commit.shard,))
                        log.info("log.certain", written=found)
                        return found
                time.sleep(_RETRY)
        finally:
            self.refusal = ""

    def _is_over(self, connection: Connection, session: _Session, shard: int) -> bool:
        """Whether a session has ended, which it is told to. Its lock goes when all is done."""
        connection.execute(_END_SESSION, session)
        return connection.execute(_HOLDER, (shard, session.pid)).fetchone() is None

    def _ready(self) -> Connection:
        """The connection that holds the shard. Raises psycopg.Error."""
        if self._connection is None or self._connection.closed or has_news(self._connection):
            self._claim()
        assert self._connection is not None
        return self._connection

    def _claim(self) -> None:
        """Take the shard of before, else one that nobody writes, else a new one."""
        self._drop_connection()
        connection = connect(self._url, _STATEMENT)
        try:
            here = origin(connection)
            free = [row[0] for row in connection.execute(_CLAIMABLE, (here,))]
            for shard in sorted(free, key=lambda each: each != self.shard):
                if _first(connection, _CLAIM, shard):
                    break
            else:
                shard = signed(randbits(64) or 1)
                _first(connection, _CLAIM, shard)
                connection.execute(_NEW, (shard, here))
            self._next = _first(connection, _NEXT, shard)
            row = connection.execute(_STARTED).fetchone()
        except BaseException:
            connection.close()
            raise
        self._session = _Session(*row) if row else _Session(0, None)
        self.shard, self._connection = shard, connection
        self._days.clear()
        self._looked = float("-inf")

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take_room(self, connection: Connection, size: int) -> None:
        """Raises LogFull. What every consumer has committed goes early where there is no room."""
        now = time.monotonic()
        if now - self._looked <= _LOOK_EVERY and self._size + size <= self._limit:
            return
        self._looked = now
        self._size = _first(connection, _SIZE) or 0
        if self._size + size > self._limit:
            make_room(connection, self.shard, self._size + size - self._limit + self._limit // 16)
            self._size = _first(connection, _SIZE) or 0
        if self._size + size > self._limit:
            raise LogFull("the log has reached its size limit (log_max)")


def _first(connection: Connection, statement: LiteralString, *values: object) -> int:
    row = connection.execute(statement, values).fetchone()
    return row[0] if row else 0
