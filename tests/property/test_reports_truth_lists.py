"""The lists and the widgets against plain Python, to the last number, over a real store."""

import json
from collections import defaultdict
from datetime import datetime
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.console import open_console
from tests.truth import EVERYTHING, PAGES, WIDGETS, different, prop
from tests.truth_cases import FILTERS, cases, examples

MOST = ["-visitors", "-events"]
COUNTRY = {"country_code": "country_code", "country": "country"}
UTMS = [
    ("source", "sources"),
    ("medium", "mediums"),
    ("campaign", "campaigns"),
    ("term", "terms"),
    ("content", "contents"),
]

# The columns of `by` with the fields, the figures, the order; what events, and what may not be empty.
LISTS = {
    "pages": (
        {"page_path": "page_path"},
        {"pageviews": "pageviews", "visitors": "visitors"},
        ["-pageviews"],
        ["page_view"],
        ["page_path"],
    ),
    "links": (
        {"link_id": "link_id", "short_code": "short_code"},
        {"clicks": "clicks", "visitors": "visitors"},
        ["-clicks"],
        ["click"],
        ["link_id"],
    ),
    "browsers": ({"browser": "browser"}, EVERYTHING, MOST, [], []),
    "os": ({"os": "os"}, EVERYTHING, MOST, [], []),
    "regions": (COUNTRY | {"region": "region"}, EVERYTHING, MOST, [], []),
    "cities": (COUNTRY | {"region": "region", "city": "city"}, EVERYTHING, MOST, [], []),
    "languages": ({"language": "language"}, EVERYTHING, MOST, [], []),
    "channels": ({"channel": "channel"}, EVERYTHING, MOST, [], []),
    **{
        f"utm-{plural}": ({f"utm_{name}": f"utm_{name}"}, EVERYTHING, MOST, [], [f"utm_{name}"])
        for name, plural in UTMS
    },
    "events": (
        {"event_type": "event_type"},
        {"events": "events", "visitors": "visitors", "sessions": "sessions"},
        ["-events"],
        [],
        [],
    ),
    "orphan-clicks": (
        {"domain": "hostname", "short_code": "short_code"},
        {"clicks": "events", "visitors": "visitors", "last_at": "last_at"},
        ["-clicks"],
        ["orphan_click"],
        [],
    ),
}

RATED = {
    "impressions": "impressions",
    "viewable_impressions": "viewable",
    "clicks": "widget_clicks",
    "unique_visitors": "visitors",
}
RATED_POSTS = {
    "widget_impressions": "impressions",
    "viewable_impressions": "viewable",
    "widget_clicks": "widget_clicks",
    "unique_visitors": "visitors",
}


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as opened:
        yield opened


def same_instants(rows):
    """Times as instants, without titles: what they are is another test's."""
    return [
        {name: value for name, value in row.items() if name != "title"}
        | ({"last_at": datetime.fromisoformat(row["last_at"])} if "last_at" in row else {})
        for row in rows
    ]


@examples
@given(data=st.data())
def test_lists_are_those_of_plain_python(console, data):
    case = data.draw(cases(console))
    for report, (by, figures, order, types, known) in LISTS.items():
        expected = case.truth.listed(by, figures, order, types=types, known=known)
        answer = case.ask(report, limit=1000)
        assert same_instants(answer["data"]) == same_instants(expected), report
        assert answer["meta"]["total"] == len(expected)


@examples
@given(data=st.data())
def test_bots_and_networks_are_those_of_plain_python(console, data):
    case = data.draw(cases(console))
    by = {"bot_name": "bot_name", "bot_category": "bot_category"}
    figures = {name: name for name in ("events", "clicks", "pageviews")}
    expected = case.truth.listed(by, figures, ["-events"], events=case.truth.robots)
    answer = case.ask("bots")
    assert answer["data"] == expected
    assert answer["meta"]["bots"] == "only"
    networks = case.truth.listed({"asn": "asn"}, EVERYTHING, MOST)
    assert case.ask("networks")["data"] == [row | {"organisation": None} for row in networks]


@examples
@given(data=st.data())
def test_entry_and_exit_pages_are_those_of_plain_python(console, data):
    pages = [("entry_page", "entry_page", PAGES), ("exit_page", "exit_page", PAGES)]
    case = data.draw(cases(console, [*FILTERS, *(pages * 4)]))
    truth = case.truth
    visited = [event for event in truth.events if event["session_id"] in truth.visits]
    for report, name, figures in (
        ("entry-pages", "entry_page", ["sessions", "visitors", "bounce_rate"]),
        ("exit-pages", "exit_page", ["sessions", "visitors"]),
    ):
        expected = truth.listed({name: name}, {each: each for each in figures}, ["-sessions"], events=visited)
        answer = case.ask(report)["data"]
        assert [row | {"bounce_rate": 0} for row in answer] == [row | {"bounce_rate": 0} for row in expected]
        if "bounce_rate" in figures:
            for row, right in zip(answer, expected, strict=True):
                assert row["bounce_rate"] == pytest.approx(right["bounce_rate"])


@examples
@given(data=st.data())
def test_properties_are_those_of_plain_python(console, data):
    case = data.draw(cases(console))
    carriers = defaultdict(list)
    for event in case.truth.events:
        for name in json.loads(event["properties"] or "{}"):
            carriers[name].append(event)
    expected = [
        {
            "property": name,
            "events": len(events),
            "visitors": different(events, "visitor_id"),
            "values": len({prop(event, name) for event in events}),
        }
        for name, events in carriers.items()
    ]
    expected.sort(key=lambda row: (-row["events"], row["property"]))
    answer = case.ask("properties")
    assert answer["data"] == expected
    assert answer["meta"]["total"] == len(expected)
    assert case.ask("properties", limit=2, offset=2)["data"] == expected[2:4]
    for name in ("plan", "mapping_id", "big", "half", "yes", "nested", "empty", "none"):
        values = case.truth.listed(
            {"value": f"property:{name}"},
            {"events": "events", "visitors": "visitors"},
            ["-events"],
            known=["value"],
        )
        assert case.ask("properties/values", property=name)["data"] == values, name


def rated(row, clicks, impressions):
    """The row with its rate, and the ends of the interval: where |rate - p| is z standard errors of p."""
    hits, seen = row[clicks], row[impressions]
    rate, z = hits / seen if seen else None, 1.959963984540054
    low = high = None
    if seen and hits <= seen:
        a, b, c = seen + z * z, -(2 * hits + z * z), seen * rate * rate
        reach = sqrt(max(0, b * b - 4 * a * c))
        low, high = (-b - reach) / (2 * a), (-b + reach) / (2 * a)
    approx = pytest.approx
    return row | {
        "ctr": rate,
        "ctr_low": None if low is None else approx(low, abs=1e-9),
        "ctr_high": None if high is None else approx(high, abs=1e-9),
    }


@examples
@given(data=st.data())
def test_widgets_and_posts_are_those_of_plain_python(console, data):
    case = data.draw(cases(console))
    parts = ["mapping_id", "post_id", "widget_index", "device_slug", "country_code", "device_type"]
    by = data.draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3, unique=True))
    for report, default, figures, needed in (
        ("widgets", ["mapping_id", "device_slug"], RATED, "mapping_id"),
        ("posts", ["post_id"], RATED_POSTS, "post_id"),
    ):
        names = list(figures)
        named = [event for event in case.truth.events if prop(event, needed)]
        for asked, chosen in ({}, default), ({"by": ",".join(by)}, by):
            expected = case.truth.listed(
                {name: name for name in chosen}, figures, [f"-{names[2]}"], types=WIDGETS, events=named
            )
            answer = case.ask(report, "/v1/stats/", limit=1000, **asked)
            assert answer["data"] == [rated(row, names[2], names[0]) for row in expected]
            assert answer["meta"]["total"] == len(expected)
        series = case.truth.timeseries("day", figures, types=WIDGETS, known=[needed])
        rows = case.ask(f"{report}/timeseries", "/v1/stats/", interval="day")["data"]
        expected = [rated(row, names[2], names[0]) for row in series.values()]
        assert [{name: row[name] for name in row if name != "bucket"} for row in rows] == expected


@examples
@given(data=st.data())
def test_device_pages_are_those_of_plain_python(console, data):
    case = data.draw(cases(console))
    fields = {
        name: f"property:{name}" for name in ("brand", "device_id", "view_source", "referrer_mapping_id")
    }
    fields["device_slug"] = "device_slug"
    by = data.draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3, unique=True))
    for asked, chosen in ({}, ["device_slug", "brand"]), ({"by": ",".join(by)}, by):
        expected = case.truth.listed(
            {name: fields[name] for name in chosen},
            {"views": "events", "unique_visitors": "visitors"},
            ["-views"],
            types=["device_page_view"],
        )
        assert case.ask("devices", "/v1/stats/", limit=1000, **asked)["data"] == expected
