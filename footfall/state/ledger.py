"""The ledger: what became of every event, by workspace, site and hour of receipt.

    received = stored + duplicate + rejected + dead_lettered + dropped + lost

holds at every moment for what is closed, because all counts of a batch are added in the
transaction that closes it, and whatever happens later moves counts between outcomes. What
stands in the log above the closed positions is in flight.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.errors import Invalid
from footfall.model.reasons import LOSSES, OF_WHOLE_RECORDS, Reason
from footfall.model.record import Record
from footfall.state.tables import dead_letters, ledger, positions

HOUR = 3_600_000

Outcome = Literal["received", "stored", "duplicate", "rejected", "dead_lettered", "dropped", "lost"]

MOST_IMBALANCES = 100

# So many lines are read in one transaction: as long as it lasts, no batch can be closed.
PAGE_LINES = 20_000
_MOST_PAGES = 100


class LedgerCount(Struct, frozen=True):
    """`count` events of one (workspace, site, hour of receipt) had this outcome.

    `hour` is its first ms since 1970 UTC (`hour_of`). `reason` goes with `rejected`,
    `dropped` and `lost`, is ADJUSTED for some of `received`, and empty else. `backfilled`: they were
    imported, not received live. Counts of the same line add up.
    """

    workspace_id: str
    site_id: str
    hour: int
    outcome: Outcome
    count: int
    reason: str = ""
    backfilled: bool = False


class LedgerLine(NamedTuple):
    """The sum of one outcome and reason in a range; by hour if it was asked so, else `hour` is 0."""

    hour: int
    outcome: Outcome
    reason: str
    backfilled: bool
    events: int


class Imbalance(NamedTuple):
    """One (site, hour) where the books are wrong.

    `line` "received": `expected` were received, `found` have an outcome. `line` "dead_lettered":
    `expected` stand in the ledger, `found` among the dead letters.
    """

    site_id: str
    hour: int
    line: Literal["received", "dead_lettered"]
    expected: int
    found: int


class LedgerRange(NamedTuple):
    """The hours from `start` to `end` (exclusive, ms) at one moment.

    `closed`: the position of each shard at that moment. `unreadable`: how many records of the log could not
    be read, of which nobody knows whose they were; each is one dead letter, whatever it held.
    """

    start: int
    end: int
    lines: Sequence[LedgerLine]
    imbalances: Sequence[Imbalance]
    closed: Mapping[int, int]
    unreadable: int = 0


class Waiting(NamedTuple):
    """What is in flight, by hour of receipt. Not `complete`: there is more than was counted."""

    by_hour: Mapping[int, int]
    complete: bool


class InFlight(Protocol):
    """Counts what a workspace has in the log above the positions `closed`.

    `site_id` None for all sites; `start` and `end` in ms, whole hours, `end` exclusive.
    """

    def __call__(
        self, workspace_id: str, site_id: str | None, start: int, end: int, closed: Mapping[int, int]
    ) -> Awaitable[Waiting]:
        """Raises Retryable when the log fails."""
        ...


def hour_of(at: int) -> int:
    """The hour that `at` (ms) lies in."""
    return at - at % HOUR


ADJUSTED = "adjusted"
"""The reason of what was `received` and had its `occurred_at` set to the time of receipt."""

BACKFILLED = "import:"
"""So begins the `source` of what was imported."""


def is_backfilled(source: str) -> bool:
    """Whether a record with this `source` was imported."""
    return source.startswith(BACKFILLED)


def received(record: Record) -> dict[tuple[str, Outcome, str], int]:
    """What a record counts for, by (site, outcome, reason): all it brought, and what the door refused.

    The outcomes of its events are not known yet; those of its tallies are.
    """
    counts: Counter[tuple[str, Outcome, str]] = Counter()
    for site_id, count in Counter([event.site_id for event in record.events]).items():
        counts[site_id, "received", ""] += count
    for tally in record.tallies:
        counts[tally.site_id, "received", ""] += tally.count
        if tally.reason == Reason.DUPLICATE:
            counts[tally.site_id, "duplicate", ""] += tally.count
        elif tally.reason == Reason.OVERFLOW:
            counts[tally.site_id, "dropped", tally.reason] += tally.count
        elif tally.reason in LOSSES:
            counts[tally.site_id, "lost", tally.reason] += tally.count
        else:
            counts[tally.site_id, "rejected", tally.reason] += tally.count
    return dict(counts)


class Ledger:
    """Reading it. It is written where batches are closed and dead letters are settled."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pages(
        self, workspace_id: str, start: int, end: int, site_id: str | None = None, *, by_hour: bool = False
    ) -> AsyncGenerator[LedgerRange]:
        """As `books`, a part of the range at a time, the newest first, each at a moment of its own.

        Every event received stands in one hour, so what the parts count adds up. Raises Invalid
        when the range has too many lines.
        """
        until = end
        for _ in range(_MOST_PAGES):
            first = await self._database.read(
                partial(_page_before, workspace_id=workspace_id, start=start, end=until)
            )
            yield await self.books(workspace_id, first, until, site_id, by_hour=by_hour)
            if first <= start:
                return
            until = first
        raise Invalid(
            f"a range has at most {_MOST_PAGES * PAGE_LINES:,} lines of the ledger; ask for a shorter one",
            field="start_date",
        )

    async def books(
        self, workspace_id: str, start: int, end: int, site_id: str | None = None, *, by_hour: bool = False
    ) -> LedgerRange:
        """The hours that begin from `start` to `end` (exclusive, ms), at one moment.

        At most 100 imbalances are listed.
        """

        def read(connection: Connection) -> LedgerRange:
            where = [ledger.c.workspace_id == workspace_id, ledger.c.hour >= start, ledger.c.hour < end]
            within = [dead_letters.c.hour >= start, dead_letters.c.hour < end]
            letters = [*within, dead_letters.c.workspace_id == workspace_id]
            if site_id is not None:
                where.append(ledger.c.site_id == site_id)
                letters.append(dead_letters.c.site_id == site_id)
            return LedgerRange(
                start,
                end,
                _lines(connection, where, by_hour=by_hour),
                _imbalances(connection, where, letters),
                closed_positions(connection),
                _unreadable(connection, within),
            )

        return await self._database.read(read)


def workspaces(connection: Connection) -> list[str]:
    """Those that have lines, found by looking up one after the other: the lines are many."""
    found: list[str] = []
    while True:
        following = sa.select(sa.func.min(ledger.c.workspace_id)).where(
            ledger.c.workspace_id > found[-1] if found else sa.true()
        )
        if (name := connection.scalar(following)) is None:
            return found
        found.append(name)


class LedgerPart(NamedTuple):
    """Hours of a workspace from `start` to `end` (exclusive, ms) that are read at once."""

    workspace_id: str
    start: int
    end: int


async def parts(
    database: Database, start: int, end: int, workspace_id: str | None = None
) -> AsyncGenerator[LedgerPart]:
    """The hours that begin from `start` to `end` in parts of about PAGE_LINES lines, the newest first.

    Of a workspace, or of all. All lines of an hour are in one part. Raises Retryable.
    """
    every = await database.read(workspaces) if workspace_id is None else [workspace_id]
    for each in every:
        until = end
        while until > start:
            page = partial(_page_before, workspace_id=each, start=start, end=until)
            first = await database.read(page)
            yield LedgerPart(each, first, until)
            until = first


def of_part(part: LedgerPart) -> Sequence[sa.ColumnElement[bool]]:
    """The condition on lines of the ledger."""
    return (
        ledger.c.workspace_id == part.workspace_id,
        ledger.c.hour >= part.start,
        ledger.c.hour < part.end,
    )


def _page_before(connection: Connection, workspace_id: str, start: int, end: int) -> int:
    """Where the whole hours begin that end with `end`, and have about PAGE_LINES lines."""
    hour = connection.scalar(
        sa.select(ledger.c.hour)
        .where(ledger.c.workspace_id == workspace_id, ledger.c.hour >= start, ledger.c.hour < end)
        .order_by(ledger.c.hour.desc())
        .offset(PAGE_LINES)
        .limit(1)
    )
    if hour is None:
        return start
    return hour if hour + HOUR >= end else hour + HOUR


def closed_positions(connection: Connection) -> dict[int, int]:
    """For each shard the offset of its last record that is closed."""
    return {int(row.shard, 16): row.offset for row in connection.execute(sa.select(positions))}


def add(connection: Connection, counts: Iterable[LedgerCount]) -> None:
    """Add to the lines of the ledger, in the caller's transaction; counts may be negative."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for count in counts:
        key = (
            count.workspace_id, count.hour, count.site_id, count.outcome, count.reason, count.backfilled
        )  # fmt: skip
        sums[key] += count.count
    names = [column.name for column in ledger.primary_key.columns]
    rows = [dict(zip(names, key, strict=True), count=total) for key, total in sums.items() if total]
    if not rows:
        return
    statement = insert(connection, ledger)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(ledger.primary_key.columns),
            set_={"count": ledger.c.count + statement.excluded.count},
        ),
        rows,
    )


def _lines(connection: Connection, where: Sequence[Any], *, by_hour: bool) -> list[LedgerLine]:
    keys = [ledger.c.outcome, ledger.c.reason, ledger.c.backfilled]
    keys = [ledger.c.hour, *keys] if by_hour else keys
    rows = connection.execute(
        sa.select(*keys, sa.func.sum(ledger.c["count"])).where(*where).group_by(*keys).order_by(*keys)
    )
    lines = [LedgerLine(*row) if by_hour else LedgerLine(0, *row) for row in rows]
    # PostgreSQL sums to a decimal.
    return [line._replace(events=int(line.events)) for line in lines if line.events]


def _imbalances(connection: Connection, where: Sequence[Any], letters: Sequence[Any]) -> list[Imbalance]:
    def total(condition: Any) -> Any:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, ledger.c["count"]), else_=0)), 0)

    got, known = total(ledger.c.outcome == "received"), total(ledger.c.outcome != "received")
    unequal = (
        sa.select(ledger.c.site_id, ledger.c.hour, got, known)
        .where(*where)
        .group_by(ledger.c.site_id, ledger.c.hour)
        .having(got != known)
        .order_by(ledger.c.hour, ledger.c.site_id)
        .limit(MOST_IMBALANCES)
    )
    found = [
        Imbalance(site, hour, "received", int(expected), int(accounted))
        for site, hour, expected, accounted in connection.execute(unequal)
    ]
    booked = _by_site_and_hour(
        connection, ledger, ledger.c["count"], [*where, ledger.c.outcome == "dead_lettered"]
    )
    kept = _by_site_and_hour(connection, dead_letters, dead_letters.c.events, letters)
    found += [
        Imbalance(site, hour, "dead_lettered", booked.get((site, hour), 0), kept.get((site, hour), 0))
        for site, hour in sorted(booked.keys() | kept.keys(), key=lambda key: key[::-1])
        if booked.get((site, hour), 0) != kept.get((site, hour), 0)
    ]
    return found[:MOST_IMBALANCES]


def _unreadable(connection: Connection, letters: Sequence[Any]) -> int:
    whole = dead_letters.c.reason.in_(OF_WHOLE_RECORDS)
    return connection.scalar(sa.select(sa.func.count()).select_from(dead_letters).where(whole, *letters)) or 0


def _by_site_and_hour(
    connection: Connection, table: sa.Table, column: Any, where: Sequence[Any]
) -> dict[tuple[str, int], int]:
    keys = (table.c.site_id, table.c.hour)
    rows = connection.execute(sa.select(*keys, sa.func.sum(column)).where(*where).group_by(*keys))
    return {(site, hour): int(count) for site, hour, count in rows}
