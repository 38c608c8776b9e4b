"""The connections of the log to PostgreSQL, and what of its errors means what."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from footfall.database.postgres import full_conninfo, said
from footfall.errors import Misconfigured, Retryable
from footfall.model.times import to_millis

_SCHEMA_LOCK = 0x666F6F7466616C6C  # "footfall": held while the tables are made

Connection = psycopg.Connection[tuple[Any, ...]]

# A commit is durable when it returns, whatever the server's default is. `remote_apply` asks for more.
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
"""
_ORIGIN = """
SELECT system_identifier::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
FROM pg_control_system()
"""


def connect(url: str, statement_seconds: float) -> Connection:
    """A connection in autocommit; a statement that takes longer fails. Raises psycopg.Error."""
    connection = psycopg.connect(full_conninfo(url, "log_database"))
    try:
        connection.autocommit = True
        milliseconds = str(to_millis(statement_seconds))
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('timezone', 'UTC', false)",
            (milliseconds,),
        )
        connection.execute(_DURABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(url: str) -> None:
    """Make the tables where they are missing. Raises Misconfigured, Retryable when it is not possible now."""
    with not_now():
        try:
            with connect(url, 30.0) as connection, connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                row = connection.execute("SELECT to_regclass('footfall.log_consumers')").fetchone()
                if row == (None,):
                    connection.execute((files("footfall.eventlog.postgres") / "schema.sql").read_bytes())
        except (psycopg.ProgrammingError, psycopg.errors.InsufficientPrivilege) as error:
            raise Misconfigured(f"log_database cannot be used: {said(error)}") from error


def origin(connection: Connection) -> str:
    """The database system and its timeline: what is restored, or promoted, has another one."""
    row = connection.execute(_ORIGIN).fetchone()
    return row[0] if row else ""


def make_partition(connection: Connection, day: date) -> None:
    """The partition of a day, if it is not there yet."""
    name = Identifier("footfall", partition(day))
    first, following = Literal(day), Literal(day + timedelta(days=1))
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        connection.execute(
            SQL(
                "CREATE TABLE IF NOT EXISTS {} PARTITION OF footfall.log FOR VALUES FROM ({}) TO ({})"
            ).format(name, first, following)
        )


def partition(day: date) -> str:
    """The name of a day's partition."""
    return f"log_{day:%Y%m%d}"


def day_of(at: float) -> date:
    """The day of a time in Unix seconds, in UTC."""
    return datetime.fromtimestamp(at, UTC).date()


def signed(shard: int) -> int:
    """A shard's id as the database has it."""
    return shard - (1 << 64) if shard >= 1 << 63 else shard


def unsigned(shard: int) -> int:
    """A shard's id as everybody else has it."""
    return shard % (1 << 64)


@contextmanager
def not_now() -> Generator[None]:
    """What the database refuses is "not now"."""
    try:
        yield
    except psycopg.Error as error:
        raise Retryable(f"the log does not answer now: {said(error)}") from error
