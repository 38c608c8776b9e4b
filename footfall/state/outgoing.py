"""What is stored and was not written to `events_topic` yet: ranges of positions.

Noted in the transaction that closes a batch (or settles a letter), and forgotten once the brokers have it:
so each event goes out at least once, whatever dies in between, and recording waits for no broker.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.state.tables import outgoing as table


class OutgoingRange(NamedTuple):
    """The events from `first` to `last` (seq, inclusive) of a shard, as far as there are such."""

    shard: int
    first: int
    last: int


def note(connection: Connection, ranges: Iterable[OutgoingRange]) -> None:
    """These are to go out."""
    values = [each._asdict() | {"shard": f"{each.shard:016x}"} for each in ranges]
    if values:
        row = insert(connection, table).values(values)
        connection.execute(row.on_conflict_do_nothing(index_elements=[table.c.shard, table.c.first]))


class Outgoing:
    """Both methods raise Retryable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next(self, limit: int) -> Sequence[OutgoingRange]:
        """Some of what is to go out; of each shard the first."""

        def read(connection: Connection) -> list[OutgoingRange]:
            rows = connection.execute(sa.select(table).order_by(table.c.shard, table.c.first).limit(limit))
            return [OutgoingRange(int(row.shard, 16), row.first, row.last) for row in rows]

        return await self._database.read(read)

    async def done(self, ranges: Sequence[OutgoingRange]) -> None:
        """These are out."""

        def write(connection: Connection) -> None:
            for each in ranges:
                mine = (table.c.shard == f"{each.shard:016x}", table.c.first == each.first)
                connection.execute(table.delete().where(*mine, table.c.last == each.last))

        await self._database.run(write)
