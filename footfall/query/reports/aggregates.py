"""Clicks by link and bucket, as tables of aggregates have them."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from footfall.query.language.params import MAX_OFFSET, BucketParams
from footfall.query.language.question import TIME, is_, is_not
from footfall.query.reporting.report import Answer, Context, Report

_MOST = 100
_COUNTRIES = 5
_MOST_COUNTRIES = 300  # of one row: more codes than there are


class TopCountry(Struct, frozen=True):
    """One country."""

    country: Annotated[str, Meta(description='ISO 3166-1 alpha-2; "" when unknown.')]
    clicks: int


class Aggregate(Struct, frozen=True, kw_only=True):
    """The clicks of one link in one bucket."""

    workspace_id: str = field(name="workspaceId")
    link_id: str = field(name="linkId")
    bucket: Literal["hour", "day", "week", "month", "year"]
    bucket_start: str
    bucket_end: Annotated[str, Meta(description="When the next bucket begins.")]
    clicks: int = field(name="totalClicks")
    unique_clicks: Annotated[
        int, Meta(description="First clicks of a visitor on the link in a day (UTC).")
    ] = field(name="uniqueClicks")
    human_clicks: Annotated[int, Meta(description="Clicks that are not a bot's.")] = field(name="humanClicks")
    visitors: int = field(name="uniqueVisitors")
    sessions: int = field(name="uniqueSessions")
    countries: Annotated[
        list[TopCountry], Meta(description=f"The {_COUNTRIES} with most clicks, most first.")
    ] = field(name="topCountries")


class AggregateParams(BucketParams, frozen=True, kw_only=True):
    """Buckets, and which of the rows."""

    limit: Annotated[int, Meta(ge=1, le=_MOST, description="Most rows in the answer.")] = _MOST
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Rows to skip.")] = 0


async def _run(ctx: Context[AggregateParams]) -> Answer[list[Aggregate]]:
    buckets = ctx.buckets()
    ends = dict(zip(buckets, ctx.ends(buckets), strict=True))
    clicks = (is_("event_type", "click"), is_not("link_id", ""))
    found = await ctx.ask(
        ctx.question(
            "clicks",
            "unique_clicks",
            "human_clicks",
            "visitors",
            "sessions",
            by=(TIME, "link_id"),
            filters=clicks,
            buckets=buckets,
            order_by=(TIME, "-clicks", "link_id"),
            limit=ctx.params.limit,
            offset=ctx.params.offset,
        )
    )
    links = {row[1] for row in found.rows}
    countries: dict[tuple[Any, ...], list[TopCountry]] = {}
    every = [found]
    if links:
        by_country = await ctx.ask(
            ctx.question(
                "clicks",
                by=(TIME, "link_id", "country_code"),
                filters=(*clicks, is_("link_id", *sorted(links))),
                buckets=buckets,
                order_by=("-clicks", "country_code", TIME, "link_id"),
                limit=len(buckets) * len(links) * _MOST_COUNTRIES,
            )
        )
        every.append(by_country)
        for start, link, code, count in by_country.rows:
            top = countries.setdefault((start, link), [])
            if len(top) < _COUNTRIES:
                top.append(TopCountry(code, count))
    data = [
        Aggregate(
            workspace_id=ctx.workspace_id,
            link_id=row[1],
            bucket=ctx.interval,
            bucket_start=ctx.period.iso(row[0]),
            bucket_end=ctx.period.iso(ends[row[0]]),
            clicks=row[2],
            unique_clicks=row[3],
            human_clicks=row[4],
            visitors=row[5],
            sessions=row[6],
            countries=countries.get((row[0], row[1]), []),
        )
        for row in found.rows
    ]
    uniques = (count for row in data for count in (row.visitors, row.sessions, row.unique_clicks))
    return ctx.answer(data, *every, uniques=uniques, total=found.total)


REPORT = Report(
    name="aggregates",
    path="/api/v1/analytics/aggregates",
    title="Clicks by link and bucket",
    description="Of each link that was clicked in an hour, day, week, month or year: total, unique and human "
    "clicks, visitors, sessions and its top countries. Buckets without a click are left out.",
    params=AggregateParams,
    data=list[Aggregate],
    run=_run,
)
