"""Widgets: how often they were seen and clicked."""

from typing import Annotated, Literal

from msgspec import Meta

from footfall.query.catalog.measures import NUMBERS
from footfall.query.language.params import StatsBucketParams, StatsListParams
from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By, Derived, ReportColumn, Values
from footfall.query.reporting.listing import Listing
from footfall.query.reporting.series import Series
from footfall.query.reporting.wilson import wilson

Part = Literal["mapping_id", "post_id", "widget_index", "device_slug", "country_code", "device_type"]

TYPES = ("widget_impression", "widget_click")

SENT = "As it was sent: a number or text; where some events have the one and some the other, a number."

BY: tuple[By, ...] = (
    By("mapping_id", SENT, type=str | int | float, numbers=NUMBERS["mapping_id"]),
    By("post_id", SENT, type=str | int | float, numbers=NUMBERS["post_id"]),
    By("widget_index", "Position of the widget in the post, as text; clicks often do not say it."),
    By("device_slug", "The device that the widget is about."),
    By("country_code", "ISO 3166-1 alpha-2."),
    By("device_type", "The visitor's: desktop, mobile, tablet, ..."),
)


def rates(clicks: str, impressions: str) -> tuple[Derived, ...]:
    """The click-through rate of two columns of these names, with how sure it is."""

    def rate(row: Values) -> float | None:
        return row[clicks] / row[impressions] if row[impressions] else None

    def low(row: Values) -> float | None:
        interval = wilson(row[clicks], row[impressions])
        return interval[0] if interval else None

    def high(row: Values) -> float | None:
        interval = wilson(row[clicks], row[impressions])
        return interval[1] if interval else None

    kind = float | None
    bound = "end of its 95 % interval (Wilson); null without impressions or with more clicks than these."
    return (
        Derived("ctr", kind, "clicks / impressions: 0.05 is 5 %; null without impressions.", rate),
        Derived("ctr_low", kind, f"Lower {bound}", low),
        Derived("ctr_high", kind, f"Upper {bound}", high),
    )


VIEWABLE = ReportColumn("viewable_impressions", "viewable_impressions")
VISITORS = ReportColumn("unique_visitors", "visitors", "Different visitors who saw or clicked it.")
FIGURES = (
    ReportColumn("impressions", "impressions"),
    VIEWABLE,
    ReportColumn("clicks", "widget_clicks"),
    VISITORS,
)
RATES = rates("clicks", "impressions")
NAMED = (is_not("mapping_id", ""),)


class WidgetParams(StatsListParams, frozen=True, kw_only=True):
    """A list of widgets, and what makes one."""

    by: Annotated[tuple[Part, ...], Meta(description="What to group by, separated by commas.")] = (
        "mapping_id",
        "device_slug",
    )


WIDGETS = Listing(
    row="Widget",
    about='One widget. Only the parts that were asked for with `by` are there; "" is unknown.',
    by=BY,
    figures=FIGURES,
    derived=RATES,
    types=TYPES,
    where=NAMED,
    order_by=("-clicks",),
    choose=True,
).report(
    name="widgets",
    path="/v1/stats/widgets",
    title="Widgets",
    description="Impressions and clicks of widgets by mapping and device, or by what `by` names; the "
    "visitors are those who saw or clicked one. Viewable: at least half of it was on the screen.",
    params=WidgetParams,
)


WIDGETS_TIMESERIES = Series(
    row="WidgetPoint",
    about="One bucket.",
    figures=FIGURES,
    derived=RATES,
    types=TYPES,
    where=NAMED,
    dates=True,
).report(
    name="widgets_timeseries",
    path="/v1/stats/widgets/timeseries",
    title="Widgets over time",
    description="Impressions and clicks of all widgets that the filters leave, in each bucket.",
    params=StatsBucketParams,
)
