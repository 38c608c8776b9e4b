"""The store: the port. Raw events in columns, questions in SQL with server-side parameters."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa


class Store(Protocol):
    """A ClickHouse, embedded or on a server."""

    async def insert(self, rows: pa.Table, query_id: str) -> None:
        """Insert one batch into `events`; `rows` has the columns of `model.columns`.

        When it returns, the rows are durable (fsynced). Raises StoreDown when that is not
        certain: the rows may be there, all or in part, or not. Never leaves an attempt running
        behind it: cancelling it waits for its end. `query_id`: letters, digits, - and _.
        """
        ...

    async def settle(self) -> None:
        """After an insert that raised: returns when what questions see of it is durable.

        Raises StoreDown.
        """
        ...

    async def build(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run one statement that makes or deletes; values are `{name:Type}` parameters.

        INSERT INTO another table than `events` ... SELECT, ALTER TABLE ... DROP PARTITION or DELETE, or
        CREATE and DROP of a table in memory. One at a time; inserts and questions go on beside it. When it
        returns, its work is durable. Raises StoreDown when that is not certain. Never leaves an
        attempt running behind it: cancelling ends the statement, and waits for its end.
        """
        ...

    async def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the store ends the query, not only the wait for it
    ) -> Sequence[tuple[Any, ...]]:
        """The rows of one SELECT. Values go in as `{name:Type}` parameters, never as text.

        `timeout` is in seconds, at most `settings.query_timeout`, which is the default.
        Cancelling the wait ends the query.

        Times come back as aware datetimes in UTC, UUIDs as UUID. Raises
        StoreDown when the store does not answer; Invalid when the query needs more time or
        memory than allowed, or cannot use a value; Misconfigured when the schema lacks what it
        asks for.
        """
        ...

    async def arrow(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> pa.Table:
        """The rows of one SELECT in columns, for many rows: as `query`, without an object for each value.

        LowCardinality columns come as dictionaries. All rows are held at once: the caller asks
        for as many as it can hold.
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
