"""One link: its totals, its clicks over time, and where they came from."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, defstruct
from msgspec.structs import replace

from footfall.errors import NotFound
from footfall.model.calendar import instant
from footfall.model.times import DAY_MS
from footfall.query.language.params import MAX_LIMIT, BucketParams
from footfall.query.language.periods import LAST_YEAR, Period
from footfall.query.language.question import Question, is_
from footfall.query.reporting.report import Answer, Context, Report
from footfall.query.reports.places import CLICKS_BY_COUNTRY
from footfall.query.reports.referers import CLICKS_BY_REFERER
from footfall.query.reports.technology import CLICKS_BY_DEVICE
from footfall.query.reports.timeseries import POINTS
from footfall.tenants.model import Link

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
    link_id = ctx.path["id"]
    link = await ctx.find_link(ctx.workspace_id, link_id) or await _link_of_events(ctx, link_id)
    if link is None:
        raise NotFound("there is no such link, and no event names one")
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


async def _link_of_events(ctx: Context[LinkParams], link_id: str) -> Link | None:
    """A link that we have not (any more), as events name it: of another redirect service, or deleted."""
    ever = Period(0, instant(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)), ctx.period.timezone)
    named = Question(
        workspace_id=ctx.workspace_id,
        period=ever,
        metrics=("events",),
        dimensions=("short_code",),
        where=is_("link_id", link_id),
        bots=None,
        order_by=("-events", "short_code"),
    )
    found = await ctx.ask(named)
    if not found.rows:
        return None
    until = replace(named, period=Period(0, max(ctx.asked.now + DAY_MS, ctx.period.end), "UTC"))
    newest = await ctx.engine.events(until, ("short_code", "destination_url"), ctx.timeout)
    code, url = newest[0] if newest else (found.rows[0][0], "")
    return Link(link_id, ctx.workspace_id, "", code or found.rows[0][0], url)


REPORT = Report(
    name="link",
    path="/api/v1/analytics/links/{id:str}",
    title="One link",
    description="The clicks of a link over time, by country, by referrer and by device. "
    "The lists and the series are those of the reports of these names. Also of ids that only events name, of "
    "another redirect service or of a deleted link.",
    params=LinkParams,
    data=LinkStats,
    run=_run,
)
