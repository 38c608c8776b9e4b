"""Batches: what the worker is about to insert, and how far each shard is done.

A batch is planned before its first row goes to the store and closed after its last one is
there. After a crash the open plans say which rows may or may not be in the store.
"""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection

from footfall.database import Database
from footfall.errors import Conflict
from footfall.state.tables import plans, positions, totals


class Range(Struct, frozen=True):
    """A run of records of one shard; all bounds are inclusive.

    `shard` is an unsigned 64-bit number. Offsets count records, seqs count events
    (`model.record.event_positions`).
    """

    shard: int
    first_offset: int
    last_offset: int
    first_seq: int
    last_seq: int


class Plan(Struct, frozen=True):
    """One insert. `id` (a UUID in hex) is also the id of the store's query.

    `min_occurred` and `max_occurred` bound the events' occurred_at, in ms since 1970 UTC, so
    that a read-back touches only the partitions concerned; `created_at` is in ms too.
    """

    id: str
    ranges: tuple[Range, ...]
    rows: int
    min_occurred: int
    max_occurred: int
    created_at: int


class Batches:
    """The worker's exact memory of what is stored, in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def positions(self) -> dict[int, int]:
        """For each shard the offset of its last record that is closed, for ever done with."""
        return await self._database.read(_positions)

    async def open_plans(self) -> list[Plan]:
        """The plans that were not closed, oldest first."""
        return await self._database.read(_open_plans)

    async def totals(self) -> dict[str, int]:
        """The sums of all `counts` that were ever closed with."""
        return await self._database.read(
            lambda connection: {row.name: row.value for row in connection.execute(sa.select(totals))}
        )

    async def plan(self, plan: Plan) -> None:
        """Remember `plan`; durable on return.

        Raises Conflict when a record of it is closed already or part of another open plan:
        somebody else works on this shard, and inserting would store events twice.
        """

        def write(connection: Connection) -> None:
            _check_free(plan, _positions(connection), _open_plans(connection))
            connection.execute(
                plans.insert().values(
                    id=plan.id, created_at=plan.created_at, body=msgspec.json.encode(plan).decode()
                )
            )

        await self._database.run(write)

    async def close(self, plan: Plan, counts: Mapping[str, int]) -> None:
        """All rows of `plan` are in the store: advance the positions, add `counts`, forget the plan.

        One transaction. Closing again changes nothing, so that it may be repeated when its
        outcome is unknown. Raises Conflict when the plan is neither open nor closed.
        """

        def write(connection: Connection) -> None:
            if connection.execute(plans.delete().where(plans.c.id == plan.id)).rowcount == 0:
                done = _positions(connection)
                if all(done.get(part.shard, -1) >= part.last_offset for part in plan.ranges):
                    return
                raise Conflict(f"batch {plan.id} was never planned")
            for part in plan.ranges:
                _advance(connection, part)
            for name, count in counts.items():
                _add(connection, name, count)

        await self._database.run(write)


def _positions(connection: Connection) -> dict[int, int]:
    return {int(row.shard, 16): row.offset for row in connection.execute(sa.select(positions))}


def _open_plans(connection: Connection) -> list[Plan]:
    bodies = connection.scalars(sa.select(plans.c.body).order_by(plans.c.created_at, plans.c.id))
    return [msgspec.json.decode(body, type=Plan) for body in bodies]


def _check_free(plan: Plan, done: Mapping[int, int], others: Sequence[Plan]) -> None:
    for part in plan.ranges:
        if part.first_offset <= done.get(part.shard, -1):
            raise Conflict(f"shard {part.shard:016x} is closed up to record {done[part.shard]}")
        for other in others:
            if any(_overlap(part, taken) for taken in other.ranges):
                raise Conflict(f"records of shard {part.shard:016x} are part of open batch {other.id}")


def _overlap(one: Range, two: Range) -> bool:
    return (
        one.shard == two.shard and one.first_offset <= two.last_offset and two.first_offset <= one.last_offset
    )


def _advance(connection: Connection, part: Range) -> None:
    shard = f"{part.shard:016x}"
    moved = connection.execute(
        positions.update()
        .where(positions.c.shard == shard)
        .values(
            offset=sa.case(
                (positions.c.offset > part.last_offset, positions.c.offset), else_=part.last_offset
            )
        )
    )
    if moved.rowcount == 0:
        connection.execute(positions.insert().values(shard=shard, offset=part.last_offset))


def _add(connection: Connection, name: str, count: int) -> None:
    changed = connection.execute(
        totals.update().where(totals.c.name == name).values(value=totals.c.value + count)
    )
    if changed.rowcount == 0:
        connection.execute(totals.insert().values(name=name, value=count))
