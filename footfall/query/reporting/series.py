"""Time series: the shape that several reports share, declared in one value each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import Struct

from footfall.query.language.params import BucketParams, P
from footfall.query.language.question import TIME, Condition, is_
from footfall.query.reporting.columns import (
    By,
    Derived,
    ReportColumn,
    Values,
    distinct_counts,
    row_type,
    to_row,
    with_derived,
    zero_values,
)
from footfall.query.reporting.listing import only_of
from footfall.query.reporting.report import Answer, Context, QueryResult, Report

_BUCKET = By("bucket", "When it begins, with the offset of the zone asked for.")
_BUCKET_END = By("bucket_end", "When the next one begins, in the same way.")
_DATE = By("bucket", "When it begins: a date, or of hours a time with the offset of the zone asked for.")


def _unknown(_: Values) -> bool:
    return False


# Its value depends on more than the row.
_PARTIAL = Derived("partial", bool, "Whether the range cuts the bucket off, or it is not over yet.", _unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """`figures` of each bucket of the range, also of the empty ones, in order.

    The names are those of `Listing`. `dates`: buckets of a day and longer are named by their first date.
    """

    row: str
    about: str
    figures: tuple[ReportColumn, ...]
    derived: tuple[Derived, ...] = ()
    types: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    dates: bool = False
    struct: type[Struct] = field(init=False)

    def __post_init__(self) -> None:
        by = [_DATE] if self.dates else [_BUCKET, _BUCKET_END]
        made = row_type(self.row, self.about, by, self.figures, [*self.derived, _PARTIAL])
        object.__setattr__(self, "struct", made)

    async def find(self, ctx: Context[P]) -> tuple[QueryResult, list[Values]]:
        """Every bucket of the range. There may be ten thousand: what each costs, a thread does."""
        buckets = await asyncio.to_thread(ctx.buckets)
        found = await ctx.ask(
            ctx.question(
                *(figure.metric for figure in self.figures),
                by=(TIME,),
                filters=(*([is_("event_type", *self.types)] if self.types else []), *self.where),
                buckets=buckets,
                limit=len(buckets),
            )
        )
        return found, await asyncio.to_thread(self._rows, ctx, buckets, found)

    def _rows(self, ctx: Context[P], buckets: Sequence[int], found: QueryResult) -> list[Values]:
        by_start = {row[0]: row[1:] for row in found.rows}
        empty = zero_values(self.figures)
        cut = ctx.partial(buckets)
        return [
            with_derived(
                self._names(ctx, start, end) | to_row(self.figures, by_start.get(start, empty), ctx.period),
                self.derived,
            )
            | {"partial": start in cut}
            for start, end in zip(buckets, ctx.ends(buckets), strict=True)
        ]

    def _names(self, ctx: Context[P], start: int, end: int) -> Values:
        if self.dates:
            return {"bucket": ctx.period.date(start) if ctx.interval != "hour" else ctx.period.iso(start)}
        return {"bucket": ctx.period.iso(start), "bucket_end": ctx.period.iso(end)}

    def made(self, rows: Sequence[Values]) -> list[Any]:
        """The rows as the answer has them."""
        return [self.struct(**row) for row in rows]

    def report(
        self, *, name: str, path: str, title: str, description: str, params: type[BucketParams]
    ) -> Report[Any]:
        """The report that answers this series."""
        return Report(
            name=name,
            path=path,
            title=title,
            description=description,
            params=params,
            data=list[self.struct],
            run=partial(_answer, self),
        )


async def _answer(series: Series, ctx: Context[Any]) -> Answer[list[Any]]:
    found, rows = await series.find(ctx)
    return await asyncio.to_thread(_made, series, ctx, found, rows)


def _made(series: Series, ctx: Context[Any], found: QueryResult, rows: Sequence[Values]) -> Answer[list[Any]]:
    return ctx.answer(
        series.made(rows),
        found,
        uniques=distinct_counts(series.figures, rows),
        warnings=only_of(series.types, ctx),
    )
