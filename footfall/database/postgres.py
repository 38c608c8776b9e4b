"""A schema of PostgreSQL as a metadata database; and what all connections to PostgreSQL have in common.

- A transaction that may write is READ COMMITTED, and takes the schema's advisory lock before all else
  (`_TURN`): so those of all processes come one after the other, as `BEGIN IMMEDIATE` has it on a file, and
  every statement sees what was committed before. The lock is the transaction's own: it goes with its end,
  whatever ends it, and works through a pooler, too.
- A transaction that only reads is REPEATABLE READ, READ ONLY: one moment. It waits for nobody.
- A commit is durable when it returns (`synchronous_commit`), whatever the server's default is.
"""

import asyncio
import select
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from psycopg.types.string import StrDumper
from sqlalchemy import Connection, Engine, MetaData, event, exc

from footfall.database.places import PostgresSchema
from footfall.errors import Damaged, FootfallError, Misconfigured, Retryable
from footfall.metrics import DATABASE_DOWN

# A server that vanished is noticed in about 15 seconds; one that only accepts is not waited for longer.
_DEFAULTS: dict[str, Any] = {
    "application_name": "footfall",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    "target_session_attrs": "read-write",  # of several hosts the one that takes writes
}
_TURN = """
SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '60s', true),
  set_config(
    'synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply'
    ELSE 'on' END, true
  ),
  pg_advisory_xact_lock(%s)
"""
# By schema; they differ from the locks of the log in the same database.
_LOCKS = {"footfall_meta": 0x666F6F746D657461, "footfall_state": 0x666F6F7473746174}
_OTHER_LOCK = 0x666F6F746F746865
_KEPT = 1  # connections that stay open, of each database of a process; five at most are open at once

_DAMAGE = (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted)
_GONE = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
# The server is there: somebody else has the lock, or it took too long.
_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.TransactionRollback,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)


class Postgres:
    """The schema, which is made where it is missing."""

    def __init__(self, place: PostgresSchema) -> None:
        """Raises Misconfigured when the address cannot be read."""
        self._place = place
        self._down = DATABASE_DOWN.labels(place.schema)
        lock = _LOCKS.get(place.schema, _OTHER_LOCK)
        conninfo = full_conninfo(place.url, "database")

        def connect() -> psycopg.Connection[Any]:
            connection = psycopg.connect(conninfo)
            connection.prepare_threshold = None  # a pooler may give each transaction another session
            connection.adapters.register_dumper(str, _TextDumper)
            return connection

        def begin(connection: Connection) -> None:
            if connection.get_execution_options().get("footfall_writes", True):
                connection.exec_driver_sql(_TURN, (lock,))

        # The URL stays out of the engine, and parameters (hashes of keys, salts) out of its errors.
        engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=connect,
            hide_parameters=True,
            pool_size=_KEPT,
            max_overflow=5 - _KEPT,
            use_native_hstore=False,
            # Whatever is usual there: who waited for the lock must see what was committed meanwhile.
            isolation_level="READ COMMITTED",
        )
        event.listen(engine, "checkout", _check_alive)
        event.listen(engine, "begin", begin)
        event.listen(engine, "handle_error", _judge)
        self.writer: Engine = engine.execution_options(schema_translate_map={None: place.schema})
        self.reader: Engine = self.writer.execution_options(
            footfall_writes=False, isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    def make_room(self, connection: Connection) -> None:
        """The schema. Raises Misconfigured for a database that cannot hold every text."""
        encoding = connection.scalar(sa.text("SELECT current_setting('server_encoding')"))
        check_encoding(str(encoding))
        made = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
        if connection.scalar(made, {"name": self._place.schema}) is None:
            connection.execute(sa.schema.CreateSchema(self._place.schema))

    def metadata_of(self, metadata: MetaData) -> MetaData:
        """As on SQLite: texts of any length, which compare by their bytes."""
        copy = MetaData()
        for table in metadata.sorted_tables:
            for column in table.to_metadata(copy).c:
                if isinstance(column.type, sa.String):
                    column.type = sa.Text(collation="C")
        return copy

    def answered(self) -> None:
        """It is there."""
        self._down.set(0)

    def meaning(self, error: exc.DBAPIError) -> FootfallError | None:
        """Retryable when it does not answer, or is busy; Damaged; None: the statement is wrong."""
        origin = error.orig
        if isinstance(origin, _DAMAGE):
            return Damaged(f"{self._place} is damaged: {said(origin)}; restore it from a backup")
        if isinstance(origin, _BUSY):
            return Retryable(f"database is busy: {said(origin)}")
        if isinstance(origin, _GONE):
            self._down.set(1)
            return Retryable(f"database does not answer now: {said(origin)}")
        return None


class Notifications:
    """Wakes who waits when any process has changed something. For one event loop.

    Nobody may rely on it: behind a pooler it hears nothing, and a connection may break.
    """

    def __init__(self, place: PostgresSchema) -> None:
        self._conninfo = full_conninfo(place.url, "database")
        self._channel = place.schema
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def wait(self, seconds: float) -> None:
        """Returns when something was told, and after so many seconds in any case."""
        until = time.monotonic() + seconds
        try:
            connection = await self._listening()
            async for _ in connection.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error:
            await self.close()
        await asyncio.sleep(until - time.monotonic())

    async def close(self) -> None:
        """Hear no more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()

    async def _listening(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
            await self._connection.execute(SQL("LISTEN {}").format(Identifier(self._channel)))
        return self._connection


def full_conninfo(url: str, setting: str) -> str:
    """The address of the `setting` with our timeouts. Raises Misconfigured, which shows nothing of it."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        given = {"host": "@"}
    # What of a password libpq takes for a host, a port or a name, its errors would show.
    seen = [str(given.get(name, "")) for name in ("host", "port", "dbname")]
    if any("@" in each for each in seen) or not set(seen[1]) <= set("0123456789,"):
        raise Misconfigured(
            f"{setting} must be written as postgresql://user:password@host/name, with %40 for @, %2F for /"
            " and %25 for % in the password"
        ) from None
    return make_conninfo(url, **{name: value for name, value in _DEFAULTS.items() if name not in given})


def said(error: psycopg.Error) -> str:
    """The first line of what the server, or the way to it, says: never a password, never a row."""
    message = error.diag.message_primary or str(error).strip() or type(error).__name__
    return message.splitlines()[0]


def has_news(connection: psycopg.Connection[Any]) -> bool:
    """Whether something came that nobody asked for: the server has ended the session."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def asking(place: PostgresSchema) -> Generator[psycopg.Connection[Any]]:
    """A connection whose statements are about the schema; one transaction.

    Raises Retryable when the database does not answer, Misconfigured when it refuses.
    """
    try:
        with psycopg.connect(full_conninfo(place.url, "database")) as connection:
            connection.execute("SELECT set_config('search_path', %s, true)", (place.schema,))
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Retryable(f"database does not answer now: {said(error)}") from error
    except psycopg.Error as error:
        raise Misconfigured(f"{place} cannot be used: {said(error)}") from error


def tables(connection: psycopg.Connection[Any], place: PostgresSchema) -> set[str]:
    """Those of the schema; none where there is no such schema."""
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (place.schema,))
    return {name for (name,) in found}


def examine(place: PostgresSchema) -> str:
    """The server's version. Raises Misconfigured when it cannot be used, Retryable without an answer."""
    with asking(place) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('server_encoding'),"
            " coalesce(has_schema_privilege(to_regnamespace(%s), 'CREATE'),"
            " has_database_privilege(current_database(), 'CREATE'))",
            (place.schema,),
        ).fetchone()
    version, encoding, may_create = row or ("", "", False)
    check_encoding(encoding)
    if not may_create:
        raise Misconfigured(f"the user of database may not create tables in {place}")
    return version


def check_encoding(encoding: str) -> None:
    """Raises Misconfigured for a database that cannot hold every text."""
    if encoding != "UTF8":
        raise Misconfigured(f"database has the encoding {encoding}; make one with UTF8")


def rename(old: PostgresSchema, new: PostgresSchema) -> bool:
    """Whether there was anything to rename. Raises as `asking`."""
    with asking(old) as connection:
        if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (old.schema,)).rowcount == 0:
            return False
        names = Identifier(old.schema), Identifier(new.schema)
        connection.execute(SQL("ALTER SCHEMA {} RENAME TO {}").format(*names))
        return True


def drop(place: PostgresSchema) -> None:
    """With all that is in it. Raises as `asking`."""
    with asking(place) as connection:
        connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(place.schema)))


class _TextDumper(StrDumper):
    """PostgreSQL has no NUL in texts: it is written, and looked for, as U+FFFD."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(obj.replace("\0", "\ufffd"))


def _check_alive(connection: Any, _record: object, _proxy: object) -> None:
    """Of what a server that was restarted has closed the pool makes a new one: no call fails."""
    if has_news(connection):
        raise exc.DisconnectionError


def _judge(context: Any) -> None:
    """Keep rows (salts, hashes of keys) out of an error's text, and leave a server that takes no writes."""
    error = context.original_exception
    if not isinstance(error, psycopg.Error):
        return
    error.args = (said(error),)
    if context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.args = error.args
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True  # it was made a standby: the next connection looks for the other one
