"""`POST /v1/query` against plain Python, to the last number, over a real store."""

import json
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.console import open_console
from tests.query_cases import AROUND, TIMES, Case, World, instant, ranges
from tests.query_events import DAY
from tests.query_truth import RATES, Range, ratio

_questions = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield [World(console, number, day) for number, day in enumerate(AROUND)]


def same(name, found, expected):
    if name == "last_at" and found is not None:
        found = instant(found)
    if found is None or expected is None or isinstance(expected, int | dict):
        return found == expected and not isinstance(found, bool)
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


def assert_same(body, found, expected, where):
    for name, one, other in zip(body["metrics"], found, expected, strict=True):
        assert same(name, one, other), (name, one, other, where, json.dumps(body))


def assert_ordered(case, rows):
    body = case.body
    if not body.get("order_by") and not case.time and body["metrics"][0] in ("share", *RATES):
        return  # then it is that of visitors
    order = body.get("order_by") or [[case.time, "asc"] if case.time else [body["metrics"][0], "desc"]]
    order = [*order, *([name, "asc"] for name in body["dimensions"] if name not in dict(order))]
    for one, other in pairwise(rows):
        for name, direction in order:
            a, b = (value_of(body, row, name) for row in (one, other))
            if a == b:
                continue
            if a is None or b is None:
                assert b is None, (name, direction, one, other, json.dumps(body))
            else:
                assert (a < b) == (direction == "asc"), (name, direction, one, other, json.dumps(body))
            break
        else:
            pytest.fail(f"two rows of one group: {one} {other}")


def value_of(body, row, name):
    if name in body["metrics"]:
        value = row["metrics"][body["metrics"].index(name)]
        value = sum(value.values()) if isinstance(value, dict) else value
    else:
        value = row["dimensions"][body["dimensions"].index(name)]
    return instant(value) if value and (name in TIMES or name == "last_at") else value


@_questions
@given(data=st.data())
def test_every_number_is_that_of_plain_python(worlds, data):
    case = Case(data, worlds)
    answer = case.ask()
    rows, meta = answer["results"], answer["meta"]
    expected = case.expected(case.range)
    found = {case.key(row, case.range): row["metrics"] for row in rows}
    assert set(found) == set(expected), json.dumps(case.body)
    assert len(found) == len(rows) == meta["total_rows"]
    for key, metrics in found.items():
        assert_same(case.body, metrics, expected[key], key)
    assert_ordered(case, rows)
    assert meta["source"] == "raw"
    assert meta["timezone"] == case.range.name
    assert meta["bots"] == ("included" if case.body["include"]["bots"] else "excluded")


@settings(_questions, max_examples=15)
@given(data=st.data())
def test_pages_are_cut_out_of_the_whole_answer(worlds, data):
    case = Case(data, worlds)
    rows = case.ask()["results"]
    limit = data.draw(st.integers(1, 7))
    for offset in {0, data.draw(st.integers(0, len(rows) + 2)), 10_000_000}:
        page = case.ask(pagination={"limit": limit, "offset": offset})
        assert page["results"] == rows[offset : offset + limit], json.dumps(case.body)
        assert page["meta"]["total_rows"] == len(rows)


@settings(_questions, max_examples=40)
@given(data=st.data())
def test_the_other_period_is_the_answer_about_it(worlds, data):
    case = Case(data, worlds)
    how = data.draw(st.sampled_from(["previous_period", "year_over_year", "custom"]))
    if how == "custom":
        other = data.draw(ranges(case.world.first_day))
        other = Range(case.range.name, dates=other.dates, instants=other.instants)
    else:
        other = case.range.before() if how == "previous_period" else case.range.year_before()
    compare = other.written() if how == "custom" else how
    limit = data.draw(st.sampled_from([3, 10_000]))
    answer = case.ask(compare=compare, pagination={"limit": limit})
    now, then = case.expected(case.range), case.expected(other)
    everybody = case.truth.everybody(case.body, other)
    empty = case.empty(other, (), everybody)
    if case.time:
        numbers = {bucket: number for number, bucket in enumerate(case.buckets(case.range))}
        there = dict(enumerate(case.buckets(other)))
        place = case.body["dimensions"].index(case.time)
    for row in answer["results"]:
        key = case.key(row, case.range)
        assert_same(case.body, row["metrics"], now[key], key)
        if case.time:
            bucket = there.get(numbers[key[place]])
            key = (*key[:place], bucket, *key[place + 1 :])
        old = then.get(key, empty)
        assert_same(case.body, row["comparison"]["metrics"], old, key)
        for name, new, was, change in zip(
            case.body["metrics"],
            now[case.key(row, case.range)],
            old,
            row["comparison"]["change"],
            strict=True,
        ):
            if name == "last_at" or isinstance(new, dict) or new is None or not was:
                assert change is None, (name, change)
            else:
                assert math.isclose(change, ratio(new, was) - 1, rel_tol=1e-9, abs_tol=1e-9), (name, change)
    for text, at in zip(answer["meta"]["compared_with"], edges(other), strict=True):
        assert instant(text) == at


def edges(when):
    if when.instants:
        return when.instants
    inside = [
        at
        for day in (when.dates[0], when.dates[1] + timedelta(days=1))
        for at in [round(datetime.combine(day, datetime.min.time(), UTC).timestamp() * 1000)]
    ]
    return [first_of(when, at, day) for at, day in zip(inside, (0, 1), strict=True)]


def first_of(when, near, which):
    """The first instant of a date that begins within a day of `near`, or the first after the last date."""
    for at in range(near - DAY, near + DAY, 900_000):
        local = when.local(at).date()
        if local >= when.dates[0] if which == 0 else local > when.dates[1]:
            return at
    raise AssertionError


@settings(_questions, max_examples=20)
@given(data=st.data())
def test_buckets_are_those_of_the_clock(worlds, data):
    """Every bucket is named by its first instant, is there when empty, and is marked when it is not whole."""
    case = Case(data, worlds)
    interval = data.draw(st.sampled_from(TIMES))
    case.body |= {"dimensions": [interval], "order_by": [], "metrics": ["events"]}
    case.time, case.interval = interval, interval.removeprefix("time:")
    case.body["include"]["time_labels"] = True
    answer = case.ask()
    labels = [row["dimensions"][0] for row in answer["results"]]
    assert labels == answer["meta"]["time_labels"]
    starts = [instant(label) for label in labels]
    assert [case.digits(case.range, at) for at in starts] == case.buckets(case.range)
    for at, label in zip(starts, labels, strict=True):
        assert case.digits(case.range, at - 1) != case.digits(case.range, at)
        assert datetime.fromisoformat(label).utcoffset() == case.range.local(at).utcoffset()
    first, end = edges(case.range)
    partial = [label for at, label in zip(starts, labels, strict=True) if at < first]
    if case.digits(case.range, end) == case.digits(case.range, end - 1) and labels[-1] not in partial:
        partial.append(labels[-1])
    assert answer["meta"]["partial"] == partial


@settings(_questions, max_examples=20)
@given(data=st.data())
def test_what_is_said_of_the_numbers_is_true(worlds, data):
    case = Case(data, worlds)
    answer = case.ask()
    meta = answer["meta"]
    events = case.truth.counted(case.body, case.range)
    assert meta["sampled"] == any(event["sample_weight"] != 1 for event in events)
    assert meta["exact"]
    nobody = sum(not event["visitor_id"] for event in events)
    text = " ".join(meta["warnings"])
    if "tag" not in case.body["dimensions"]:  # there an event counts once for each tag
        assert (f"{nobody} events have no visitor" in text) == bool(nobody)
    days = {at // DAY for at in (edges(case.range)[0], edges(case.range)[1] - 1)}
    for_a_day = any(e["visitor_id"] and e["visitor_id"] == e["device_hash"] for e in events)
    assert ("they add up" in text) == (len(days) > 1 and for_a_day)
    again = answer["query"]
    assert case.world.ask(case.which, again)["results"] == answer["results"]
