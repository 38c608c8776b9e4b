"""Widgets: how often they were seen and clicked."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.params import StatsListParams
from footfall.query.question import is_, is_not
from footfall.query.report import Answer, Context, Report


class Widget(Struct, frozen=True):
    """One widget on one device page."""

    mapping_id: str
    device_slug: str
    impressions: int
    clicks: int
    unique_visitors: Annotated[int, Meta(description="Different visitors who saw or clicked it.")]
    ctr: Annotated[
        float | None, Meta(description="clicks / impressions: 0.05 is 5 %; null without impressions.")
    ]


class WidgetParams(StatsListParams, frozen=True, kw_only=True):
    """A list of widgets, or one."""

    mapping_id: (
        Annotated[str, Meta(min_length=1, max_length=200, description="Only the widgets of this mapping.")]
        | None
    ) = None


async def _run(ctx: Context[WidgetParams]) -> Answer[list[Widget]]:
    found = await ctx.ask(
        ctx.question(
            "impressions",
            "widget_clicks",
            "visitors",
            by=("mapping_id", "device_slug"),
            filters=(
                is_("event_type", "widget_impression", "widget_click"),
                is_not("mapping_id", ""),
            ),
            order_by=("-widget_clicks", "mapping_id", "device_slug"),
            limit=ctx.params.limit,
            offset=ctx.params.offset,
        )
    )
    data = [
        Widget(mapping, slug, seen, clicks, visitors, clicks / seen if seen else None)
        for mapping, slug, seen, clicks, visitors in found.rows
    ]
    return ctx.answer(data, found, uniques=(row.unique_visitors for row in data), total=found.total)


REPORT = Report(
    name="widgets",
    path="/v1/stats/widgets",
    title="Widgets",
    description="Impressions and clicks of widgets by mapping and device; the visitors are those who saw "
    "or clicked one.",
    params=WidgetParams,
    data=list[Widget],
    run=_run,
)
