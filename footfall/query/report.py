"""What a report is, what it is given, and what it answers.

A report is one file in `reports/` and one line in `REPORTS`. Its parameters, its route and
its part of the API documentation derive from the `Report` it declares.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec import Meta as Words

from footfall.query.engine import Engine, Found, Source
from footfall.query.metrics import UNIQUE_ERROR, UNIQUE_EXACT
from footfall.query.params import FILTERS, P
from footfall.query.periods import Period
from footfall.query.question import All, Condition, Question, is_
from footfall.tenants.model import Link

T = TypeVar("T")

FindLink = Callable[[str, str], Awaitable[Link | None]]
"""The link of a workspace by its id: `find_link(workspace_id, link_id)`."""

_DAY = 86_400_000


class Resolved(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The question as it was understood."""

    start: str
    end: Annotated[str, Words(description="Exclusive.")]
    timezone: str
    filters: dict[str, str]
    interval: str | UnsetType = UNSET
    by: tuple[str, ...] | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class Meta(Struct, frozen=True, kw_only=True):
    """What the numbers are worth."""

    query: Resolved
    exact: Annotated[bool, Words(description="False when a number of visitors or sessions is an estimate.")]
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
    bots: Literal["excluded", "included"]
    complete_through: Annotated[
        str | None,
        Words(description="All events acknowledged before this time are in the answer; null when unknown."),
    ]
    warnings: list[str]
    total: Annotated[int | UnsetType, Words(description="Rows there are without limit and offset.")] = UNSET


class Answer(Struct, Generic[T], frozen=True):
    """The shape of every answer."""

    data: T
    meta: Meta


@dataclass(frozen=True, slots=True)
class Context(Generic[P]):
    """One request: what was asked, by whom, and how to find out."""

    workspace_id: str
    params: P
    period: Period
    warnings: tuple[str, ...]
    complete_through: int | None
    engine: Engine
    find_link: FindLink
    timeout: float
    path: Mapping[str, str]
    only: tuple[Condition, ...] = ()

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
        asked = tuple(is_(name, value) for name, value in self._filters().items())
        return Question(
            workspace_id=self.workspace_id,
            period=self.period,
            metrics=metrics,
            dimensions=tuple(by),
            where=All((*asked, *self.only, *filters)),
            bots=bots if bots is not None or self.params.include_bots else False,
            buckets=buckets,
            order_by=tuple(order_by),
            limit=limit,
            offset=offset,
        )

    async def ask(self, question: Question) -> Found:
        """Answer one question. Raises Invalid when it takes too long, StoreDown."""
        return await self.engine.find(question, self.timeout)

    async def events(self, question: Question, columns: Sequence[str]) -> Sequence[tuple[Any, ...]]:
        """The events of a question themselves, newest first."""
        return await self.engine.events(question, columns, self.timeout)

    def answer(
        self,
        data: T,
        *found: Found,
        uniques: Iterable[int] = (),
        total: int | UnsetType = UNSET,
        warnings: Sequence[str] = (),
    ) -> Answer[T]:
        """Put `data` and what is to be said about it together.

        `found`: all that was asked for it; `uniques`: all counts of visitors and sessions in it.
        """
        warnings = [*self.warnings, *warnings]
        unidentified = max((each.unidentified for each in found), default=0)
        if unidentified:
            warnings.append(
                f"{unidentified} events have no visitor (no address, no id): not among the visitors"
            )
        several_days = self.period.start // _DAY != (self.period.end - 1) // _DAY
        if several_days and any(each.known_for_a_day for each in found):
            warnings.append(
                "visitors without an id of their own are recognised for one day (UTC): "
                "over several days they add up"
            )
        if any(each.sampled for each in found):
            warnings.append(
                "some of these events were sampled: each counts as often as its sample_weight says"
            )
        if gone := max((each.raw_from or 0 for each in found), default=0):
            warnings.append(
                f"events before {self.period.iso(gone)} are no longer kept one by one, "
                "and the rollups do not have this combination: they are missing here"
            )
        exact = all(unique <= UNIQUE_EXACT for unique in uniques)
        return Answer(
            data,
            Meta(
                query=self._resolved(),
                exact=exact,
                error=UNSET if exact else UNIQUE_ERROR,
                source=_source_of(found),
                bots="included" if self.params.include_bots else "excluded",
                complete_through=self._complete_through(found),
                warnings=warnings,
                total=total,
            ),
        )

    def _filters(self) -> dict[str, str]:
        values = {name: getattr(self.params, name, None) for name in FILTERS}
        return {name: value for name, value in values.items() if value is not None}

    def _resolved(self) -> Resolved:
        params = self.params
        return Resolved(
            start=self.period.iso(self.period.start),
            end=self.period.iso(self.period.end),
            timezone=self.period.timezone,
            filters=self._filters(),
            interval=getattr(params, "interval", UNSET),
            by=getattr(params, "by", UNSET),
            limit=getattr(params, "limit", UNSET),
            offset=getattr(params, "offset", UNSET),
        )

    def _complete_through(self, found: Sequence[Found]) -> str | None:
        if self.complete_through is None:
            return None
        # An answer that is shown again knows nothing of what came later.
        return self.period.iso(min(self.complete_through, *(int(each.at * 1000) for each in found)))


@dataclass(frozen=True, slots=True)
class Report(Generic[P]):
    """One question that can be asked over HTTP.

    `name` is its label in metrics and part of its operation id; `data` the type of `data` in its
    answer; `path` may hold the parameter `id`.
    """

    name: str
    path: str
    title: str
    description: str
    params: type[P]
    data: Any
    run: Callable[[Context[P]], Awaitable[Answer[Any]]]


def _source_of(found: Sequence[Found]) -> Source:
    sources: set[Source] = {each.source for each in found}
    return sources.pop() if len(sources) == 1 else "both" if sources else "raw"
