"""What can be counted: the ONE list of metrics, which the documentation is made from too.

A metric is an expression over the measures of `catalog.measures`, so that it is the same of events
and of rollups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from footfall.model.cubes import MEASURES, money
from footfall.query.catalog.measures import NEW, NUMBERS, Expression, Measured

_NO_ENGAGEMENT = "event_type != 'engagement'"

Unit = Literal["count", "uniques", "ratio", "seconds", "number", "money", "time"]

CONVERSION = "event_type = 'conversion'"
IMPRESSION = "event_type = 'widget_impression'"
WIDGET_CLICK = "event_type = 'widget_click'"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure.

    `meaning` and `differs` are for the documentation: what is counted, and how Plausible, Umami
    or Google Analytics 4 count otherwise. `sql` is None for what is not an expression over
    measures: the figures of whole sessions (`over_sessions`, over rows with `visits`, and of these the
    `bounces`, `views` and `seconds`), and `percentage`.
    `whatever_bots`: it is about bots, so it is not restricted to what is none.
    """

    name: str
    unit: Unit
    meaning: str
    differs: str
    sql: Expression | None
    over_sessions: str = ""
    whatever_bots: bool = False
    only_of_events: bool = False


def _count(only: str = "") -> Expression:
    return lambda m: f"toUInt64(round({m('events', only)}))"


def _ratio(above: str, below: str) -> str:
    return f"if({below} = 0, NULL, {above} / {below})"


def _per_visit(what: str) -> str:
    return f"sum({what}) / nullIf(sum(visits), 0)"


def _measured(name: str) -> Expression:
    return lambda m: m(name)


def _visitors(m: Measured) -> str:
    return m("visitors")


def _converted(m: Measured) -> str:
    return _ratio(m("visitors", CONVERSION), m("visitors"))


_LIST = (
    Metric(
        "events",
        "count",
        "Events of all types but `engagement`, each as many times as its `sample_weight` says (1 unless a "
        "client samples).",
        "Plausible counts page views and custom events; GA4's event count includes its automatic events.",
        _count(_NO_ENGAGEMENT),
    ),
    Metric(
        "clicks",
        "count",
        "Events of type `click`: visits to short links. HEAD requests and prefetches are not counted.",
        "Dub counts a visitor's repeated clicks within an hour once; here each one counts, see `visitors`.",
        _count("event_type = 'click'"),
    ),
    Metric(
        "human_clicks",
        "count",
        "Clicks that are not a bot's, whether the answer includes bots or not.",
        "Dub and Bitly leave bots out and have no figure with them.",
        _count("event_type = 'click' AND NOT is_bot"),
    ),
    Metric(
        "unique_clicks",
        "uniques",
        "First clicks of a visitor on a link in a day (UTC): the different visitors of each link and day, "
        "added up. A click of nobody known is none.",
        "Bitly and Rebrandly have unique clicks, of whatever time; Dub's clicks are unique within an hour.",
        lambda m: m("unique_clicks"),
    ),
    Metric(
        "pageviews",
        "count",
        "Events of type `page_view`.",
        "The same in Plausible, Umami (views) and GA4 (views).",
        _count("event_type = 'page_view'"),
    ),
    Metric(
        "impressions",
        "count",
        "Events of type `widget_impression`.",
        "Plausible, Umami and GA4 have no such metric.",
        _count(IMPRESSION),
    ),
    Metric(
        "viewable_impressions",
        "count",
        "Impressions of which `viewport_percent` was at least 50. Impressions that do not say count as not.",
        "Plausible, Umami and GA4 have no such metric; the threshold is that of the Media Rating Council.",
        lambda m: f"toUInt64(round({m('viewable')}))",
    ),
    Metric(
        "widget_clicks",
        "count",
        "Events of type `widget_click`.",
        "Plausible, Umami and GA4 have no such metric.",
        _count(WIDGET_CLICK),
    ),
    Metric(
        "ctr",
        "ratio",
        "widget_clicks / impressions; null without impressions. 0.05 is 5 %.",
        "Plausible, Umami and GA4 have no such metric.",
        lambda m: _ratio(m("events", WIDGET_CLICK), m("events", IMPRESSION)),
    ),
    Metric(
        "visitors",
        "uniques",
        "Different visitors. Without an id of its own a visitor is a device (address and browser, hashed "
        "with a salt of the day): over several days such visitors add up, which `meta.warnings` says. One "
        "whose visit goes on over midnight (UTC) is the same until it ends.",
        "Plausible adds daily visitors up too, without saying so; Umami's salt lives a month; GA4 counts "
        "users by cookie.",
        _visitors,
    ),
    Metric(
        NEW,
        "uniques",
        "Visitors with an id of their own (a client's, which lasts) of whom the first event at the sites "
        "asked about is one of these: each is new once, in the group of that event. Who is recognised for a "
        "day only is not among them, and `meta.warnings` says of how many events that is. Known as far back "
        "as events are kept: who was there only before counts as new; then `meta.exact` is false.",
        "As GA4's new users, by the first_visit event of a cookie; Plausible and Umami have none.",
        _measured(NEW),
        only_of_events=True,
    ),
    Metric(
        "sessions",
        "uniques",
        "Different visits with at least one event here: a visit ends after 30 minutes without an event. "
        "One that touches two groups (two days, two pages) counts in both. Midnight (UTC), when the salt "
        "changes, cuts none.",
        "Plausible and Umami call it visits; Umami's last up to an hour of the clock; GA4 starts one only "
        "with its session_start event.",
        lambda m: m("sessions"),
    ),
    Metric(
        "views_per_session",
        "number",
        "Page views per visit, of visits with at least one event here; null without visits.",
        "As Plausible's views_per_visit; GA4 divides by sessions with an engagement.",
        None,
        over_sessions=_per_visit("views"),
    ),
    Metric(
        "bounce_rate",
        "ratio",
        "Share of visits with exactly one event, be it a click or a page view; null without visits.",
        "Plausible: visits with one page view and no interactive custom event, in percent; GA4: sessions "
        "that were not engaged (10 s, two views or a key event); Umami: visits with one view.",
        None,
        over_sessions=_per_visit("bounces"),
    ),
    Metric(
        "exit_rate",
        "ratio",
        "Visits that ended on the page / views of it, by `exit_page` or `page_path`; without either, visits "
        "/ page views. Null without views. A question with it names no goal, and not both of these pages.",
        "As Plausible, which shows percent and has it by exit page only; GA4 divides by sessions.",
        None,
    ),
    Metric(
        "session_duration",
        "seconds",
        "Mean time between the first and the last event of a visit within the range, `engagement` aside; a "
        "visit with one event lasts 0 s; null without visits.",
        "As Plausible's visit_duration and Umami's average visit time; GA4 shows engaged time.",
        None,
        over_sessions=_per_visit("seconds"),
    ),
    Metric(
        "conversions",
        "count",
        "Events of type `conversion`.",
        "Plausible's goals count any event that was made a goal; GA4 calls them key events.",
        _count(CONVERSION),
    ),
    Metric(
        "conversion_rate",
        "ratio",
        "Visitors who converted / all visitors of the same filters without the goal. The goal is what the "
        "question filters or groups by: `goal`, `event_type`, and properties. Where it names none, the goal "
        "is a `conversion`, and each row is of its own visitors. Null without visitors.",
        "As Plausible, which shows percent, and refuses it without a goal; GA4 has a rate by session and one "
        "by user.",
        _converted,
    ),
    Metric(
        "group_conversion_rate",
        "ratio",
        "Visitors of the row who converted / all visitors of the row without the goal; `conversion_rate` "
        "divides by those of all rows instead.",
        "As Plausible, which shows percent.",
        _converted,
    ),
    Metric(
        "revenue",
        "money",
        "Sum of `value_minor` of conversions, by currency, in the currency's minor unit: "
        '{"EUR": 1250} is 12.50 euro. Currencies are never added up or converted.',
        "Plausible and GA4 convert to one currency of the site.",
        lambda m: money(m("revenue")),
    ),
    Metric(
        "average_revenue",
        "money",
        "Revenue / conversions that name a value, by currency, in the currency's minor unit, rounded down.",
        "Plausible converts to one currency of the site.",
        lambda m: f"mapApply((k, v) -> (k, intDiv(v, toInt128(({m('sales')})[k]))), {money(m('revenue'))})",
        only_of_events=True,
    ),
    Metric(
        "time_on_page",
        "seconds",
        "Sum of `engagement_time` (ms) of `engagement` events / visits that have one; null without any.",
        "As Plausible's time_on_page since engagement events; GA4's average engagement time is by user.",
        lambda m: _ratio(f"{m('engaged')} / 1000", m("engaged_visits")),
        only_of_events=True,
    ),
    Metric(
        "scroll_depth",
        "number",
        "Mean over visits of the deepest `scroll_depth` (percent of the page) that an `engagement` event "
        "says; null without any.",
        "As Plausible's scroll_depth, which needs a page; here without one it is of the deepest page.",
        lambda m: f"if(length({m('depths')}) = 0, NULL, arrayAvg(mapValues({m('depths')})))",
        only_of_events=True,
    ),
    Metric(
        "bot_share",
        "ratio",
        "Events of bots / events of bots and others (but `engagement`), whether the answer includes bots or "
        "not.",
        "Plausible, Umami and GA4 drop bots and cannot tell.",
        lambda m: _ratio(m("events", f"is_bot AND {_NO_ENGAGEMENT}"), m("events", _NO_ENGAGEMENT)),
        whatever_bots=True,
    ),
    Metric(
        "unique_countries",
        "uniques",
        "Different countries of these events; unknown is none.",
        "Plausible, Umami and GA4 do not show it as a figure.",
        lambda m: m("countries"),
    ),
    Metric(
        "unique_referrers",
        "uniques",
        "Different referring hosts of these events; direct is none.",
        "Plausible, Umami and GA4 do not show it as a figure.",
        lambda m: m("referrers"),
    ),
    Metric(
        "links",
        "uniques",
        "Links with at least one click.",
        "Only Dub has links.",
        lambda m: m("links"),
    ),
    Metric(
        "percentage",
        "ratio",
        "Visitors of this row / visitors of all rows together (each visitor counted once).",
        "As Plausible, which shows percent.",
        None,
    ),
    Metric(
        "share",
        "ratio",
        "Visitors of this row / visitors of all rows with its value of the first dimension, of a day say.",
        "Plausible has percentages of all rows only.",
        None,
    ),
    Metric(
        "last_at",
        "time",
        "When the last of these events occurred.",
        "Plausible, Umami and GA4 do not show it as a figure.",
        lambda m: m("last_at"),
        only_of_events=True,
    ),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _LIST}
"""Every metric that can be asked for, by its name."""

KNOWN_METRICS: Mapping[str, Metric] = METRICS | {
    name: Metric(
        name,
        "count",
        f"Events whose `{field}` is a number.",
        "",
        _measured(name),
        only_of_events=name not in MEASURES,
    )
    for field, name in NUMBERS.items()
}
"""Those, and what reports ask beside them."""


def measures_of(metric: Metric) -> tuple[str, ...]:
    """The measures that a metric is made of."""
    return tuple(dict.fromkeys(name for name, _ in _used(metric)))


def tells_events_apart(metric: Metric) -> bool:
    """Whether a metric takes measures of some of the events only, of a type say."""
    return any(only for _, only in _used(metric))


def _used(metric: Metric) -> Sequence[tuple[str, str]]:
    """The measures, each with of which rows."""
    used: list[tuple[str, str]] = []

    def note(name: str, only: str = "") -> str:
        used.append((name, only))
        return "0"

    if metric.sql:
        metric.sql(note)
    return used
