"""Events over time."""

from footfall.query.language.params import BucketParams, StatsBucketParams
from footfall.query.reporting.columns import ReportColumn
from footfall.query.reporting.series import Series

POINTS = Series(
    row="Point",
    about="One bucket.",
    figures=(
        ReportColumn("clicks", "clicks"),
        ReportColumn("events", "events"),
        ReportColumn("visitors", "visitors", "Different visitors of these events; buckets do not add up."),
    ),
)

TIMESERIES = POINTS.report(
    name="timeseries",
    path="/api/v1/analytics/timeseries",
    title="Clicks, events and visitors over time",
    description="One row for each hour, day, week, month or year of the range in the zone asked for, "
    "also for those without events. `partial` marks those that the range cuts off or that are not over.",
    params=BucketParams,
)


STATS_TIMESERIES = Series(
    row="Count",
    about="One bucket.",
    figures=(
        ReportColumn("count", "events", "Events, of the type asked for or of all."),
        ReportColumn("unique_visitors", "visitors", "Different visitors; buckets do not add up."),
    ),
    dates=True,
).report(
    name="stats_timeseries",
    path="/v1/stats/timeseries",
    title="Events over time",
    description="One row for each hour, day, week, month or year of the range, also for those without "
    "events; all event types unless `event_type` names one.",
    params=StatsBucketParams,
)
