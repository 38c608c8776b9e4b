"""Posts over time: how often the widgets in them were seen and clicked."""

from footfall.query.language.params import StatsBucketParams
from footfall.query.reporting.series import Series
from footfall.query.reports.posts import FIGURES, NAMED, RATES
from footfall.query.reports.widgets import TYPES

REPORT = Series(
    row="PostPoint", about="One bucket.", figures=FIGURES, derived=RATES, types=TYPES, where=NAMED
).report(
    name="posts_timeseries",
    path="/v1/stats/posts/timeseries",
    title="Posts over time",
    description="Impressions and clicks of the widgets in all posts that the filters leave, in each bucket.",
    params=StatsBucketParams,
)
