"""The log in a PostgreSQL database: a commit is the acknowledgement."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar, TypeVarTuple, Unpack

import psycopg

from footfall.database.postgres import said
from footfall.errors import Invalid, LogFull, Misconfigured
from footfall.eventlog.group_commit import GroupCommit
from footfall.eventlog.port import Backlog, Entry, GoneRecords, StoredRecord
from footfall.eventlog.postgres import reader, retention
from footfall.eventlog.postgres.database import Connection, connect, not_now, prepare, signed, unsigned
from footfall.eventlog.postgres.writer import PostgresShard
from footfall.settings import Settings

_STATEMENT = 10.0  # seconds
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

# Shard 0 is none: who has committed anything at all is known from then on.
_COMMIT = """
INSERT INTO footfall.log_consumers AS known (consumer, shard, upto)
VALUES (%(consumer)s, 0, -1), (%(consumer)s, %(shard)s, %(upto)s)
ON CONFLICT (consumer, shard) DO UPDATE SET upto = excluded.upto WHERE known.upto < excluded.upto
"""
_DROP_CONSUMER = "DELETE FROM footfall.log_consumers WHERE consumer = %s"

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def open_log(settings: Settings, *, shard: Literal["claim", "none"]) -> "PostgresLog":
    """Open the log in `settings.log_database`. See `footfall.eventlog.open_log`.

    Raises Misconfigured also without a usable database, Retryable when it does not answer.
    """
    url = settings.log_database.get_secret_value()
    if not url:
        raise Misconfigured("log = postgres needs log_database: postgresql://user:password@host/name")
    if settings.overflow == "drop_oldest":
        raise Misconfigured("overflow = drop_oldest is of the log in the data directory; this one refuses")
    await asyncio.to_thread(prepare, url)
    if shard == "none":
        return PostgresLog(url, None, None)
    try:
        writer = await asyncio.to_thread(PostgresShard, url, settings.log_max)
    except psycopg.Error as error:
        raise LogFull(f"no shard of the log could be claimed: {said(error)}") from error
    return PostgresLog(url, writer, GroupCommit(writer))


class PostgresLog:
    """An EventLog; see the port. The reading side has one connection, and one thread."""

    def __init__(self, url: str, shard: PostgresShard | None, writer: GroupCommit | None) -> None:
        """Both None for a log that only reads."""
        self._url = url
        self._shard = shard
        self._writer = writer
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="footfall-log-read")
        self._closed = False

    @property
    def shard(self) -> int | None:
        """The shard that this log writes now."""
        return None if self._shard is None else unsigned(self._shard.shard)

    async def append(self, entry: Entry) -> None:
        """See the port. The routing key does not matter: a shard is one partition."""
        if self._writer is None:
            raise Misconfigured("this log was opened for reading only")
        await self._writer.append(entry.data)

    async def shards(self) -> Sequence[int]:
        """See the port."""
        return await self._do(reader.shards)

    async def read(self, shard: int, after: int, limit: int, max_bytes: int) -> Sequence[StoredRecord]:
        """See the port."""
        return await self._do(reader.read, shard, after, limit, max_bytes)

    async def begin(self, shard: int, first: int, last: int) -> bool:  # noqa: ARG002 -- as in the port
        """See the port. Nothing is ever changed here."""
        return True

    async def commit(self, consumer: str, shard: int, upto: int) -> None:
        """See the port."""
        if not _NAME.fullmatch(consumer):
            raise Invalid("a consumer has a name of a-z, 0-9, _ and -", field="consumer")
        await self._do(_commit, consumer, shard, upto)

    async def gone(self, after: Mapping[int, int]) -> Sequence[GoneRecords]:
        """See the port."""
        return await self._do(reader.gone, after)

    async def drop_consumer(self, consumer: str) -> None:
        """See the port."""
        await self._do(_drop_consumer, consumer)

    async def backlog(self, consumer: str) -> Backlog:
        """See the port."""
        return await self._do(reader.backlog, consumer)

    async def retain(self, older_than: float) -> int:
        """See the port. While no consumer is known nothing is deleted."""
        return await self._do(retention.retain, older_than)

    async def close(self) -> None:
        """See the port."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            await self._writer.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _do(self, function: Callable[[Connection, Unpack[Ts]], T], *args: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, function, args)

    def _run(self, function: Callable[[Connection, Unpack[Ts]], T], args: tuple[*Ts]) -> T:
        with not_now():
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._url, _STATEMENT)
            return function(self._connection, *args)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _commit(connection: Connection, consumer: str, shard: int, upto: int) -> None:
    connection.execute(_COMMIT, {"consumer": consumer, "shard": signed(shard), "upto": upto})


def _drop_consumer(connection: Connection, consumer: str) -> None:
    connection.execute(_DROP_CONSUMER, (consumer,))
