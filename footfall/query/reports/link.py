"""One link: its totals, its clicks over time, and where they came from."""

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from footfall.errors import NotFound
from footfall.query.params import MAX_LIMIT, BucketParams
from footfall.query.question import is_
from footfall.query.report import Answer, Context, Report
from footfall.query.reports.countries import COUNTRIES, Country
from footfall.query.reports.devices import DEVICES, Device
from footfall.query.reports.referers import REFERERS, Referer
from footfall.query.reports.timeseries import Point, points


class LinkStats(Struct, frozen=True):
    """The link as it is now, and its figures in the range."""

    link_id: str
    short_code: str
    destination_url: str
    clicks: int
    visitors: int
    last_click_at: Annotated[str | None, Meta(description="The last click in the range.")]
    timeseries: list[Point]
    countries: list[Country]
    referers: list[Referer]
    devices: list[Device]


class LinkParams(BucketParams, frozen=True, kw_only=True):
    """A time series, and lists beside it."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Most rows in each list.")] = 100


async def _run(ctx: Context[LinkParams]) -> Answer[LinkStats]:
    link = await ctx.find_link(ctx.workspace_id, ctx.path["id"])
    if link is None:
        raise NotFound("there is no such link")
    ctx = ctx.narrowed(is_("link_id", link.id))
    limit = ctx.params.limit
    clicks = is_("event_type", "click")
    totals, series, countries, referers, devices = await asyncio.gather(
        ctx.ask(ctx.question("clicks", "visitors", "last_at", filters=(clicks,))),
        points(ctx, ctx.params.interval),
        COUNTRIES.find(ctx, limit),
        REFERERS.find(ctx, limit),
        DEVICES.find(ctx, limit),
    )
    count, visitors, last_at = totals.rows[0]
    data = LinkStats(
        link_id=link.id,
        short_code=link.code,
        destination_url=link.url,
        clicks=count,
        visitors=visitors,
        last_click_at=None if last_at is None else ctx.period.iso(last_at),
        timeseries=series[1],
        countries=countries[1],
        referers=referers[1],
        devices=devices[1],
    )
    return ctx.answer(data, totals, uniques=(visitors, *(point.visitors for point in data.timeseries)))


REPORT = Report(
    name="link",
    path="/api/v1/analytics/links/{id:str}",
    title="One link",
    description="The clicks of a link over time, by country, by referrer and by device. "
    "The lists and the series are those of the reports of these names.",
    params=LinkParams,
    data=LinkStats,
    run=_run,
)
