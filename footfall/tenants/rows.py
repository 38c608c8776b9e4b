"""Rows of the metadata tables as Structs: the few statements that all of them share."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table

from footfall.errors import NotFound
from footfall.tenants.fields import ListPage, check_page

T = TypeVar("T")
N = TypeVar("N")

# Many links are held in memory, and few different values of these.
_REPEATED = {"workspace_id", "domain"}
_PARAMETERS = 500  # of one statement; SQLite takes 32,766, old builds 999


def make(kind: type[T], row: RowMapping) -> T:
    """The Struct of a row; columns that it has no field for (a key's hash) are left out."""
    # SQLAlchemy's names may be of a subclass of str, which msgspec does not take for a key.
    values = {str(name): value for name, value in row.items()}
    for name in _REPEATED & values.keys():
        values[name] = sys.intern(values[name])
    return msgspec.convert(values, kind)


def chunks(names: Collection[N]) -> Iterator[Sequence[N]]:
    """`names` in parts that fit into one statement."""
    every = list(names)
    return (every[start : start + _PARAMETERS] for start in range(0, len(every), _PARAMETERS))


def find(
    connection: Connection, column: sa.Column[str], names: Collection[str], kind: type[T]
) -> dict[str, T]:
    """The things whose (unique) `column` is one of `names`, by it, of whatever workspace."""
    found: dict[str, T] = {}
    for some in chunks(names):
        rows = connection.execute(sa.select(column.table).where(column.in_(some)))
        found |= {row[column]: make(kind, row) for row in rows.mappings()}
    return found


def get(connection: Connection, table: Table, kind: type[T], workspace_id: str, name: str) -> T | None:
    """The thing with that id, if it is the workspace's."""
    row = connection.execute(_one(table, workspace_id, name)).mappings().first()
    return None if row is None else make(kind, row)


def page(
    connection: Connection,
    table: Table,
    kind: type[T],
    where: Collection[ColumnElement[bool]],
    limit: int,
    offset: int,
) -> ListPage[T]:
    """Newest first. Raises Invalid for a wrong `limit` or `offset`."""
    check_page(limit, offset)
    total = connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0
    order = (table.c.created_at.desc(), table.c.id)
    rows = connection.execute(sa.select(table).where(*where).order_by(*order).limit(limit).offset(offset))
    return ListPage([make(kind, row) for row in rows.mappings()], total)


def insert(connection: Connection, table: Table, thing: msgspec.Struct, **further: object) -> None:
    """Add the row of a Struct."""
    connection.execute(table.insert().values(**msgspec.structs.asdict(thing), **further))


def update(
    connection: Connection,
    table: Table,
    kind: type[T],
    workspace_id: str,
    name: str,
    new: Mapping[str, object],
) -> T:
    """Set the values of `new` that are not None, and return what it is now. Raises NotFound."""
    values = {column: value for column, value in new.items() if value is not None}
    if values:
        mine = (table.c.id == name, table.c.workspace_id == workspace_id)
        connection.execute(table.update().where(*mine).values(values))
    found = get(connection, table, kind, workspace_id, name)
    if found is None:
        raise not_found(table)
    return found


def delete(connection: Connection, table: Table, workspace_id: str, name: str) -> RowMapping:
    """Remove a row and return what it was. Raises NotFound."""
    row = connection.execute(_one(table, workspace_id, name)).mappings().first()
    if row is None:
        raise not_found(table)
    connection.execute(table.delete().where(table.c.id == name))
    return row


def not_found(table: Table) -> NotFound:
    """The error that says that this workspace has no such thing."""
    return NotFound(f"there is no such {table.name.removesuffix('s')}")


def _one(table: Table, workspace_id: str, name: str) -> Select[Any]:
    return sa.select(table).where(table.c.id == name, table.c.workspace_id == workspace_id)
