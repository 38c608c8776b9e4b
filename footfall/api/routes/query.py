"""`POST /v1/query`: one composable question."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec
from litestar import Request, Router, post
from litestar.params import JSONBody
from litestar.types import Middleware
from msgspec import UNSET, Meta, Struct, UnsetType

from footfall import metrics
from footfall.api.openapi import QUESTION, SECURITY, operation_asking
from footfall.api.problems import refusals
from footfall.model.calendar import instant
from footfall.model.times import Seconds
from footfall.query.answers import QueryRunner, Row, Table
from footfall.query.catalog.fields import GOAL, KINDS, SEGMENT, TAG
from footfall.query.catalog.metrics import METRICS
from footfall.query.caveats import SAID_OF_REASONS, caveats_of, complete_through
from footfall.query.engine import Engine
from footfall.query.language.body import Query, ResolvedQuery, resolve_query
from footfall.query.language.periods import Interval
from footfall.query.language.ranges import compared_period, period_of
from footfall.query.language.saved import GOAL_NAMES, NOTHING_SAVED, SavedNames
from footfall.query.plan.parts import Source
from footfall.query.plan.planner import Reason
from footfall.query.reporting.partial import partial_buckets

Allowed = Callable[[Request[Any, Any, Any]], Awaitable[str]]
"""The workspace whose key the request carries. Raises Denied."""

TagsOf = Callable[[str, Collection[str] | None], Awaitable[Mapping[str, Sequence[str]]]]
"""For each of these tags of a workspace (None: for each tag) all links that carry it. Raises Invalid."""

SavedOf = Callable[[str], Awaitable[SavedNames]]
"""The saved goals and segments of a workspace, as questions name them."""

SiteIds = Callable[[str, str], Sequence[str]]
"""The ids of the sites of a workspace that a name, an id or a domain, stands for."""

Now = Callable[[], Awaitable[int | None]]
"""Everything acknowledged before this time (ms) is stored; None as long as that is not known."""


MAX_BODY = 512 << 10
"""Bytes of a question."""

_NO_TAGS: Mapping[str, Sequence[str]] = {}


class QueryMeta(Struct, frozen=True, kw_only=True):
    """What the numbers are worth."""

    exact: Annotated[
        bool,
        Meta(
            description="False when a count of different things is an estimate, or when a warning says that "
            "something is missing or known as a sum only."
        ),
    ]
    error: Annotated[float | UnsetType, Meta(description="Relative standard error of such a count.")] = UNSET
    source: Annotated[
        Source, Meta(description="Whether events were counted, or rollups of them, or both together.")
    ]
    source_reasons: Annotated[list[Reason], Meta(description=SAID_OF_REASONS)]
    timezone: str
    bots: Literal["excluded", "included"]
    salt_period: Annotated[
        Literal["day"],
        Meta(description="A visitor without an id of its own is recognised for one day (UTC)."),
    ] = "day"
    sampled: Annotated[
        bool, Meta(description="Events stand for more than one; each counts as its sample_weight says.")
    ]
    complete_through: Annotated[
        str | None, Meta(description="All events acknowledged before are in the answer; null when unknown.")
    ]
    warnings: list[str]
    partial: Annotated[
        list[str] | UnsetType,
        Meta(description="Buckets that the range cuts off, or that are not over yet."),
    ] = UNSET
    total_rows: int | UnsetType = UNSET
    time_labels: list[str] | UnsetType = UNSET
    compared_with: Annotated[
        tuple[str, str] | UnsetType, Meta(description="The range compared with; its end is exclusive.")
    ] = UNSET


class QueryAnswer(Struct, frozen=True):
    """Rows in the order asked for; `query` is the question with all defaults, its range resolved."""

    results: list[Row]
    meta: QueryMeta
    query: dict[str, Any]


class Answered(NamedTuple):
    """A query, what it was understood as, and what was found. `at`: what `Now` said before it was asked."""

    asked: ResolvedQuery
    before: ResolvedQuery | None
    table: Table
    at: int | None
    now: datetime


class Queries:
    """Answers queries. `timeout`: seconds a question may take."""

    def __init__(
        self,
        engine: Engine,
        tags_of: TagsOf,
        through: Now,
        timeout: Seconds,
        site_ids: SiteIds,
        saved_of: SavedOf,
    ) -> None:
        self._saved_of = saved_of
        self._site_ids = site_ids
        self._engine = engine
        self._tags_of = tags_of
        self._through = through
        self._timeout = timeout

    async def answer(self, query: Query, workspace_id: str) -> Answered:
        """Answer one query. Raises Invalid, StoreDown."""
        now = datetime.now(UTC)
        at = await self._through()
        with metrics.QUERY_SECONDS.labels("query").time():
            sites = [query.site_id] if isinstance(query.site_id, str) else query.site_id
            if sites:
                sites = [each for name in sites for each in self._site_ids(name, workspace_id)]
                query = msgspec.structs.replace(query, site_id=sites)
            first = await self._engine.first_event(workspace_id, sites) if query.date_range == "all" else None
            period = period_of(query, now, first)
            saved = await self._saved_of(workspace_id) if _names_saved(query) else NOTHING_SAVED
            wanted = _tags(query, saved)
            tags = _NO_TAGS if wanted == set() else await self._tags_of(workspace_id, wanted)
            # Both in a thread: a question may be long, and its patterns are compiled.
            asked = await asyncio.to_thread(resolve_query, query, workspace_id, period, tags, saved)
            before = None
            if other := compared_period(query, period, now):
                before = await asyncio.to_thread(resolve_query, query, workspace_id, other, tags, saved)
            table = await QueryRunner(self._engine, asked, before, self._timeout).table()
        return Answered(asked, before, table, at, now)


def query_routes(queries: Queries, allowed: Allowed, middleware: Sequence[Middleware]) -> Router:
    """The route."""

    @post(
        "/v1/query",
        status_code=200,
        operation_id="query",
        summary="Metrics by dimensions",
        description="Any metrics by any dimensions, filtered, compared and ordered, in the grammar of "
        f"Plausible's Stats API v2.\n\n**Metrics:** {', '.join(METRICS)}.\n\n"
        f"**Dimensions:** {', '.join(KINDS)}, `property:NAME`, `{TAG}`, `{GOAL}`, and `time:hour`, "
        "`time:day`, `time:week`, `time:month`, `time:year`, or `time` for what fits the range; "
        "`time:weekday`, `time:hour_of_day`.",
        tags=["Query"],
        security=SECURITY,
        operation_class=operation_asking(QUESTION),
        middleware=middleware,
        request_max_body_size=MAX_BODY,
        responses=refusals(
            {
                400: "The question names something unknown, or takes too long; `field` says what.",
                401: "Missing or unknown key.",
                403: "The key may not read.",
                413: "The question has more than 512 KiB.",
                429: "The key asks too much at once; try again after `Retry-After` seconds.",
                503: "The store does not answer; try again after `Retry-After` seconds.",
            }
        ),
    )
    async def query(request: Request[Any, Any, Any], data: JSONBody[Query]) -> QueryAnswer:
        workspace_id = await allowed(request)
        answered = await queries.answer(data, workspace_id)
        return await asyncio.to_thread(_made, data, answered)

    return Router(path="/", route_handlers=[query])


def _made(query: Query, answered: Answered) -> QueryAnswer:
    return QueryAnswer(answered.table.rows, _meta(query, answered), _resolved(query, answered.asked))


def _tags(query: Query, saved: SavedNames) -> set[str] | None:
    """The tags that a query is about; None for all."""
    if TAG in query.dimensions:
        return None
    segments = [saved.segments[name] for name in _values_of(SEGMENT, query.filters) if name in saved.segments]
    return _values_of(TAG, [query.filters, *segments])


def _names_saved(query: Query) -> bool:
    """Whether a query is about goals or segments."""
    names = (*GOAL_NAMES, SEGMENT)
    return not set(names).isdisjoint(query.dimensions) or any(
        _values_of(name, query.filters) for name in names
    )


def _values_of(field: str, filters: Sequence[Any]) -> set[str]:
    """The values that a field is compared with, in filters that were not read yet."""
    found: set[str] = set()
    left: list[Any] = list(filters)
    while left:  # no recursion: how deep they are nested is not known yet
        each = left.pop()
        if not isinstance(each, list):
            continue
        inner = cast("list[Any]", each)
        if len(inner) > 2 and inner[1] == field:  # operator, field, values
            values = cast("list[Any]", inner[2]) if isinstance(inner[2], list) else [inner[2]]
            found.update(value for value in values if isinstance(value, str))
        else:
            left.extend(inner)
    return found


def _meta(query: Query, answered: Answered) -> QueryMeta:
    asked, before, table, at, now = answered
    period = asked.question.period
    told = caveats_of(period, table.found, table.uniques)
    through = complete_through(at, table.found)
    other = before.question.period if before else None
    return QueryMeta(
        exact=told.exact,
        error=UNSET if told.error is None else told.error,
        source=told.source,
        source_reasons=told.reasons,
        timezone=query.timezone,
        bots="excluded" if asked.question.bots is False else "included",
        sampled=told.sampled,
        complete_through=None if through is None else period.iso(through),
        warnings=told.warnings,
        partial=_partial(asked, asked.interval, now) if asked.interval else UNSET,
        total_rows=table.total if query.include.total_rows else UNSET,
        time_labels=table.buckets if query.include.time_labels and asked.interval else UNSET,
        compared_with=(period.iso(other.start), period.iso(other.end)) if other else UNSET,
    )


def _partial(asked: ResolvedQuery, interval: Interval, now: datetime) -> list[str]:
    """The buckets that are not whole, in order."""
    buckets, period = asked.question.buckets, asked.question.period
    found = partial_buckets(period, buckets, interval, asked.week_start, instant(now))
    return [period.iso(bucket) for bucket in sorted(found)]


def _resolved(query: Query, asked: ResolvedQuery) -> dict[str, Any]:
    """The question as it was understood, to be asked again."""
    period = asked.question.period
    return msgspec.to_builtins(query) | {
        "date_range": [period.iso(period.start), period.iso(period.end)],
        "dimensions": [
            f"time:{asked.interval}" if name == "time" and asked.interval else name
            for name in asked.dimensions
        ],
    }
