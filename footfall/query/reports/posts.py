"""Posts: how often the widgets in them were seen and clicked."""

from typing import Annotated

from msgspec import Meta

from footfall.query.language.params import StatsBucketParams, StatsListParams
from footfall.query.language.question import is_not
from footfall.query.reporting.columns import ReportColumn
from footfall.query.reporting.listing import Listing
from footfall.query.reporting.series import Series
from footfall.query.reports.widgets import BY, TYPES, VIEWABLE, VISITORS, Part, rates

FIGURES = (
    ReportColumn("widget_impressions", "impressions"),
    VIEWABLE,
    ReportColumn("widget_clicks", "widget_clicks"),
    VISITORS,
)
RATES = rates("widget_clicks", "widget_impressions")
NAMED = (is_not("post_id", ""),)


class PostParams(StatsListParams, frozen=True, kw_only=True):
    """A list of posts, or of parts of them."""

    by: Annotated[tuple[Part, ...], Meta(description="What to group by, separated by commas.")] = ("post_id",)


POSTS = Listing(
    row="Post",
    about='The widgets of a post. Only the parts that were asked for with `by` are there; "" is unknown.',
    by=BY,
    figures=FIGURES,
    derived=RATES,
    types=TYPES,
    where=NAMED,
    order_by=("-widget_clicks",),
    choose=True,
).report(
    name="posts",
    path="/v1/stats/posts",
    title="Posts",
    description="Impressions and clicks of the widgets in each post, or by what `by` names; events that "
    "name no post are left out.",
    params=PostParams,
)


POSTS_TIMESERIES = Series(
    row="PostPoint", about="One bucket.", figures=FIGURES, derived=RATES, types=TYPES, where=NAMED, dates=True
).report(
    name="posts_timeseries",
    path="/v1/stats/posts/timeseries",
    title="Posts over time",
    description="Impressions and clicks of the widgets in all posts that the filters leave, in each bucket.",
    params=StatsBucketParams,
)
