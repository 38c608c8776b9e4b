"""The small exact databases under `tenants` and `state`: SQLAlchemy Core on SQLite or on PostgreSQL.

Both promise the same, so that what is built on them needs to know of one kind only:

- Transactions that may write come one after the other, whichever process they are of: what one has read is
  still so when it commits. No invariant of plans, ledger, leases, letters or builds needs more than that.
- One that only reads sees the whole database as of one moment.
- What returned is durable.

How is said where it is done: `sqlite.py`, `postgres.py`.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, MetaData, exc
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.sqlite import insert as insert_into_file

from footfall.database.places import Place, PostgresSchema, place_of
from footfall.database.sqlite import SqliteFile, is_whole
from footfall.errors import Damaged, FootfallError, Misconfigured
from footfall.model.folding import fold

if TYPE_CHECKING:
    from footfall.database.postgres import Notifications

__all__ = [
    "Database",
    "Migration",
    "Place",
    "PostgresSchema",
    "has_more_than_ascii",
    "insert",
    "is_whole",
    "notify",
    "place_of",
    "says",
]

T = TypeVar("T")

Migration = Callable[[Connection], object]
"""Changes the tables of one version into those of the next, in the transaction of the opening."""

_READERS = 4  # at once

_schema = sa.Table(
    "schema_version",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)


class _Engines(Protocol):
    """A kind of database."""

    writer: Engine
    reader: Engine

    def make_room(self, connection: Connection) -> None:
        """Make what the tables stand in. Raises Misconfigured."""
        ...

    def metadata_of(self, metadata: MetaData, /) -> MetaData:
        """The tables as they are made here."""
        ...

    def answered(self) -> None:
        """A transaction went well."""
        ...

    def meaning(self, error: exc.DBAPIError) -> FootfallError | None:
        """Retryable for what passes, Damaged for what does not; None: the statement is wrong."""
        ...


class Database:
    """One metadata database. Safe to use from many tasks, threads and processes.

    It has threads of its own: who opened another one for the same place never waits for one of these.
    """

    def __init__(self, place: Place, engines: _Engines) -> None:
        """Use `open`."""
        name = place.stem if isinstance(place, Path) else place.schema
        self.place = place
        # One transaction writes at a time in any case.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix=f"footfall-{name}-writes")
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix=f"footfall-{name}-reads")
        self._engines = engines

    @classmethod
    def open(cls, place: Place, metadata: MetaData, migrations: Sequence[Migration] = ()) -> Self:
        """Open or create the database, with the tables of `metadata`.

        `migrations`: from version 1 to 2, and so on; those that it lacks are applied, all in one transaction.
        Tables that are missing are made: one may be younger than the database. Raises Misconfigured when it
        was made by a newer version of Footfall, is no database, or cannot be opened; Retryable when it does
        not answer now.
        """
        database = cls(place, _engines_of(place))
        try:
            database.transact(lambda connection: database._set_up(connection, metadata, migrations))
        except exc.DBAPIError as error:
            database.dispose()
            said = str(error.orig).strip().splitlines()[0]
            raise Misconfigured(f"{place} cannot be used: {said}") from error
        except Damaged as error:
            database.dispose()
            raise Misconfigured(str(error)) from error
        except BaseException:
            database.dispose()
            raise
        return database

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """Call `fn` in one transaction, in a thread; durable when this returns.

        The transaction may write, so it waits for other writers (5 s at most) before `fn`
        starts. An exception of `fn` undoes everything. Cancelling the wait does not cancel
        the transaction. Raises Retryable when the database is busy, does not answer, or its disk fails
        or is full, and Damaged (which is one) where its pages are. Where the answer to a commit was
        lost, Retryable may come although it was done.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writing, self.transact, fn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Call `fn`, which only reads, in one transaction, in a thread: one consistent view.

        No transaction of any process is committed to a file while it runs, so `fn` is brief: what may be
        long is read in several.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._reading, self._transact, self._engines.reader, fn
        )

    def transact(self, fn: Callable[[Connection], T]) -> T:
        """As `run`, in the calling thread."""
        return self._transact(self._engines.writer, fn)

    def notifications(self) -> "Notifications | None":
        """What tells of changes, where the database can; else one has to look."""
        if isinstance(self.place, Path):
            return None
        from footfall.database.postgres import Notifications  # noqa: PLC0415 -- nobody else needs its client

        return Notifications(self.place)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.to_thread(self.dispose)

    def dispose(self) -> None:
        """As `close`, in the calling thread."""
        for threads in (self._writing, self._reading):
            threads.shutdown()
        self._engines.writer.dispose()

    def _transact(self, engine: Engine, fn: Callable[[Connection], T]) -> T:
        try:
            with engine.begin() as connection:
                result = fn(connection)
        except exc.DBAPIError as error:
            meaning = self._engines.meaning(error)
            if meaning is None:
                raise
            raise meaning from error
        self._engines.answered()
        return result

    def _set_up(self, connection: Connection, metadata: MetaData, migrations: Sequence[Migration]) -> None:
        """Create what is missing, and bring what is older to the version of today."""
        self._engines.make_room(connection)
        version = len(migrations) + 1
        _schema.create(connection, checkfirst=True)
        found = connection.scalar(sa.select(_schema.c.version))
        if found is None:
            connection.execute(_schema.insert().values(id=1, version=version))
        elif found > version:
            raise Misconfigured(
                f"{self.place} has schema {found}, this version of Footfall works with schema {version}"
            )
        else:
            for migrate in migrations[found - 1 :]:
                migrate(connection)
            if found < version:
                connection.execute(_schema.update().values(version=version))
        self._engines.metadata_of(metadata).create_all(connection)


def _engines_of(place: Place) -> _Engines:
    if isinstance(place, Path):
        return SqliteFile(place)
    from footfall.database.postgres import Postgres  # noqa: PLC0415 -- nobody else needs its client

    return Postgres(place)


def insert(connection: Connection, table: sa.Table) -> Any:
    """An INSERT that knows `on_conflict_do_update`, which SQLite and PostgreSQL spell alike."""
    kind = postgresql.insert if connection.dialect.name == "postgresql" else insert_into_file
    return kind(table)


def notify(connection: Connection) -> None:
    """Wake who follows the database (`Database.notifications`), once the transaction is committed."""
    if connection.dialect.name == "postgresql":
        schema = connection.get_execution_options()["schema_translate_map"][None]
        connection.execute(sa.select(sa.func.pg_notify(schema, "")))


def says(connection: Connection, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a text of the database contains `text`, by the rule of `model/folding.py`."""
    if connection.dialect.name == "postgresql":
        return sa.func.strpos(_folded(column), _folded(sa.literal(text))) > 0
    return sa.func.fold(column).contains(fold(text), autoescape=True)


def has_more_than_ascii(connection: Connection, column: sa.Column[str]) -> sa.ColumnElement[bool]:
    """Whether it does: for the others `lower` is enough, and cheaper."""
    if connection.dialect.name == "postgresql":
        return column.op("~")("[^ -~]")
    return column.op("GLOB")("*[^ -~]*")


def _folded(text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """As `fold`, in the capitals of small letters (ẞ, ß: SS): PostgreSQL has no folding before version 18."""
    seen = sa.func.regexp_replace(text, "[\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]", "", "g")
    one_form = sa.func.normalize(seen, sa.literal_column("NFKC")).collate("und-x-icu")
    capitals = sa.func.upper(sa.func.lower(one_form))
    return sa.func.replace(sa.func.replace(capitals, "I\u0307", "I"), "\u0130", "I")
