"""Questions drawn from the whole grammar of the query language, about made-up workspaces."""

import json
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

from hypothesis import strategies as st

from tests.query_events import (
    DAY,
    FREE,
    NUMBERS,
    ODD_TEXTS,
    PROPERTIES,
    TEXT,
    VISITS,
    columns_of,
    make_visits,
)
from tests.query_truth import RATES, WEEKDAYS, Range, Truth, named_goal, nothing

# Days around changes of the clock: Berlin 30 March, St. John's 9 March, Lord Howe 6 April,
# Berlin 26 October, St. John's 2 November 2025; and a leap day.
AROUND = ["2025-03-07", "2025-03-28", "2025-04-03", "2025-10-23", "2025-10-31", "2024-02-27"]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
]
DAYS = 8
EVENTS = 260
METRICS = [
    "events", "clicks", "pageviews", "impressions", "viewable_impressions", "widget_clicks", "ctr",
    "human_clicks", "unique_clicks",
    "visitors", "sessions", "views_per_session", "bounce_rate", "session_duration", "conversions",
    "conversion_rate", "revenue", "bot_share", "unique_countries", "unique_referrers", "links",
    "percentage", "last_at", "group_conversion_rate", "share", "average_revenue", "time_on_page",
    "scroll_depth", "new_visitors",
]  # fmt: skip
TIMES = ["time:hour", "time:day", "time:week", "time:month", "time:year"]
CLOCKS = ["time:weekday", "time:hour_of_day"]
DIMENSIONS = [*TEXT, *PROPERTIES, *FREE, *NUMBERS, "is_bot", *VISITS, "country"]
DIMENSIONS += ["referer_host", "event_referer_host", "tag"]
TAGS = ["spring", "it's a tag", "ünï"]
PATTERNS = ["^/", "pricing|m1", "[0-9]+", r"\.", "^$", "'", "ü", "Ünï", "(?:a)+", r"\\", "pro"]


class World:
    """What one workspace has, and the truth about it."""

    def __init__(self, console, number, first_day):
        self.console = console
        self.workspaces = [console.workspace(f"{name} {number}") for name in ("acme", "other")]
        self.links = [
            console.run(
                console.tenants.create_link(self.workspaces[number % 2], "https://example.com", tags=tags)
            )
            for number, tags in enumerate([TAGS[:2], TAGS[2:], TAGS[1:], [], ["spring"]])
        ]
        self.first_day = date.fromisoformat(first_day)
        first = round(datetime.combine(self.first_day, datetime.min.time(), UTC).timestamp() * 1000) - DAY
        ids = [link.id for link in self.links]
        everything = []
        for part, (start, count) in enumerate([(first, EVENTS), (first - 365 * DAY, EVENTS // 4)]):
            end = start + (DAYS + 2) * DAY
            place = number * 100_000 + part * 10_000
            events = make_visits(number * 2 + part, count, start, end, self.workspaces, ids, place)
            console.insert(columns_of(events))
            everything += events
        self.truths = []
        for workspace in self.workspaces:
            carried = {}
            for link in self.links:
                if link.workspace_id == workspace:
                    for tag in link.tags:
                        carried.setdefault(tag, []).append(link.id)
            self.truths.append(Truth(everything, workspace, carried))

    def ask(self, which, body):
        answer = self.console.post("/v1/query", body, self.console.key(self.workspaces[which], "read"))
        assert answer.status_code == 200, (answer.text, json.dumps(body))
        return answer.json()


def values_of(truth, name):
    """What a filter on a field could be about: values that occur, and others."""
    if name == "tag":
        return st.sampled_from([*TAGS, "none"])
    if name == "is_bot":
        return st.booleans()
    seen = {}
    for event in truth.events[:80]:
        seen[as_seen(truth, name, event)] = None
    if name in NUMBERS:
        return st.sampled_from([*seen, 2, 1.5])
    return st.sampled_from([*seen, *ODD_TEXTS])


def as_seen(truth, name, event):
    if name in VISITS:
        return event["page_path"]
    if name == "hostname":
        return urlsplit(event["page_url"]).hostname or ""
    if name.startswith("event_") and name not in event:
        return event[name.removeprefix("event_")]
    if name in PROPERTIES or name.startswith("property:"):
        value = event["parsed"].get(name.removeprefix("property:"), "")
        return value if isinstance(value, str) else json.dumps(value)
    return event[name]


@st.composite
def simple_filters(draw, truth, names):
    name = draw(st.sampled_from(names))
    operators = ["is", "is_not"]
    if name in NUMBERS:
        operators += ["gt", "gte", "lt", "lte"]
    elif name not in ("tag", "is_bot"):
        operators += ["contains", "contains_not", "matches", "matches_not", "gt", "lte"]
    operator = draw(st.sampled_from(operators))
    if operator in ("gt", "gte", "lt", "lte"):
        return [operator, name, [draw(st.sampled_from([0, 1, 2, 10, 64512, -2.5]))]]
    if operator.startswith("matches"):
        values = draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3))
    else:
        values = draw(st.lists(values_of(truth, name), min_size=1, max_size=4))
        if operator.startswith("contains"):
            values = [value[: draw(st.integers(0, 5))] for value in values]
    modifier = draw(st.sampled_from([[], [], [{"case_sensitive": False}], [{"case_sensitive": True}]]))
    return [operator, name, values, *([] if name in ("tag", "is_bot", *NUMBERS) else modifier)]


def filters(truth):
    fields = [*TEXT, *PROPERTIES, *FREE, *NUMBERS, "is_bot"]
    of_events = st.recursive(
        simple_filters(truth, fields),
        _joined,
        max_leaves=3,
    )
    return st.recursive(
        st.one_of(
            simple_filters(truth, [*fields, *VISITS, "tag"]),
            st.tuples(st.sampled_from(["has_done", "has_not_done"]), of_events).map(list),
        ),
        _joined,
        max_leaves=4,
    )


def _joined(inner):
    return st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)).map(list),
        st.tuples(st.just("not"), inner).map(list),
    )


@st.composite
def ranges(draw, first_day):
    zone = draw(st.sampled_from(ZONES))
    first = first_day + timedelta(days=draw(st.integers(0, 3)))
    if draw(st.booleans()):
        return Range(zone, dates=(first, first + timedelta(days=draw(st.integers(0, 6)))))
    midnight = round(datetime.combine(first, datetime.min.time(), UTC).timestamp() * 1000)
    start = midnight + draw(st.integers(1, DAY))
    return Range(zone, instants=(start, start + draw(st.integers(1, 5 * DAY))))


def _ordered(metrics):
    """Those that all rows have an order by, whatever the question is."""
    return [name for name in metrics if name not in ("share", *RATES)] or ["events"][: "events" in metrics]


@st.composite
def bodies(draw, truth):
    metrics = draw(st.lists(st.sampled_from(METRICS), min_size=1, max_size=7, unique=True))
    dimensions = draw(st.lists(st.sampled_from([*DIMENSIONS, *CLOCKS, *CLOCKS]), max_size=3, unique=True))
    if draw(st.booleans()):
        dimensions = [*dimensions[:2], draw(st.sampled_from(TIMES))]
        dimensions = draw(st.permutations(dimensions))
    body = {"metrics": metrics, "dimensions": list(dimensions)}
    if chosen := draw(st.lists(filters(truth), max_size=2)):
        body["filters"] = chosen
    names = [*_ordered(metrics), *dimensions]
    if order := draw(st.lists(st.sampled_from(names), max_size=2, unique=True)) if names else []:
        body["order_by"] = [[name, draw(st.sampled_from(["asc", "desc"]))] for name in order]
    body["include"] = {
        "bots": draw(st.booleans()),
        "total_rows": True,
        "time_labels": draw(st.booleans()),
    }
    if draw(st.booleans()):
        body["week_start"] = draw(st.sampled_from(WEEKDAYS))
    if draw(st.integers(0, 3)) == 0:
        body["site_id"] = draw(st.sampled_from(["site_1", ["site_1", ""], ["site_2", "it's none"]]))
    return body


class Case:
    """One question, its range, and what must be answered."""

    def __init__(self, data, worlds):
        self.world = data.draw(st.sampled_from(worlds))
        self.which = data.draw(st.integers(0, 1))
        self.truth = self.world.truths[self.which]
        self.range = data.draw(ranges(self.world.first_day))
        self.body = data.draw(bodies(self.truth)) | {
            "date_range": self.range.written(),
            "timezone": self.range.name,
        }
        self.time = next((name for name in self.body["dimensions"] if name in TIMES), None)
        self.interval = self.time and self.time.removeprefix("time:")

    def ask(self, **more):
        return self.world.ask(self.which, self.body | more)

    def digits(self, when, at):
        return when.digits(at, self.interval, self.body.get("week_start", "monday"))

    def buckets(self, when):
        return when.buckets(self.interval, self.body.get("week_start", "monday"))

    def key(self, row, when):
        return tuple(
            self.digits(when, instant(value)) if name == self.time else value
            for name, value in zip(self.body["dimensions"], row["dimensions"], strict=True)
        )

    def expected(self, when):
        """What the answer about a range must have: by group; with time alone also the empty buckets."""
        found = self.truth.answer(self.body, when)
        dimensions = self.body["dimensions"]
        if dimensions == [self.time] or (len(dimensions) == 1 and dimensions[0] in CLOCKS):
            everybody = self.truth.everybody(self.body, when)
            buckets = self.buckets(when) if self.time else when.buckets(dimensions[0].removeprefix("time:"))
            found = {
                (bucket,): found.get((bucket,), self.empty(when, (bucket,), everybody)) for bucket in buckets
            }
        return found

    def by_time(self):
        return any(name in [*TIMES, *CLOCKS] for name in self.body["dimensions"])

    def empty(self, when, key, everybody):
        """What is answered of a group without events; `key`: of one in a list of buckets, else ()."""
        metrics = [nothing(name, everybody) for name in self.body["metrics"]]
        if named_goal(self.body):
            for place, name in enumerate(self.body["metrics"]):
                if name in RATES and (key or (name == "conversion_rate" and not self.by_time())):
                    of = self.truth._divided_by(self.body, when, name, key)
                    metrics[place] = 0.0 if of else None
        return metrics


def instant(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)
