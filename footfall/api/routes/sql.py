"""`POST /api/v1/sql`: a SELECT of whoever runs commands on this machine, for `footfall sql`.

No key opens it, whatever its scopes: a statement sees all workspaces, and what functions of SQL read of the
machine.
"""

import asyncio
from typing import Annotated, Any

import pyarrow as pa
from litestar import Request, Router, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from footfall.errors import Denied
from footfall.store.port import Store
from footfall.tenants.auth import authenticate
from footfall.tenants.directory import LOCAL_KEY, Directory


class SqlQuestion(Struct, frozen=True, forbid_unknown_fields=True):
    """One SELECT."""

    sql: Annotated[str, Meta(min_length=1, max_length=100_000)]


class SqlRows(Struct, frozen=True):
    """What it found, as text where JSON has no such value."""

    columns: list[str]
    rows: list[list[Any]]


def sql_routes(store: Store, directory: Directory) -> Router:
    """The route."""

    @post("/api/v1/sql", status_code=200, include_in_schema=False)
    async def sql(request: Request[Any, Any, Any], data: JSONBody[SqlQuestion]) -> SqlRows:
        key = await authenticate(request.scope["headers"], directory)
        if key.id != LOCAL_KEY.id:
            raise Denied("only `footfall sql` on the machine itself asks in SQL", known=True)
        found = await store.arrow(data.sql)
        return await asyncio.to_thread(_rows, found)

    return Router("/", route_handlers=[sql])


def _rows(found: pa.Table) -> SqlRows:
    columns = [[_shown(value) for value in column.to_pylist()] for column in found.columns]
    return SqlRows(list(found.column_names), [list(row) for row in zip(*columns, strict=True)])


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 -- NaN
    return value.hex() if isinstance(value, bytes) else str(value)
