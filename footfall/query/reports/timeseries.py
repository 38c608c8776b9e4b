"""Clicks, events and visitors over time."""

from footfall.query.language.params import BucketParams
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

REPORT = POINTS.report(
    name="timeseries",
    path="/api/v1/analytics/timeseries",
    title="Clicks, events and visitors over time",
    description="One row for each hour, day, week, month or year of the range in the zone asked for, "
    "also for those without events. `partial` marks those that the range cuts off or that are not over.",
    params=BucketParams,
)
