"""One link: its totals, its clicks over time, and where they came from."""

import asyncio
from typing import Annotated, Any

from msgspec import Meta, defstruct

from footfall.errors import NotFound
from footfall.query.language.params import MAX_LIMIT, BucketParams
from footfall.query.language.question import is_
from footfall.query.reporting.report import Answer, Context, Report
from footfall.query.reports.places import CLICKS_BY_COUNTRY
from footfall.query.reports.referers import CLICKS_BY_REFERER
from footfall.query.reports.technology import CLICKS_BY_DEVICE
from footfall.query.reports.timeseries import POINTS

LinkStats = defstruct(
    "LinkStats",
    [
        ("link_id", str),
        ("short_code", str),
        ("destination_url", str),
        ("title", str),
        ("clicks", int),
        ("visitors", int),
        ("last_click_at", Annotated[str | None, Meta(description="The last click in the range.")]),
        ("timeseries", list[POINTS.struct]),
        ("countries", list[CLICKS_BY_COUNTRY.struct]),
        ("referers", list[CLICKS_BY_REFERER.struct]),
        ("devices", list[CLICKS_BY_DEVICE.struct]),
    ],
    namespace={"__doc__": "The link as it is now, and its figures in the range."},
    frozen=True,
)


class LinkParams(BucketParams, frozen=True, kw_only=True):
    """A time series, and lists beside it."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Most rows in each list.")] = 100


async def _run(ctx: Context[LinkParams]) -> Answer[Any]:
    link = await ctx.find_link(ctx.workspace_id, ctx.path["id"])
    if link is None:
        raise NotFound("there is no such link")
    ctx = ctx.narrowed(is_("link_id", link.id))
    limit = ctx.params.limit
    clicks = is_("event_type", "click")
    totals, series, countries, referers, devices = await asyncio.gather(
        ctx.ask(ctx.question("clicks", "visitors", "last_at", filters=(clicks,))),
        POINTS.find(ctx),
        CLICKS_BY_COUNTRY.find(ctx, limit),
        CLICKS_BY_REFERER.find(ctx, limit),
        CLICKS_BY_DEVICE.find(ctx, limit),
    )
    count, visitors, last_at = totals.rows[0]
    data = LinkStats(
        link.id,
        link.code,
        link.url,
        link.title,
        count,
        visitors,
        None if last_at is None else ctx.period.iso(last_at),
        POINTS.made(series[1]),
        CLICKS_BY_COUNTRY.made(countries[1]),
        CLICKS_BY_REFERER.made(referers[1]),
        CLICKS_BY_DEVICE.made(devices[1]),
    )
    lists = (series, countries, referers, devices)
    different = (row["visitors"] for _, rows in lists for row in rows)
    return ctx.answer(data, totals, *(found for found, _ in lists), uniques=(visitors, *different))


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
