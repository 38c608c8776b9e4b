"""Lists: the shape that most reports share, declared in one value each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import Struct

from footfall.query.language.params import ListParams, P
from footfall.query.language.question import Comparison, Condition, is_
from footfall.query.reporting.columns import (
    By,
    Derived,
    ReportColumn,
    Values,
    distinct_counts,
    figures,
    row_type,
    to_row,
    with_derived,
)
from footfall.query.reporting.report import Answer, Context, QueryResult, Report

EVERYTHING = figures("visitors", "events", "clicks", "pageviews")
"""The figures of a list about all events."""

MOST_VISITORS = ("-visitors", "-events")
"""The order of such a list: visitors may be unknown."""

CLICKS = figures("clicks", "visitors")
"""The figures of a list about clicks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Rows of `figures` by `by`, in the order of `order_by`, then of the columns of `by`.

    `row` is the name of a row in the documentation. `order_by`: names of columns, "-" in front for
    descending; by default the first figure, descending. `types`: it is about events of these types only,
    () for all; `where`: and about those that pass. `bots`: see `Question`, None for what the
    caller wants. `choose`: the caller names some of `by` in a parameter of that name.
    """

    row: str
    about: str
    by: tuple[By, ...]
    figures: tuple[ReportColumn, ...] = EVERYTHING
    derived: tuple[Derived, ...] = ()
    order_by: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    bots: bool | None = None
    choose: bool = False
    struct: type[Struct] = field(init=False)

    def __post_init__(self) -> None:
        made = row_type(self.row, self.about, self.by, self.figures, self.derived, chosen=self.choose)
        object.__setattr__(self, "struct", made)

    async def find(
        self, ctx: Context[P], limit: int, offset: int = 0, chosen: Sequence[str] = ()
    ) -> tuple[QueryResult, list[Values]]:
        """One page of the list. `chosen`: of `by`, in this order; all of them by default."""
        named = {each.name: each for each in self.by}
        by = [named[name] for name in chosen] if chosen else list(self.by)
        metrics = {figure.name: figure.metric for figure in self.figures}
        numbers = [each.numbers for each in by if each.numbers]
        names = metrics | {each.name: each.asked for each in by}
        found = await ctx.ask(
            ctx.question(
                *metrics.values(),
                *numbers,
                by=[each.asked for each in by],
                filters=(*([is_("event_type", *self.types)] if self.types else []), *self.where),
                bots=self.bots,
                order_by=_order(
                    self.order_by or (f"-{self.figures[0].name}",), [each.name for each in by], names
                ),
                limit=limit,
                offset=offset,
            )
        )
        figures = slice(len(by), len(by) + len(self.figures))
        rows = [
            with_derived(
                _named(by, row, dict(zip(numbers, row[figures.stop :], strict=True)))
                | to_row(self.figures, row[figures], ctx.period),
                self.derived,
            )
            for row in found.rows
        ]
        return found, rows

    def made(self, rows: Sequence[Values]) -> list[Any]:
        """The rows as the answer has them."""
        return [self.struct(**row) for row in rows]

    def report(
        self,
        *,
        name: str,
        path: str,
        title: str,
        description: str,
        params: type[ListParams] = ListParams,
    ) -> Report[Any]:
        """The report that answers this list."""
        return Report(
            name=name,
            path=path,
            title=title,
            description=description,
            params=params,
            data=list[self.struct],
            run=partial(answer, self),
        )


def _named(by: Sequence[By], row: Sequence[Any], numbers: Mapping[str, int]) -> Values:
    return {
        each.name: each.shown(value, numbers.get(each.numbers, 0))
        for each, value in zip(by, row, strict=False)
    }


def _order(first: Sequence[str], then: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """`first`, then those of `then` that are not among these, as the question calls them."""
    order = [*first, *(name for name in then if name not in first)]
    return [f"-{names[name[1:]]}" if name.startswith("-") else names[name] for name in order]


async def answer(listing: Listing, ctx: Context[Any]) -> Answer[list[Any]]:
    """The whole answer of a report that is a list."""
    params: ListParams = ctx.params
    chosen: Sequence[str] = getattr(params, "by", ()) if listing.choose else ()
    found, rows = await listing.find(ctx, params.limit, params.offset, chosen)
    return ctx.answer(
        listing.made(rows),
        found,
        uniques=distinct_counts(listing.figures, rows),
        total=found.total,
        warnings=only_of(listing.types, ctx),
        bots="only" if listing.bots else None,
    )


def only_of(types: Sequence[str], ctx: Context[Any]) -> list[str]:
    """What to say when the filters leave out all types of events that a report is about."""
    asked = [where for where in ctx.asked.filters if where.field == "event_type"]
    if types and not any(all(_passes(where, name) for where in asked) for name in types):
        return [f"this report is about events of type {' and '.join(types)}: other event_types leave nothing"]
    return []


def _passes(where: Comparison, value: str) -> bool:
    return (value in where.values) == (where.operator == "is")
