"""Events of one type, or of all, over time."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.params import StatsBucketParams
from footfall.query.report import Answer, Context, Report
from footfall.query.reports.timeseries import over_time


class Count(Struct, frozen=True):
    """One bucket."""

    bucket: Annotated[str, Meta(description="When it begins, with the offset of the zone asked for.")]
    count: Annotated[int, Meta(description="Events, of the type asked for or of all.")]
    unique_visitors: Annotated[int, Meta(description="Different visitors; buckets do not add up.")]


async def _run(ctx: Context[StatsBucketParams]) -> Answer[list[Count]]:
    found, rows = await over_time(ctx, ctx.params.interval, "events", "visitors")
    data = [Count(*row) for row in rows]
    return ctx.answer(data, found, uniques=(row.unique_visitors for row in data))


REPORT = Report(
    name="stats_timeseries",
    path="/v1/stats/timeseries",
    title="Events over time",
    description="One row for each hour, day, week, month or year of the range, also for those without "
    "events; all event types unless `event_type` names one.",
    params=StatsBucketParams,
    data=list[Count],
    run=_run,
)
