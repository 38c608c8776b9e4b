"""`/api/v1/ledger`: what became of every event that a workspace's doors received."""

from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from litestar import Request, Router, get
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from footfall.api.app import Through
from footfall.api.guard import allowed, key_of, parameters
from footfall.api.problems import refusals
from footfall.errors import Invalid
from footfall.model.times import to_millis
from footfall.query.language.periods import DEFAULT_DAYS, MAX_BUCKETS, Period, resolve
from footfall.query.reporting.report import Resolved
from footfall.state.ledger import (
    ADJUSTED,
    HOUR,
    MOST_IMBALANCES,
    InFlight,
    Ledger,
    LedgerLine,
    LedgerRange,
    Waiting,
)
from footfall.tenants.directory import Directory

_START = f"First day, or time. [{DEFAULT_DAYS} days up to the end]"
_Name = Annotated[str | None, QueryParameter(min_length=1, max_length=200, description="Only of this site.")]


class Counts(Struct, frozen=True, kw_only=True):
    """What was received, and what became of it.

    `received` = `stored` + `duplicate` + `rejected` + `dead_lettered` + `dropped` + `lost` +
    `in_flight`.
    """

    received: int
    stored: int
    duplicate: Annotated[int, Meta(description="Sent again with an id that was seen before.")]
    rejected: Annotated[dict[str, int], Meta(description="Refused at the door, by reason.")]
    dead_lettered: Annotated[int, Meta(description="Could not be stored; waits among the dead letters.")]
    dropped: Annotated[dict[str, int], Meta(description="Given up on purpose, by reason.")]
    lost: int
    in_flight: Annotated[int, Meta(description="Durable in the log, not stored yet.")]
    backfilled: Annotated[int, Meta(description="How many of those received were imported.")]
    adjusted: Annotated[
        int,
        Meta(description="How many of those received had their `occurred_at` set to the time of receipt."),
    ]


class Hour(Counts, frozen=True, kw_only=True):
    """One hour of receipt, named by its begin."""

    hour: str


class Wrong(Struct, frozen=True):
    """A line of the books that is wrong: for this site and hour `expected` and `found` should be equal.

    `received`: so many were received, so many have an outcome. `dead_lettered`: so many stand
    in the ledger, so many are among the dead letters.
    """

    site_id: str
    hour: str
    line: Literal["received", "dead_lettered"]
    expected: int
    found: int


class Statement(Counts, frozen=True, kw_only=True):
    """The books of a range. `imbalances` lists at most 100."""

    balanced: bool
    imbalances: list[Wrong]
    unreadable_records: Annotated[
        int,
        Meta(
            description="Records of the log that could not be read and wait among the dead letters of the "
            "first workspace, since nobody knows whose they were: each counts there as one event, and how "
            "many it held is unknown."
        ),
    ]
    by_hour: list[Hour] | UnsetType = UNSET


class LedgerMeta(Struct, frozen=True, kw_only=True):
    """What the numbers are worth."""

    query: Resolved
    exact: Annotated[
        bool, Meta(description="False when the backlog is so long that in_flight says: at least.")
    ]
    source: Literal["ledger"]
    complete_through: Annotated[
        str | None,
        Meta(description="All events acknowledged before this time have an outcome; null when unknown."),
    ]
    warnings: list[str]


class LedgerAnswer(Struct, frozen=True):
    """The answer."""

    data: Statement
    meta: LedgerMeta


def ledger_routes(
    ledger: Ledger, directory: Directory, in_flight: InFlight, complete_through: Through | None = None
) -> Router:
    """The route of the ledger."""

    @get(
        "/api/v1/ledger",
        guards=[
            allowed(directory, "read"),
            parameters("start_date", "end_date", "timezone", "site_id", "by_hour"),
        ],
        operation_id="ledger",
        summary="What became of every event received",
        description="Counts by the hour in which the door received the event, whenever it happened. "
        "`balanced` says whether every event received has exactly one outcome.",
        responses=refusals(
            {
                400: "A parameter is unknown or wrong.",
                401: "Missing or unknown key.",
                403: "The key may not read.",
                503: "The database or the log is busy; try again after `Retry-After` seconds.",
            }
        ),
        tags=["Ledger"],
        security=[{"key": []}],
    )
    async def statement(
        request: Request[Any, Any, Any],
        start_date: Annotated[str | None, QueryParameter(description=_START)] = None,
        end_date: Annotated[
            str | None, QueryParameter(description="Last day, or time (exclusive). [today]")
        ] = None,
        timezone: Annotated[str, QueryParameter(description="IANA zone of the dates.")] = "UTC",
        site_id: _Name = None,
        by_hour: Annotated[bool, QueryParameter(description="Each hour for itself, too.")] = False,  # noqa: FBT002 -- Litestar's way
    ) -> LedgerAnswer:
        asked = resolve(start_date, end_date, timezone, datetime.now(UTC))
        period = _whole_hours(asked)
        if by_hour and (period.end - period.start) // HOUR > MAX_BUCKETS:
            raise Invalid(f"by_hour takes at most {MAX_BUCKETS} hours", field="by_hour")
        mine = key_of(request).workspace_id
        through = await complete_through() if complete_through else None
        pages = ledger.pages(mine, period.start, period.end, site_id, by_hour=by_hour)
        books, waiting = await _read(pages, partial(in_flight, mine, site_id))
        lines = [line for page in books for line in page.lines]
        wrong = [each for page in reversed(books) for each in page.imbalances][:MOST_IMBALANCES]
        warnings: list[str] = []
        if (period.start, period.end) != (asked.start, asked.end):
            warnings.append("the ledger is kept by hours (UTC): the range was widened to whole ones")
        if not waiting.complete:
            warnings.append("the backlog is long: in_flight and received are lower bounds")
        unreadable = sum(page.unreadable for page in books)
        if unreadable:
            warnings.append(
                f"{unreadable} records of the log could not be read: whose they were and how many events "
                "they held is unknown, each counts as one dead letter"
            )
        data = Statement(
            **_counts(lines, sum(waiting.by_hour.values())),
            balanced=not wrong,
            imbalances=[Wrong(i.site_id, period.iso(i.hour), i.line, i.expected, i.found) for i in wrong],
            unreadable_records=unreadable,
            by_hour=_hours(period, lines, waiting.by_hour) if by_hour else UNSET,
        )
        meta = LedgerMeta(
            query=Resolved(
                start=period.iso(period.start),
                end=period.iso(period.end),
                timezone=period.timezone,
                filters={} if site_id is None else {"site_id": site_id},
            ),
            exact=waiting.complete,
            source="ledger",
            complete_through=through and period.iso(to_millis(through.timestamp())),
            warnings=warnings,
        )
        return LedgerAnswer(data, meta)

    return Router("/", route_handlers=[statement])


async def _read(
    pages: AsyncIterable[LedgerRange], in_flight: Callable[[int, int, Mapping[int, int]], Awaitable[Waiting]]
) -> tuple[list[LedgerRange], Waiting]:
    """All pages, and what is in flight: of each hour above the positions of the moment when it was read.

    So no event is counted twice or left out. What was in flight when the first page was read, the newest,
    says in which others anything can have been closed since.
    """
    books = [page async for page in pages]
    oldest, newest = books[-1].start, books[0].end
    at_first = await in_flight(oldest, newest, books[0].closed)
    by_hour = {hour: events for hour, events in at_first.by_hour.items() if hour >= books[0].start}
    complete = at_first.complete
    for page in books[1:]:
        if complete and not any(page.start <= hour < page.end for hour in at_first.by_hour):
            continue
        waiting = await in_flight(page.start, page.end, page.closed)
        by_hour |= waiting.by_hour
        complete = complete and waiting.complete
    return books, Waiting(by_hour, complete)


def _whole_hours(period: Period) -> Period:
    return Period(period.start // HOUR * HOUR, -(-period.end // HOUR) * HOUR, period.timezone)


def _hours(period: Period, lines: Sequence[LedgerLine], waiting: Mapping[int, int]) -> list[Hour]:
    by_hour: dict[int, list[LedgerLine]] = {}
    for line in lines:
        by_hour.setdefault(line.hour, []).append(line)
    return [
        Hour(hour=period.iso(at), **_counts(by_hour.get(at, ()), waiting.get(at, 0)))
        for at in range(period.start, period.end, HOUR)
    ]


def _counts(lines: Iterable[LedgerLine], in_flight: int) -> dict[str, Any]:
    total: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {"rejected": Counter(), "dropped": Counter()}
    backfilled = adjusted = 0
    for line in lines:
        total[line.outcome] += line.events
        if line.outcome in reasons:
            reasons[line.outcome][line.reason] += line.events
        if line.outcome == "received" and line.backfilled:
            backfilled += line.events
        if line.outcome == "received" and line.reason == ADJUSTED:
            adjusted += line.events
    return {
        "received": total["received"] + in_flight,
        "stored": total["stored"],
        "duplicate": total["duplicate"],
        "rejected": dict(reasons["rejected"]),
        "dead_lettered": total["dead_lettered"],
        "dropped": dict(reasons["dropped"]),
        "lost": total["lost"],
        "in_flight": in_flight,
        "backfilled": backfilled,
        "adjusted": adjusted,
    }
