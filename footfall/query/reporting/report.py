"""What a report is, what it is given, and what it answers.

A report is one file in `reports/` and one line in `REPORTS`. Its parameters, its route and
its part of the API documentation derive from the `Report` it declares.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec import Meta as Words

from footfall.model.times import Seconds
from footfall.query.catalog.networks import Networks
from footfall.query.caveats import SAID_OF_REASONS, caveats_of, complete_through
from footfall.query.engine import Engine, QueryResult
from footfall.query.language.params import BucketParams, P, ParsedParams
from footfall.query.language.periods import Interval, Period, Weekday
from footfall.query.language.question import And, Condition, Question, admits_bots
from footfall.query.plan.parts import Source
from footfall.query.plan.planner import Reason
from footfall.query.reporting.partial import bucket_ends, partial_buckets
from footfall.tenants.model import Link

T = TypeVar("T")

FindLink = Callable[[str, str], Awaitable[Link | None]]
"""The link of a workspace by its id: `find_link(workspace_id, link_id)`."""

FindLinks = Callable[[str, Collection[str]], Awaitable[Mapping[str, Link]]]
"""Those links of a workspace that exist, by id: `find_links(workspace_id, link_ids)`."""

Bots = Literal["excluded", "included", "only"]


class Resolved(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The question as it was understood."""

    start: str
    end: Annotated[str, Words(description="Exclusive.")]
    timezone: str
    filters: Annotated[
        dict[str, str], Words(description="Each filter as it was written, by the name of its field.")
    ]
    interval: str | UnsetType | None = None
    granularity: str | UnsetType = UNSET
    week_start: str | UnsetType = UNSET
    by: tuple[str, ...] | UnsetType = UNSET
    property: str | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class Meta(Struct, frozen=True, kw_only=True):
    """What the numbers are worth."""

    query: Resolved
    exact: Annotated[
        bool,
        Words(
            description="False when a number of visitors, sessions or other things is an estimate, or when "
            "a warning says that something is missing or known as a sum only."
        ),
    ]
    error: Annotated[
        float | UnsetType,
        Words(description="Relative standard error of such an estimate, when there is one."),
    ] = UNSET
    source: Annotated[
        Source,
        Words(
            description="Whether events were counted, or rollups of them, or rollups and the newest events."
        ),
    ]
    source_reasons: Annotated[list[Reason], Words(description=SAID_OF_REASONS)]
    bots: Bots
    salt_period: Annotated[
        Literal["day"],
        Words(description="A visitor without an id of its own is recognised for one day (UTC)."),
    ] = "day"
    sampled: Annotated[
        bool, Words(description="Events stand for more than one: each counts as its sample_weight says.")
    ]
    complete_through: Annotated[
        str | None,
        Words(description="All events acknowledged before this time are in the answer; null when unknown."),
    ]
    warnings: list[str]
    total: Annotated[int | UnsetType, Words(description="Rows there are without limit and offset.")] = UNSET
    next_cursor: Annotated[
        str | UnsetType | None, Words(description="For the next page of events; null on the last one.")
    ] = UNSET


class Answer(Struct, Generic[T], frozen=True):
    """The shape of every answer."""

    data: T
    meta: Meta


@dataclass(frozen=True, slots=True)
class Context(Generic[P]):
    """One request: what was asked, by whom, and how to find out."""

    workspace_id: str
    asked: ParsedParams[P]
    complete_through: int | None
    engine: Engine
    find_link: FindLink
    find_links: FindLinks
    networks: Networks
    timeout: Seconds
    path: Mapping[str, str]
    only: tuple[Condition, ...] = ()

    @property
    def params(self) -> P:
        """The parameters of the request."""
        return self.asked.params

    @property
    def period(self) -> Period:
        """The range it is about."""
        return self.asked.period

    @property
    def interval(self) -> Interval:
        """The length of buckets; of reports without any, a day."""
        return self.asked.interval or "day"

    def buckets(self) -> list[int]:
        """When each bucket of the range begins. Raises Invalid when there are too many."""
        return self.period.buckets(self.interval, self._week_start)

    def partial(self, buckets: Sequence[int]) -> set[int]:
        """Those of the buckets that are cut off by the range or not over yet."""
        return partial_buckets(self.period, buckets, self.interval, self._week_start, self.asked.now)

    def ends(self, buckets: Sequence[int]) -> Sequence[int]:
        """When each of the buckets ends, whatever the range cuts off."""
        return bucket_ends(self.period, buckets, self.interval, self._week_start)

    @property
    def _week_start(self) -> Weekday:
        return self.params.week_start if isinstance(self.params, BucketParams) else "monday"

    @property
    def bots(self) -> bool | None:
        """Which events count, as `Question.bots` has it: a filter on bots speaks for itself."""
        asked_for = any(admits_bots(where) for where in self.asked.filters)
        return None if asked_for or self.params.include_bots else False

    def narrowed(self, *only: Condition) -> "Context[P]":
        """The same request, about those of its events that pass `only` too."""
        return replace(self, only=(*self.only, *only))

    def question(
        self,
        *metrics: str,
        by: Sequence[str] = (),
        filters: Sequence[Condition] = (),
        bots: bool | None = None,
        buckets: Sequence[int] = (),
        order_by: Sequence[str] = (),
        limit: int = 1,
        offset: int = 0,
    ) -> Question:
        """A question about the events of this request: its range, its filters, and `filters`."""
        return Question(
            workspace_id=self.workspace_id,
            period=self.period,
            metrics=metrics,
            dimensions=tuple(by),
            where=And((*self.asked.filters, *self.only, *filters)),
            bots=self.bots if bots is None else bots,
            buckets=buckets,
            order_by=tuple(order_by),
            limit=limit,
            offset=offset,
        )

    async def ask(self, question: Question) -> QueryResult:
        """Answer one question. Raises Invalid when it takes too long, StoreDown."""
        return await self.engine.find(question, self.timeout)

    def answer(
        self,
        data: T,
        *found: QueryResult,
        uniques: Iterable[int] = (),
        total: int | UnsetType = UNSET,
        warnings: Sequence[str] = (),
        bots: Bots | None = None,
        next_cursor: str | UnsetType | None = UNSET,
    ) -> Answer[T]:
        """Put `data` and what is to be said about it together.

        `found`: all that was asked for it; `uniques`: all counts of different things in it.
        """
        told = caveats_of(self.period, found, uniques)
        through = complete_through(self.complete_through, found)
        return Answer(
            data,
            Meta(
                query=self._resolved(),
                exact=told.exact,
                error=UNSET if told.error is None else told.error,
                source=told.source,
                source_reasons=told.reasons,
                bots=bots or ("included" if self.bots is None else "excluded"),
                sampled=told.sampled,
                complete_through=None if through is None else self.period.iso(through),
                warnings=[*self.asked.warnings, *warnings, *told.warnings],
                total=total,
                next_cursor=next_cursor,
            ),
        )

    def _resolved(self) -> Resolved:
        params = self.params
        return Resolved(
            start=self.period.iso(self.period.start),
            end=self.period.iso(self.period.end),
            timezone=self.period.timezone,
            filters=dict(self.asked.written),
            interval=getattr(params, "interval", None),
            granularity=self.asked.interval or UNSET,
            week_start=getattr(params, "week_start", UNSET),
            by=getattr(params, "by", UNSET),
            property=getattr(params, "property", UNSET),
            limit=getattr(params, "limit", UNSET),
            offset=getattr(params, "offset", UNSET),
        )


@dataclass(frozen=True, slots=True)
class Report(Generic[P]):
    """One question that can be asked over HTTP.

    `name` is its label in metrics and part of its operation id; `data` the type of `data` in its
    answer; `path` may hold the parameter `id`. `defaults` are filters that hold unless the
    caller names them.
    """

    name: str
    path: str
    title: str
    description: str
    params: type[P]
    data: Any
    run: Callable[[Context[P]], Awaitable[Answer[Any]]]
    defaults: Mapping[str, str] = field(default_factory=dict[str, str])
