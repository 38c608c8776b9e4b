"""Clicks, events and visitors over time."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from footfall.query.params import BucketParams, P
from footfall.query.periods import Interval
from footfall.query.report import Answer, Context, Found, Report


class Point(Struct, frozen=True):
    """One bucket."""

    bucket: Annotated[str, Meta(description="When it begins, with the offset of the zone asked for.")]
    clicks: Annotated[int, Meta(description="Events of type `click`.")]
    events: Annotated[int, Meta(description="Events of all types.")]
    visitors: Annotated[int, Meta(description="Different visitors of these events; buckets do not add up.")]


async def over_time(
    ctx: Context[P], interval: Interval, *metrics: str
) -> tuple[Found, list[tuple[Any, ...]]]:
    """Each bucket of the period, also the empty ones, as (start in ISO 8601, *metrics)."""
    buckets = ctx.period.buckets(interval)
    found = await ctx.ask(ctx.question(*metrics, by=("time",), buckets=buckets, limit=len(buckets)))
    by_start = {row[0]: row[1:] for row in found.rows}
    nothing = (0,) * len(metrics)
    return found, [(ctx.period.iso(start), *by_start.get(start, nothing)) for start in buckets]


async def points(ctx: Context[P], interval: Interval) -> tuple[Found, list[Point]]:
    """The series of this report, also part of the report about a link."""
    found, rows = await over_time(ctx, interval, "clicks", "events", "visitors")
    return found, [Point(*row) for row in rows]


async def _run(ctx: Context[BucketParams]) -> Answer[Sequence[Point]]:
    found, data = await points(ctx, ctx.params.interval)
    return ctx.answer(data, found, uniques=(point.visitors for point in data))


REPORT = Report(
    name="timeseries",
    path="/api/v1/analytics/timeseries",
    title="Clicks, events and visitors over time",
    description="One row for each hour, day, week, month or year of the range in the zone asked for, "
    "also for those without events. The first and the last may be cut off by the range.",
    params=BucketParams,
    data=list[Point],
    run=_run,
)
