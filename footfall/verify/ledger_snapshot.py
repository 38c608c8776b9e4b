"""What the state database says of a range of hours, all of one moment."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Row

from footfall.database import Database
from footfall.model.reasons import LOSSES, OF_WHOLE_RECORDS, Reason
from footfall.model.record import SEQ_PER_RECORD
from footfall.state import hours_logged
from footfall.state.batches import BatchPlan
from footfall.state.hours_logged import HourLogged
from footfall.state.ledger import LedgerPart, closed_positions, of_part, parts, workspaces
from footfall.state.tables import dead_letters, discarded_letters, ledger, plans
from footfall.verify.findings import Key, Position

_LINE = ("workspace_id", "site_id", "hour", "outcome", "reason")
_DISCARDED = ("shard", "seq", "whole")
_END = 1 << 62  # ms: after all hours
_LETTER = ("shard", "seq", "workspace_id", "site_id", "hour", "events", "status", "reason")


_Rows = Sequence[Row[*tuple[Any, ...]]]


class Letter(NamedTuple):
    """A dead letter. `moving`: the worker is trying it again, so its row may be there already.

    `whole`: it stands for a record that could not be read.
    """

    key: Key
    events: int
    moving: bool
    whole: bool


class LedgerSnapshot(NamedTuple):
    """`counts`: events by outcome; what a tally of the log says is dropped or lost again, by its reason.

    `letters` by their positions; `discarded`: positions of letters that were, with the first one of a whole
    record for all of it. `closed`: by shard the offset of the last record done with; `logged`: where
    what was received in the range lies in the log, as far as that was noted.
    """

    counts: dict[Key, Counter[str]]
    letters: Mapping[Position, Letter]
    closed: Mapping[int, int]
    plans: Sequence[BatchPlan]
    discarded: frozenset[Position] = frozenset()
    discarded_records: frozenset[Position] = frozenset()  # shard and offset
    logged: Sequence[HourLogged] = ()

    @property
    def unreadable(self) -> set[Position]:
        """Shard and offset of the records of which no more was known, when they were taken, than where."""
        return {
            (shard, seq // SEQ_PER_RECORD) for (shard, seq), letter in self.letters.items() if letter.whole
        }

    def was_discarded(self, shard: int, offset: int, index: int) -> bool:
        """Whether the event was, or the whole record, as a dead letter. Known of the last 90 days."""
        seq = offset * SEQ_PER_RECORD + index
        return (shard, seq) in self.discarded or (shard, offset) in self.discarded_records

    def first_open_seq(self, shard: int) -> int:
        """The first seq of the shard above what is closed."""
        return (self.closed.get(shard, -1) + 1) * SEQ_PER_RECORD

    def knows(self, shard: int, offset: int) -> bool:
        """Whether the record is closed, or part of an open plan."""
        return offset <= self.closed.get(shard, -1) or any(
            part.shard == shard and part.first_offset <= offset <= part.last_offset
            for plan in self.plans
            for part in plan.ranges
        )


async def read_snapshot(database: Database, start: int, end: int, workspace_id: str | None) -> LedgerSnapshot:
    """The hours that begin from `start` to `end` (exclusive, ms) of a workspace, or of all.

    Raises Retryable when the database is busy.
    """

    def read(
        connection: Connection,
    ) -> tuple[_Rows, _Rows, Mapping[int, int], Sequence[str], _Rows, Sequence[HourLogged]]:
        every = workspaces(connection) if workspace_id is None else [workspace_id]
        line = sa.select(*(ledger.c[name] for name in _LINE), ledger.c["count"].label("events"))
        letter = sa.select(*(dead_letters.c[name] for name in _LETTER))
        return (
            # By workspace, for which there is an index: what it costs follows the range, not the ledger.
            [
                row
                for each in every
                for row in connection.execute(line.where(*of_part(LedgerPart(each, start, end)))).all()
            ],
            connection.execute(letter.where(*_where(dead_letters, start, end, workspace_id))).all(),
            closed_positions(connection),
            connection.scalars(sa.select(plans.c.body)).all(),
            connection.execute(sa.select(*(discarded_letters.c[name] for name in _DISCARDED))).all(),
            hours_logged.read(connection, start, end),
        )

    # What is made of the rows is made when nobody waits for them any more.
    return await asyncio.to_thread(_books, *await database.read(read))


def _books(
    lines: _Rows,
    letters: _Rows,
    closed: Mapping[int, int],
    bodies: Sequence[str],
    discarded: _Rows,
    logged: Sequence[HourLogged],
) -> LedgerSnapshot:
    counts: dict[Key, Counter[str]] = {}
    for row in lines:
        outcomes = counts.setdefault((row.workspace_id, row.site_id, row.hour), Counter())
        outcomes[row.outcome] += row.events
        overflown = row.outcome == "dropped" and row.reason == Reason.OVERFLOW
        if overflown or (row.outcome == "lost" and row.reason in LOSSES):
            outcomes[row.reason] += row.events
    kept = {
        (int(row.shard, 16), row.seq): Letter(
            (row.workspace_id, row.site_id, row.hour),
            row.events,
            row.status == "retrying",
            row.reason in OF_WHOLE_RECORDS,
        )
        for row in letters
    }
    return LedgerSnapshot(
        counts,
        kept,
        closed,
        [msgspec.json.decode(body, type=BatchPlan) for body in bodies],
        frozenset((int(row.shard, 16), row.seq) for row in discarded if not row.whole),
        frozenset((int(row.shard, 16), row.seq // SEQ_PER_RECORD) for row in discarded if row.whole),
        logged,
    )


async def imbalances(database: Database, since: int) -> int:
    """In how many (workspace, site, hour) from `since` (ms) on the books of the ledger do not balance.

    The ledger is read in parts: meanwhile batches are closed.
    """
    sign = sa.case((ledger.c.outcome == "received", 1), else_=-1)
    found = 0
    async for part in parts(database, since, _END):
        unequal = (
            sa.select(ledger.c.hour)
            .where(*of_part(part))
            .group_by(ledger.c.site_id, ledger.c.hour)
            .having(sa.func.sum(sign * ledger.c["count"]) != 0)
        )
        counted = sa.select(sa.func.count()).select_from(unequal.subquery())
        found += await database.read(lambda it, counted=counted: it.scalar(counted)) or 0
    return found


def _where(
    table: sa.Table, start: int, end: int, workspace_id: str | None
) -> Sequence[sa.ColumnElement[bool]]:
    where = [table.c.hour >= start, table.c.hour < end]
    return where if workspace_id is None else [*where, table.c.workspace_id == workspace_id]
