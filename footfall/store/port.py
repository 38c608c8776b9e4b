"""The store: the port. Raw events in columns, questions in SQL with server-side parameters."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa


class Store(Protocol):
    """A ClickHouse, embedded or on a server."""

    async def insert(self, rows: pa.Table, query_id: str) -> None:
        """Insert one batch into `events`; `rows` has the columns of `model.columns`.

        When it returns, the rows are durable (fsynced). Raises StoreDown when that is not
        certain: the rows may be there, all or in part, or not.
        """
        ...

    async def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Sequence[tuple[Any, ...]]:
        """The rows of one SELECT. Values go in as `{name:Type}` parameters, never as text.

        Times come back as aware datetimes in UTC. Raises StoreDown when the store does not
        answer, Invalid when the query needs more time or memory than allowed.
        """
        ...

    async def migrate(self) -> Sequence[str]:
        """Bring the schema up to date; returns the names of the migrations applied now.

        A migration that fails leaves the old schema usable and raises Misconfigured.
        """
        ...

    async def ping(self) -> None:
        """Returns when the store answers. Raises StoreDown."""
        ...

    async def close(self) -> None:
        """Let running statements end, then release the data directory."""
        ...
