"""The query language: what `POST /v1/query` takes, and what it means.

The grammar is that of Plausible's Stats API v2, with the names of `fields` and `metrics`.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, NamedTuple, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from footfall.errors import Invalid
from footfall.model.times import DAY_MS
from footfall.query.catalog.fields import GOAL, KINDS, PROPERTY, SAID_OF_FIELDS, TAG
from footfall.query.catalog.metrics import METRICS
from footfall.query.language.filters import MAX_LENGTH, MAX_VALUES, Filters, find_field_with_hint
from footfall.query.language.periods import DEFAULT_DAYS, Interval, Period, Weekday
from footfall.query.language.presets import PRESETS
from footfall.query.language.question import (
    CLOCKS,
    TIME,
    TIMES,
    WEEKDAY,
    And,
    Comparison,
    Condition,
    Question,
    Reached,
    admits_bots,
    fields_in,
    is_,
)
from footfall.query.language.refusals import unknown
from footfall.query.language.saved import GOAL_NAMES, NOTHING_SAVED, SavedNames, goals_told_apart

MAX_METRICS = len(METRICS)
MAX_DIMENSIONS = 6
MAX_ROWS = 10_000

COMPARISONS = ("previous_period", "previous_month", "previous_quarter", "year_over_year")
_DIRECTIONS = ("asc", "desc")
INTERVALS: tuple[Interval, ...] = get_args(Interval)
SHARES = frozenset({"percentage", "share"})
"""Metrics that are the visitors of a row over those of other rows."""
EXIT_RATE = "exit_rate"
"""Of visits and views, by exits.py."""
RATES = frozenset({"conversion_rate", "group_conversion_rate"})
"""The same over visitors without the goal, where a question names one."""
_MADE_OF: Mapping[str, AbstractSet[str]] = {"visitors": SHARES | RATES, "sessions": {EXIT_RATE}}
"""What metrics made of several answers are counted beside, and ordered by."""
_AUTOMATIC: tuple[tuple[int, Interval], ...] = (
    (2, "hour"),
    (92, "day"),
    (365 * 3, "month"),
)  # up to so many days; then years


class Pagination(Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows of the answer."""

    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = MAX_ROWS
    offset: Annotated[int, Meta(ge=0, le=10_000_000)] = 0


class Include(Struct, frozen=True, forbid_unknown_fields=True):
    """What else to answer."""

    total_rows: Annotated[bool, Meta(description="`meta.total_rows`: rows there are without pagination.")] = (
        False
    )
    time_labels: Annotated[bool, Meta(description="`meta.time_labels`: all buckets of the range.")] = False
    bots: Annotated[bool, Meta(description="Count bots too.")] = False
    match_day_of_week: Annotated[
        bool,
        Meta(description="The range to `compare` with is moved by some days, to begin on the same weekday."),
    ] = False


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question."""

    metrics: Annotated[
        list[str],
        Meta(min_length=1, max_length=MAX_METRICS, description="What is counted, in this order in each row."),
    ]
    date_range: Annotated[
        str | list[str],
        Meta(
            description=f"One of {', '.join(PRESETS)}, 14d, 8w, 3mo, ..., or two dates or times in ISO 8601."
        ),
    ] = f"{DEFAULT_DAYS}d"
    site_id: Annotated[
        Annotated[str, Meta(max_length=MAX_LENGTH)]
        | Annotated[
            list[Annotated[str, Meta(max_length=MAX_LENGTH)]], Meta(min_length=1, max_length=MAX_VALUES)
        ]
        | None,
        Meta(description="Only events of this site, or of these: ids, or domains."),
    ] = None
    dimensions: Annotated[
        list[str],
        Meta(max_length=MAX_DIMENSIONS, description="What it is counted by; one row in all, if empty."),
    ] = []
    filters: Annotated[
        list[Any], Meta(description='For example [["is", "country_code", ["DE"]]]; all must hold.')
    ] = []
    timezone: Annotated[
        str, Meta(max_length=64, description="IANA zone, as in Europe/Berlin: where days begin.")
    ] = "UTC"
    week_start: Annotated[str, Meta(description=f"One of {', '.join(get_args(Weekday))}.")] = "monday"
    order_by: Annotated[
        list[tuple[str, str]],
        Meta(max_length=MAX_METRICS, description='For example [["visitors", "desc"]]; the other is "asc".'),
    ] = []
    pagination: Pagination = Pagination()
    include: Include = Include()
    compare: Annotated[
        str | list[str] | None,
        Meta(description=f"One of {', '.join(COMPARISONS)}, or two dates or times."),
    ] = None


class ResolvedQuery(NamedTuple):
    """A query that was read. `interval`: of the time dimension; None without one."""

    question: Question
    interval: Interval | None
    week_start: Weekday
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    goal: bool = False

    def made_of_visitors(self) -> list[str]:
        """The metrics that are the visitors of a row over others."""
        return [name for name in self.metrics if name in SHARES or (self.goal and name in RATES)]

    def everybody(self, metric: str) -> Question:
        """The visitors that a share or a rate is of, by the dimensions that tell them apart."""
        question = self.question
        if metric == "share":
            kept = question.dimensions[:1]
        elif metric == "group_conversion_rate":
            kept = tuple(name for name in question.dimensions if not _is_goal(name))
        else:
            kept = tuple(name for name in question.dimensions if name in TIMES) if metric in RATES else ()
        return replace(
            question,
            metrics=("visitors",),
            dimensions=kept,
            where=_without_goal(question.where) if metric in RATES else question.where,
            tags=question.tags if TAG in kept else {},
            goals=question.goals if GOAL in kept else {},
            buckets=question.buckets if TIME in kept else (),
            order_by=(),
            limit=MAX_ROWS if kept else 1,
            offset=0,
        )


def _is_goal(name: str) -> bool:
    """Whether it says what a visitor has done: a goal, a type of events, and what those carry."""
    return name in (GOAL, "event_type") or name.startswith(PROPERTY)


def _without_goal(where: Condition) -> Condition:
    if isinstance(where, And):
        return And(tuple(_without_goal(part) for part in where.parts))
    return And() if _names_goal(where) else where


def _names_goal(where: Condition) -> bool:
    if isinstance(where, And):
        return any(map(_names_goal, where.parts))
    if isinstance(where, Comparison):
        return _is_goal(where.field) and not where.operator.endswith("_not")
    return isinstance(where, Reached)


def resolve_query(
    query: Query,
    workspace_id: str,
    period: Period,
    tags: Mapping[str, Sequence[str]],
    saved: SavedNames = NOTHING_SAVED,
) -> ResolvedQuery:
    """Read a query about `period`. `tags`: the links that carry each tag; `saved`: goals and segments.

    Raises Invalid.

    Call it in a thread: it may take a while, see `Filters`.
    """
    week_start = _weekday(query.week_start)
    metrics = _metrics(query.metrics)
    names, interval = _dimensions(query.dimensions, period)

    def links_of(wanted: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({link for tag in wanted for link in tags.get(tag, ())}))

    sites = [query.site_id] if isinstance(query.site_id, str) else query.site_id or []
    conditions = [Filters(links_of, len(sites), saved).read(query.filters)]
    if sites:
        conditions.append(is_("site_id", *sites))
    if TAG in names:
        conditions.append(is_("link_id", *links_of(tuple(tags))))
    where = And(tuple(conditions))
    goal = any(map(_is_goal, names)) or _names_goal(where)
    made = (SHARES | RATES if goal else SHARES) | {EXIT_RATE}  # by answers.py
    if EXIT_RATE in metrics:
        _check_exits({*names, *fields_in(where)}, goal=goal)
    of = [base for base, names_made in _MADE_OF.items() if names_made & set(metrics)]
    wanted = tuple(dict.fromkeys((*(name for name in metrics if name not in made), *of)))
    question = Question(
        workspace_id=workspace_id,
        period=period,
        metrics=wanted,
        dimensions=names,
        where=where,
        bots=None if query.include.bots or admits_bots(where) else False,
        buckets=_buckets(period, interval, week_start) if interval else (),
        clocks={name: period.clock(days=name == WEEKDAY) for name in CLOCKS if name in names},
        order_by=_order(query, metrics, names, made),
        tags={tag: tuple(links) for tag, links in sorted(tags.items())} if TAG in names else {},
        goals=goals_told_apart(where, saved) if GOAL in names else {},
        limit=query.pagination.limit,
        offset=query.pagination.offset,
    )
    return ResolvedQuery(question, interval, week_start, metrics, tuple(query.dimensions), goal=goal)


def _check_exits(fields: AbstractSet[str], *, goal: bool) -> None:
    if goal or {"exit_page", "page_path"} <= fields:
        raise Invalid(
            f"metrics: {EXIT_RATE} is of whole visits and all views of a page: ask for it without a goal "
            "(event_type, goal, properties), and by exit_page or page_path, not both",
            field="metrics",
        )


def _weekday(name: str) -> Weekday:
    for weekday in get_args(Weekday):
        if name == weekday:
            return weekday
    raise unknown("week_start", name, get_args(Weekday))


def _buckets(period: Period, interval: Interval, week_start: Weekday) -> list[int]:
    try:
        return period.buckets(interval, week_start)
    except Invalid as error:
        raise Invalid(f"dimensions: {error}", field="dimensions") from None


def _metrics(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in METRICS:
            raise unknown("metrics", name, METRICS)
    if len(set(names)) != len(names):
        raise Invalid("metrics: each only once", field="metrics")
    return tuple(names)


def _dimensions(names: Sequence[str], period: Period) -> tuple[tuple[str, ...], Interval | None]:
    """The dimensions of the question, and the interval if time is one of them."""
    found: list[str] = []
    interval: Interval | None = None
    for name in names:
        if name in CLOCKS:
            found.append(name)
            continue
        if name == TIME or name.startswith("time:"):
            if interval:
                raise Invalid("dimensions: time only once", field="dimensions")
            interval = _interval(name, period)
            found.append(TIME)
            continue
        if name in GOAL_NAMES:
            found.append(GOAL)
            continue
        if name != TAG and name not in SAID_OF_FIELDS:
            find_field_with_hint(name, "dimensions", (*SAID_OF_FIELDS, TAG, GOAL))
        found.append(name)
    if len(set(found)) != len(found):
        raise Invalid("dimensions: each only once", field="dimensions")
    return tuple(found), interval


def _interval(name: str, period: Period) -> Interval:
    wanted = name.removeprefix("time:")
    if wanted in INTERVALS:
        return wanted
    if name != TIME:
        raise unknown("dimensions", name, (TIME, *(f"time:{interval}" for interval in INTERVALS), *CLOCKS))
    days = (period.end - period.start) / DAY_MS
    for most, automatic in _AUTOMATIC:
        if days <= most:
            return automatic
    return "year"


def _base(metric: str) -> str:
    return next(base for base, made in _MADE_OF.items() if metric in made)


def _order(
    query: Query, metrics: tuple[str, ...], names: tuple[str, ...], made: frozenset[str]
) -> tuple[str, ...]:
    """The order asked for, or time, or the first metric; ties by all dimensions."""
    order: list[str] = []
    written = dict(zip(query.dimensions, names, strict=True))
    for name, direction in query.order_by:
        if direction not in _DIRECTIONS:
            raise unknown("order_by", direction, _DIRECTIONS)
        ours = written.get(name, name)
        if ours not in metrics and ours not in names:
            raise unknown(
                "order_by", name, (*metrics, *query.dimensions), ": the metrics and dimensions asked for"
            )
        when = next((each for each in names if each in TIMES), None)
        if ours in made and (ours != "percentage" and (ours != "conversion_rate" or when)):
            raise Invalid(
                f"order_by: {ours} is no order of all rows; order by {_base(ours)}", field="order_by"
            )
        ours = _base(ours) if ours in made else ours
        order.append(f"-{ours}" if direction == "desc" else ours)
    if not order:
        first = _base(metrics[0]) if metrics[0] in made else metrics[0]
        order.append(next((name for name in names if name in TIMES), f"-{first}"))
    ordered = {name.removeprefix("-") for name in order}
    return (*order, *(name for name in names if name not in ordered))


KNOWN_DIMENSIONS: tuple[str, ...] = (*KINDS, *SAID_OF_FIELDS, TAG, GOAL)
"""For the documentation; beside them time, time:INTERVAL, CLOCKS and property:NAME."""
