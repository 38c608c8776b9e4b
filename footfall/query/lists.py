"""Lists of clicks: the shape that several reports share."""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from footfall.query.params import ListParams, P
from footfall.query.question import is_
from footfall.query.report import Answer, Context, Found, Report

Row = TypeVar("Row", bound=Struct)


class ClicksBy(NamedTuple, Generic[Row]):
    """Clicks and their visitors by `dimensions`, the most first, then by `order_by`.

    `row` has a field for each dimension, `clicks` and `visitors`.
    """

    row: type[Row]
    dimensions: Sequence[str]
    order_by: Sequence[str]

    async def find(self, ctx: Context[P], limit: int, offset: int = 0) -> tuple[Found, list[Row]]:
        """One page of the list."""
        found = await ctx.ask(
            ctx.question(
                "clicks",
                "visitors",
                by=self.dimensions,
                filters=(is_("event_type", "click"),),
                order_by=("-clicks", *self.order_by),
                limit=limit,
                offset=offset,
            )
        )
        names = (*self.dimensions, "clicks", "visitors")
        return found, [self.row(**dict(zip(names, row, strict=True))) for row in found.rows]

    async def answer(self, ctx: Context[Any]) -> Answer[list[Row]]:
        """The whole answer of a report whose parameters are a ListParams."""
        params: ListParams = ctx.params
        found, rows = await self.find(ctx, params.limit, params.offset)
        visitors = (getattr(row, "visitors") for row in rows)  # noqa: B009 - every Row has it, Struct does not know
        other = params.event_type not in (None, "click")
        warnings = ["this report counts clicks: other event_types leave nothing"] if other else []
        return ctx.answer(rows, found, uniques=visitors, total=found.total, warnings=warnings)


def clicks_report(
    listed: ClicksBy[Row], *, name: str, path: str, title: str, description: str
) -> Report[ListParams]:
    """The report that answers such a list."""
    return Report(
        name=name,
        path=path,
        title=title,
        description=description,
        params=ListParams,
        data=list[listed.row],
        run=listed.answer,
    )
