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
from footfall.model.times import Millis
from footfall.state import hours_logged, ids_known, lease, ledger, lost, outgoing, stored_row
from footfall.state.dead_letters import rows as letter_rows
from footfall.state.dead_letters.letter import DeadLetter
from footfall.state.hours_logged import HourLogged
from footfall.state.lease import Fence
from footfall.state.ledger import LedgerCount, closed_positions
from footfall.state.lost import Lost
from footfall.state.outgoing import OutgoingRange
from footfall.state.stored_row import StoredRow
from footfall.state.tables import plans, positions


class SeqRange(Struct, frozen=True):
    """A run of records of one shard; all bounds are inclusive.

    `shard` is an unsigned 64-bit number. Offsets count records, seqs count events
    (`model.record.event_positions`).
    """

    shard: int
    first_offset: int
    last_offset: int
    first_seq: int
    last_seq: int


class BatchPlan(Struct, frozen=True):
    """One insert. `id` (a UUID in hex) is also the id of the store's query.

    `min_occurred` and `max_occurred` bound the events' occurred_at, in ms since 1970 UTC, so
    that a read-back touches only the partitions concerned; `created_at` is in ms too.
    """

    id: str
    ranges: tuple[SeqRange, ...]
    rows: int
    min_occurred: Millis
    max_occurred: Millis
    created_at: Millis


class Closing(Struct, frozen=True):
    """What a batch comes to. Every event of it that was `received` has one outcome as well.

    `ledger` leaves out what is dead-lettered: that is counted from `dead_letters`. `newest`: of the
    rows that were stored the one that occurred last. `ids_known`: by hour of receipt (ms), when the oldest
    event came (ms) that could make one of that hour a duplicate. `hours`: where in the log they were.
    """

    ledger: Sequence[LedgerCount] = ()
    dead_letters: Sequence[DeadLetter] = ()
    newest: StoredRow | None = None
    ids_known: Mapping[int, int] = {}
    hours: Sequence[HourLogged] = ()


class Batches:
    """The worker's exact memory of what is stored, in the state database.

    `fence`: the worker's lease. Without one nothing stops a second worker but the plans. `goes_out`: what is
    closed is noted as outgoing.
    """

    def __init__(self, database: Database, fence: Fence | None = None, *, goes_out: bool = False) -> None:
        self._database = database
        self._fence = fence
        self._goes_out = goes_out

    async def positions(self) -> dict[int, int]:
        """For each shard the offset of its last record that is closed, for ever done with."""
        return await self._database.read(closed_positions)

    async def open_plans(self) -> list[BatchPlan]:
        """The plans that were not closed, in the order they were planned in."""
        return await self._database.read(_open_plans)

    async def plan(self, plan: BatchPlan) -> None:
        """Remember `plan`; durable on return. Doing it again changes nothing, as with `close`.

        Raises Conflict when the lease was taken over, or a record of the plan is closed already or
        part of another open one: somebody else works on this shard, and inserting would store
        events twice.
        """

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            others = _open_plans(connection)
            if plan in others:
                return
            _check_free(plan, closed_positions(connection), others)
            # Their order is that of planning, also within a millisecond and when the clock jumps back.
            latest = connection.scalar(sa.select(sa.func.max(plans.c.created_at))) or 0
            connection.execute(
                plans.insert().values(
                    id=plan.id,
                    created_at=max(plan.created_at, latest + 1),
                    body=msgspec.json.encode(plan).decode(),
                )
            )

        await self._database.run(write)

    async def book_lost(self, workspace_id: str, found: Sequence[Lost]) -> int:
        """Book as lost, for that workspace, what is not booked yet; returns how many events these are.

        Raises Conflict when the lease was taken over, Retryable.
        """
        return await self._database.run(lambda it: lost.book(it, self._fence, workspace_id, found))

    async def lost_since(self, at: float) -> int:
        """How many events were booked so at `at` (Unix seconds) or later. Raises Retryable."""
        return await self._database.read(lambda it: lost.booked_since(it, at))

    async def close(self, plan: BatchPlan, closing: Closing) -> None:
        """All rows of `plan` are in the store: forget it, advance the positions, keep the books.

        One transaction. Closing again changes nothing, so that it may be repeated when its
        outcome is unknown. Raises Conflict when the plan is neither open nor closed, or the lease
        was taken over. No limit stops it: whether there is room for dead letters is asked before the plan
        (`DeadLetters.full`).
        """
        if any(c.outcome == "dead_lettered" for c in closing.ledger):
            raise ValueError("dead letters are counted from the letters themselves")

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            if connection.execute(plans.delete().where(plans.c.id == plan.id)).rowcount == 0:
                done = closed_positions(connection)
                if all(done.get(part.shard, -1) >= part.last_offset for part in plan.ranges):
                    return
                raise Conflict(f"batch {plan.id} was never planned")
            for part in plan.ranges:
                _advance(connection, part)
            ledger.add(connection, closing.ledger)
            letter_rows.add(connection, closing.dead_letters)
            ids_known.note(connection, closing.ids_known)
            hours_logged.note(connection, closing.hours)
            if self._goes_out:
                outgoing.note(
                    connection,
                    [OutgoingRange(part.shard, part.first_seq, part.last_seq) for part in plan.ranges],
                )
            if closing.newest:
                stored_row.remember(connection, closing.newest)

        await self._database.run(write)


def _open_plans(connection: Connection) -> list[BatchPlan]:
    bodies = connection.scalars(sa.select(plans.c.body).order_by(plans.c.created_at, plans.c.id))
    return [msgspec.json.decode(body, type=BatchPlan) for body in bodies]


def _check_free(plan: BatchPlan, done: Mapping[int, int], others: Sequence[BatchPlan]) -> None:
    for part in plan.ranges:
        if part.first_offset <= done.get(part.shard, -1):
            raise Conflict(f"shard {part.shard:016x} is closed up to record {done[part.shard]}")
        for other in others:
            if any(_overlap(part, taken) for taken in other.ranges):
                raise Conflict(f"records of shard {part.shard:016x} are part of open batch {other.id}")


def _overlap(one: SeqRange, two: SeqRange) -> bool:
    return (
        one.shard == two.shard and one.first_offset <= two.last_offset and two.first_offset <= one.last_offset
    )


def _advance(connection: Connection, part: SeqRange) -> None:
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
