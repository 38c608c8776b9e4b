"""The store: the port. Raw events in columns, questions in SQL with server-side parameters."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import pyarrow as pa

from footfall.model.times import Seconds

Lane = Literal["callers", "house", "worker"]
"""Who asks. Each lane has readers of its own, so that none waits for another.

`callers`: who asks from outside, within the limits of the settings. `house`: housekeeping, which may
take HOUSE_SECONDS. `worker`: what recording waits for; as `house`, and nobody else is in its way.
"""

HOUSE_SECONDS = 600.0
"""The longest question outside the lane of callers."""


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

        INSERT INTO another table than `events` ... SELECT, or what `store.server_sql` writes. One at a time;
        inserts and questions go on beside it. When it returns, its work is durable. Raises StoreDown when
        that is not certain. Never leaves an attempt running behind it: cancelling ends the statement, and
        waits for its end.
        """
        ...

    async def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - the store ends the query, not only the wait for it
        lane: Lane = "callers",
    ) -> Sequence[tuple[Any, ...]]:
        """The rows of one SELECT. Values go in as `{name:Type}` parameters, never as text.

        `timeout` is in seconds, at most the lane's limit, which is the default: for callers
        `settings.query_timeout`. Cancelling the wait ends the query.

        Times come back as aware datetimes in UTC, UUIDs as UUID. Raises
        StoreDown when the store does not answer; Invalid when the query needs more time or
        memory than allowed, or cannot use a value; Misconfigured when the schema lacks what it
        asks for. In the other lanes every failure is StoreDown (TooSlow, where callers get Invalid for
        time, memory or rows): what the house could not find out is never an answer.
        """
        ...

    async def arrow(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - as above
        lane: Lane = "callers",
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

    def missing(self) -> Mapping[int, int]:
        """How many events of a month (YYYYMM, UTC) are gone that this store once had, as far as it knows."""
        ...

    async def ping(self) -> None:
        """Returns when the store answers, however much callers ask it. Raises StoreDown."""
        ...

    async def close(self) -> None:
        """Let running statements end, then release the data directory."""
        ...
