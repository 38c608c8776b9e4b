"""Widgets over time: how often they were seen and clicked."""

from footfall.query.language.params import StatsBucketParams
from footfall.query.reporting.series import Series
from footfall.query.reports.widgets import FIGURES, NAMED, RATES, TYPES

REPORT = Series(
    row="WidgetPoint", about="One bucket.", figures=FIGURES, derived=RATES, types=TYPES, where=NAMED
).report(
    name="widgets_timeseries",
    path="/v1/stats/widgets/timeseries",
    title="Widgets over time",
    description="Impressions and clicks of all widgets that the filters leave, in each bucket.",
    params=StatsBucketParams,
)
