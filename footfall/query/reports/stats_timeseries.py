"""Events of one type, or of all, over time."""

from footfall.query.language.params import StatsBucketParams
from footfall.query.reporting.columns import ReportColumn
from footfall.query.reporting.series import Series

REPORT = Series(
    row="Count",
    about="One bucket.",
    figures=(
        ReportColumn("count", "events", "Events, of the type asked for or of all."),
        ReportColumn("unique_visitors", "visitors", "Different visitors; buckets do not add up."),
    ),
).report(
    name="stats_timeseries",
    path="/v1/stats/timeseries",
    title="Events over time",
    description="One row for each hour, day, week, month or year of the range, also for those without "
    "events; all event types unless `event_type` names one.",
    params=StatsBucketParams,
)
