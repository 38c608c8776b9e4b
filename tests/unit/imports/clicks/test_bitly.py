"""Lines of bitly's click files: what is read from them, and what is refused."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.imports.clicks.bitly import parse
from footfall.imports.clicks.line import ImportedClick, RefusedLine
from footfall.model.reasons import Reason

SAMPLE = Path(__file__).parents[4] / "examples" / "data" / "usagov_clicks.jsonl"

LINE = {
    "a": "Mozilla/5.0 (X11; Linux x86_64) Firefox/11.0",
    "c": "US",
    "nk": 1,
    "tz": "America/New_York",
    "gr": "MA",
    "g": "A6qOVH",
    "h": "wfLQtf",
    "l": "orofrog",
    "al": "en-US,en;q=0.8",
    "hh": "1.USA.gov",
    "r": "http://www.facebook.com/l/7AQEFzjSi",
    "u": "http://www.ncbi.nlm.nih.gov/pubmed/22415991",
    "t": 1331923247,
    "hc": 1331822918,
    "cy": "Danvers",
    "ll": [42.576698, -70.954903],
}


def line(**changes):
    return json.dumps({key: value for key, value in (LINE | changes).items() if value != "absent"})


def test_every_part_of_a_click_is_read():
    click = parse(line())
    assert isinstance(click, ImportedClick)
    assert (click.domain, click.code, click.url) == ("1.usa.gov", "wfLQtf", LINE["u"])
    assert click.occurred_at == 1331923247000
    assert click.referrer == LINE["r"]
    assert json.loads(click.properties) == {"nk": 1, "g": "A6qOVH"}
    visit = click.visit
    assert (visit.user_agent, visit.language, visit.timezone) == (LINE["a"], "en-US", LINE["tz"])
    assert (visit.country_code, visit.region, visit.city) == ("US", "MA", "Danvers")
    assert (visit.latitude, visit.longitude) == (42.576698, -70.954903)


def test_direct_is_no_referrer():
    assert parse(line(r="direct")).referrer == ""
    assert parse(line(r="absent")).referrer == ""


@pytest.mark.parametrize("key", ["a", "c", "nk", "tz", "gr", "g", "al", "hh", "r", "cy", "ll"])
@pytest.mark.parametrize("value", ["absent", None])
def test_a_click_may_lack_what_is_not_essential(key, value):
    assert isinstance(parse(line(**{key: value})), ImportedClick)


def test_unknown_keys_are_ignored():
    assert parse(line(kw="x", new={"deep": [1]})) == parse(line())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"h": "absent"}, "`h`"),
        ({"u": "absent"}, "`u`"),
        ({"t": "absent"}, "`t`"),
        ({"h": ""}, "$.h"),
        ({"h": 7}, "$.h"),
        ({"h": "x" * 201}, "$.h"),
        ({"t": "soon"}, "$.t"),
        ({"t": 0}, "$.t"),
        ({"t": -5}, "$.t"),
        ({"t": 1e30}, "$.t"),
        ({"ll": [91, 0]}, "$.ll"),
        ({"ll": [1]}, "$.ll"),
        ({"a": ["x"]}, "$.a"),
    ],
)
def test_a_wrong_line_is_refused_and_the_key_named(changes, named):
    refused = parse(line(**changes))
    assert isinstance(refused, RefusedLine)
    assert refused.reason is Reason.BAD_LINE
    assert named in refused.detail


def test_heartbeats_are_told_apart():
    assert parse('{"_heartbeat_": 1331926831}').reason is Reason.HEARTBEAT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "not json",
        line()[:-1],
        line() + line(),
        '{"h": "\\ud800"}',
        "\x00",
        "[" * 100_000,
    ],
)
def test_what_is_no_object_is_a_bad_line(text):
    assert parse(text).reason is Reason.BAD_LINE


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_line_can_make_it_fail(text):
    assert isinstance(parse(text), RefusedLine)


@given(
    st.dictionaries(
        st.sampled_from([*LINE, "_heartbeat_"]), st.none() | st.text() | st.floats() | st.integers()
    )
)
def test_no_values_can_make_it_fail(changes):
    assert isinstance(parse(json.dumps(LINE | changes)), ImportedClick | RefusedLine)


def test_the_real_hour():
    found = Counter()
    links, countries = set(), Counter()
    for text in SAMPLE.read_text(encoding="utf-8").splitlines():
        click = parse(text)
        found[click.reason if isinstance(click, RefusedLine) else "click"] += 1
        if isinstance(click, ImportedClick):
            links.add((click.domain, click.code))
            countries[click.visit.country_code] += 1
            found["direct"] += click.referrer == ""
    assert found == {"click": 3440, Reason.HEARTBEAT: 120, "direct": 1585}
    assert len(links) == 768
    assert countries.total() - countries[""] == 2919
    assert (countries["US"], countries["GB"], countries["CA"]) == (2305, 74, 60)
