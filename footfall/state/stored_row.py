"""A row that the store must have, if it is as new as these books: the newest one of the last batch."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import insert
from footfall.model.times import Millis
from footfall.state.tables import last_stored, raw_deleted


class StoredRow(NamedTuple):
    """Where it stands; `occurred_at` in ms since 1970 UTC."""

    shard: int
    seq: int
    occurred_at: Millis


def remember(connection: Connection, row: StoredRow) -> None:
    """It is in the store, durably. In the caller's transaction.

    One that retention may reach already says nothing: it does not take the place of one that must be there.
    """
    if row.occurred_at < _deleted(connection) and expected(connection):
        return
    values = {"shard": f"{row.shard:016x}", "seq": row.seq, "occurred_at": row.occurred_at}
    statement = insert(connection, last_stored).values(id=1, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[last_stored.c.id], set_=values))


def expected(connection: Connection) -> StoredRow | None:
    """The row that must be there; None where none was stored, or retention may have deleted it."""
    row = connection.execute(sa.select(last_stored)).one_or_none()
    if row is None or row.occurred_at < _deleted(connection):
        return None
    return StoredRow(int(row.shard, 16), row.seq, row.occurred_at)


def _deleted(connection: Connection) -> int:
    """Before this time (ms) rows may be gone, of one site or another."""
    return connection.scalar(sa.select(sa.func.max(raw_deleted.c.at))) or 0
