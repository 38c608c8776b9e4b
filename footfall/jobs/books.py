"""What the state database says of a range of hours, all of one moment."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.jobs.findings import Key, Position
from footfall.model.reasons import LOSSES, Reason
from footfall.model.record import SEQ_PER_RECORD
from footfall.state.batches import Plan
from footfall.state.ledger import closed_positions
from footfall.state.letters import OF_WHOLE_RECORDS
from footfall.state.tables import dead_letters, ledger, plans

_LINE = ("workspace_id", "site_id", "hour", "outcome", "reason")
_LETTER = ("shard", "seq", "workspace_id", "site_id", "hour", "events", "status", "reason")


class Letter(NamedTuple):
    """A dead letter. `moving`: the worker is trying it again, so its row may be there already.

    `whole`: it stands for a record that could not be read.
    """

    key: Key
    events: int
    moving: bool
    whole: bool


class Books(NamedTuple):
    """`counts`: events by outcome; what a tally of the log says is dropped or lost again, by its reason.

    `letters` by their positions. `closed`: by shard the offset of the last record done with.
    """

    counts: dict[Key, Counter[str]]
    letters: Mapping[Position, Letter]
    closed: Mapping[int, int]
    plans: Sequence[Plan]

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


async def read_books(database: Database, start: int, end: int, workspace_id: str | None) -> Books:
    """The hours that begin from `start` to `end` (exclusive, ms) of a workspace, or of all.

    Raises Retryable when the database is busy.
    """

    def read(connection: Connection) -> Books:
        counts: dict[Key, Counter[str]] = {}
        line = (*(ledger.c[name] for name in _LINE), ledger.c["count"].label("events"))
        for row in connection.execute(sa.select(*line).where(*_where(ledger, start, end, workspace_id))):
            outcomes = counts.setdefault((row.workspace_id, row.site_id, row.hour), Counter())
            outcomes[row.outcome] += row.events
            overflown = row.outcome == "dropped" and row.reason == Reason.OVERFLOW
            if overflown or (row.outcome == "lost" and row.reason in LOSSES):
                outcomes[row.reason] += row.events
        letter = (dead_letters.c[name] for name in _LETTER)
        letters = {
            (int(row.shard, 16), row.seq): Letter(
                (row.workspace_id, row.site_id, row.hour),
                row.events,
                row.status == "retrying",
                row.reason in OF_WHOLE_RECORDS,
            )
            for row in connection.execute(
                sa.select(*letter).where(*_where(dead_letters, start, end, workspace_id))
            )
        }
        bodies = connection.scalars(sa.select(plans.c.body))
        return Books(
            counts,
            letters,
            closed_positions(connection),
            [msgspec.json.decode(body, type=Plan) for body in bodies],
        )

    return await database.read(read)


async def first_received(database: Database, since: int) -> int:
    """The first hour from `since` (ms) on in which anything was received; 0: there is none."""
    first = sa.select(sa.func.min(ledger.c.hour)).where(
        ledger.c.hour >= since, ledger.c.outcome == "received"
    )
    return await database.read(lambda connection: connection.scalar(first)) or 0


async def imbalances(database: Database, since: int) -> int:
    """In how many (workspace, site, hour) from `since` (ms) on the books of the ledger do not balance."""

    def read(connection: Connection) -> int:
        sign = sa.case((ledger.c.outcome == "received", 1), else_=-1)
        unequal = (
            sa.select(ledger.c.hour)
            .where(ledger.c.hour >= since)
            .group_by(ledger.c.workspace_id, ledger.c.site_id, ledger.c.hour)
            .having(sa.func.sum(sign * ledger.c["count"]) != 0)
        )
        return connection.scalar(sa.select(sa.func.count()).select_from(unequal.subquery())) or 0

    return await database.read(read)


def _where(
    table: sa.Table, start: int, end: int, workspace_id: str | None
) -> Sequence[sa.ColumnElement[bool]]:
    where = [table.c.hour >= start, table.c.hour < end]
    return where if workspace_id is None else [*where, table.c.workspace_id == workspace_id]
