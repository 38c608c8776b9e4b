"""What a report is, what it is given, and what it answers.

A report is one file in `reports/` and one line in `REPORTS`. Its parameters, its route and
its part of the API documentation derive from the `Report` it declares.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec import Meta as Words

from footfall.query.params import FILTERS, P
from footfall.query.periods import Period
from footfall.query.sql import (
    UNIQUE_ERROR,
    UNIQUE_EXACT,
    Filter,
    Question,
    Statement,
    listing,
    select,
)
from footfall.store.port import Store
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
    source: Literal["raw"]
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


class Found(NamedTuple):
    """Rows of a question, and what `sql.select` says of all its groups."""

    rows: Sequence[tuple[Any, ...]]
    total: int
    unidentified: int
    known_for_a_day: int


@dataclass(frozen=True, slots=True)
class Context(Generic[P]):
    """One request: what was asked, by whom, and how to find out."""

    workspace_id: str
    params: P
    period: Period
    warnings: tuple[str, ...]
    complete_through: str | None
    store: Store
    find_link: FindLink
    timeout: float
    path: Mapping[str, str]
    only: tuple[Filter, ...] = ()

    def narrowed(self, *only: Filter) -> "Context[P]":
        """The same request, about those of its events that pass `only` too."""
        return replace(self, only=(*self.only, *only))

    def question(
        self,
        *metrics: str,
        by: Sequence[str] = (),
        filters: Sequence[Filter] = (),
        bots: bool | None = None,
        buckets: Sequence[int] = (),
        order_by: Sequence[str] = (),
        limit: int = 1,
        offset: int = 0,
    ) -> Question:
        """A question about the events of this request: its range, its filters, and `filters`."""
        asked = tuple(Filter(name, (value,)) for name, value in self._filters().items())
        return Question(
            workspace_id=self.workspace_id,
            period=self.period,
            metrics=metrics,
            dimensions=tuple(by),
            filters=(*asked, *self.only, *filters),
            bots=bots if bots is not None or self.params.include_bots else False,
            buckets=buckets,
            order_by=tuple(order_by),
            limit=limit,
            offset=offset,
        )

    async def ask(self, question: Question) -> Found:
        """Answer one question. Raises Invalid when it takes too long, StoreDown."""
        rows = await self._query(select(question))
        summary = rows[0] if rows else None
        if not rows and question.offset:  # past the end: the totals stand in any other row
            first = await self._query(select(msgspec.structs.replace(question, offset=0, limit=1)))
            summary = first[0] if first else None
        total, unidentified, known_for_a_day = summary[-3:] if summary else (0, 0, 0)
        return Found([row[:-3] for row in rows], total, unidentified, known_for_a_day)

    async def events(self, question: Question, columns: Sequence[str]) -> Sequence[tuple[Any, ...]]:
        """The events of a question themselves, newest first."""
        return await self._query(listing(question, columns))

    def answer(
        self,
        data: T,
        *found: Found,
        uniques: Iterable[int] = (),
        total: int | UnsetType = UNSET,
        warnings: Sequence[str] = (),
    ) -> Answer[T]:
        """Put `data` and what is to be said about it together.

        `found`: where the visitors in it come from; `uniques`: all counts of visitors and
        sessions in it.
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
        exact = all(unique <= UNIQUE_EXACT for unique in uniques)
        return Answer(
            data,
            Meta(
                query=self._resolved(),
                exact=exact,
                error=UNSET if exact else UNIQUE_ERROR,
                source="raw",
                bots="included" if self.params.include_bots else "excluded",
                complete_through=self.complete_through,
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

    async def _query(self, statement: Statement) -> Sequence[tuple[Any, ...]]:
        return await self.store.query(statement.text, statement.parameters, timeout=self.timeout)


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
