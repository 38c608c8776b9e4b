"""Query strings: what is understood, and how the rest is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.query.language.params import (
    BucketParams,
    ListParams,
    Params,
    RangeParams,
    StatsBucketParams,
    StatsListParams,
    filter_parameters,
    parameters,
    parse,
)
from footfall.query.language.question import is_
from footfall.query.reports import REPORTS
from footfall.query.reports.events import ValueParams
from footfall.query.reports.technology import DeviceParams

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def refused(kind, *items):
    with pytest.raises(Invalid) as error:
        parse(kind, items, NOW)
    return error.value


def test_every_parameter_is_read():
    asked = parse(
        ListParams,
        [
            ("start_date", "2026-01-01"),
            ("end_date", "2026-01-31"),
            ("timezone", "Asia/Kolkata"),
            ("site_id", "site_1"),
            ("link_id", "link_1"),
            ("event_type", "it's\\, a \0 type"),
            ("include_bots", "TRUE"),
            ("limit", "1000"),
            ("offset", "7"),
        ],
        NOW,
    )
    params = asked.params
    assert asked.filters == (
        is_("site_id", "site_1"),
        is_("link_id", "link_1"),
        is_("event_type", "it's, a \0 type"),
    )
    assert (params.include_bots, params.limit, params.offset) == (True, 1000, 7)
    assert asked.period.iso(asked.period.start) == "2026-01-01T00:00:00+05:30"
    assert asked.warnings == ()


def test_both_spellings_of_the_range_are_understood_everywhere():
    expected = parse(ListParams, [("start_date", "2026-01-01"), ("end_date", "2026-01-31")], NOW).period
    for kind in (ListParams, StatsListParams):
        for start, end in (("start_date", "end_date"), ("from", "to")):
            assert parse(kind, [(start, "2026-01-01"), (end, "2026-01-31")], NOW).period == expected


@pytest.mark.parametrize("spelling", ["start_date", "from"])
def test_a_refusal_names_the_field_as_it_was_written(spelling):
    assert refused(StatsListParams, (spelling, "soon")).field == spelling
    assert refused(ListParams, (spelling, "2026-02-01"), ("end_date", "2026-01-01")).field == spelling


@pytest.mark.parametrize(
    ("kind", "name", "text", "allowed"),
    [
        (ListParams, "limit", "0", "from 1 to 1000"),
        (ListParams, "limit", "1001", "from 1 to 1000"),
        (ListParams, "limit", "ten", "from 1 to 1000"),
        (ListParams, "limit", "1e2", "from 1 to 1000"),
        (ListParams, "limit", "٣", "from 1 to 1000"),
        (ListParams, "limit", "9" * 5000, "from 1 to 1000"),
        (ListParams, "offset", "-1", "from 0 to"),
        (BucketParams, "interval", "minute", "hour, day, week, month, year"),
        (Params, "include_bots", "maybe", "true or false"),
        (Params, "include_bots", "", "true or false"),
        (Params, "site_id", "", "1 to 200 characters"),
        (Params, "site_id", "x" * 201, "1 to 200 characters"),
        (Params, "timezone", "x" * 100, "at most 64"),
        (Params, "timezone", "Mars/Olympus", "IANA"),
        (DeviceParams, "by", "browser,colour", "device_type, browser, os"),
        (DeviceParams, "by", "browser,browser", "device_type, browser, os"),
        (DeviceParams, "by", "", "device_type, browser, os"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(kind, name, text, allowed):
    error = refused(kind, (name, text))
    assert error.field == name
    assert allowed in str(error)


def test_an_unknown_parameter_is_refused_with_those_there_are():
    error = refused(BucketParams, ("intervall", "day"))
    assert error.field == "intervall"
    assert "interval" in str(error)
    assert refused(Params, ("", "x"))


def test_a_parameter_given_twice_is_refused_also_in_another_spelling():
    assert refused(ListParams, ("limit", "1"), ("limit", "2")).field == "limit"
    assert refused(ListParams, ("start_date", "2026-01-01"), ("from", "2026-01-01")).field == "from"


def test_a_parameter_that_only_other_reports_use_is_ignored_aloud():
    for name, value in (
        ("interval", "day"),
        ("limit", "1"),
        ("granularity", "day"),
        ("week_start", "sunday"),
    ):
        (warning,) = parse(RangeParams, [(name, value)], NOW).warnings
        assert name in warning


def test_every_report_takes_the_range_and_the_filters():
    for report in REPORTS:
        names = {parameter.name for parameter in (*parameters(report.params), *filter_parameters())}
        assert {"timezone", "site_id", "link_id", "event_type", "include_bots", "interval"} <= names
        assert {"start_date", "end_date"} <= names or {"from", "to"} <= names
        assert all(parameter.schema["description"] for parameter in parameters(report.params))


DAY = 86_400_000


def days(asked):
    return (asked.period.end - asked.period.start) / DAY


def test_a_range_may_be_named_instead_of_its_dates():
    assert days(parse(RangeParams, [("interval", "7d")], NOW)) == 7
    assert days(parse(StatsListParams, [("interval", "mtd")], NOW)) == 15
    since = NOW.timestamp() * 1000 - 100.5 * DAY
    assert days(parse(ListParams, [("interval", "all")], NOW, first=int(since))) == 101
    for name in ("start_date", "to"):
        error = refused(BucketParams, ("interval", "7d"), (name, "2026-03-01"))
        assert (error.field, name in str(error)) == ("interval", True)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], "day"),
        ([("interval", "week")], "week"),
        ([("granularity", "month")], "month"),
        ([("interval", "week"), ("granularity", "week")], "week"),
        ([("interval", "24h")], "hour"),
        ([("interval", "30d")], "day"),
        ([("interval", "1y")], "month"),
        ([("interval", "1y"), ("granularity", "week")], "week"),
        ([("interval", "all")], "hour"),  # nothing is kept: today
    ],
)
def test_buckets_are_as_long_as_was_asked_or_as_fits_the_named_range(items, expected):
    for kind in (BucketParams, StatsBucketParams):
        assert parse(kind, items, NOW).interval == expected


def test_two_lengths_of_buckets_are_refused():
    assert refused(BucketParams, ("interval", "day"), ("granularity", "hour")).field == "granularity"


def test_filters_are_named_once_by_whatever_name():
    asked = parse(Params, [("country", "US,DE"), ("property:plan", "-free")], NOW)
    assert [where.field for where in asked.filters] == ["country_code", "property:plan"]
    assert asked.written == {"country_code": "US,DE", "property:plan": "-free"}
    assert refused(Params, ("country", "US"), ("country_code", "DE")).field == "country_code"
    many = [(f"property:{number}", "x") for number in range(21)]
    assert refused(Params, *many).field == "property:20"
    assert len(parse(Params, many[:20], NOW).filters) == 20


def test_defaults_hold_unless_the_caller_names_the_filter():
    default = {"event_type": "click"}
    assert parse(Params, [], NOW, defaults=default).filters == (is_("event_type", "click"),)
    asked = parse(Params, [("event_type", "page_view")], NOW, defaults=default)
    assert asked.filters == (is_("event_type", "page_view"),)


def test_a_mistyped_filter_is_told_what_was_perhaps_meant():
    assert "did you mean country_code?" in str(refused(Params, ("contry_code", "US")))


def test_values_of_a_list_say_first_what_was_perhaps_meant():
    words = str(refused(BucketParams, ("interval", "lastmonth")))
    assert words.startswith("interval: 'lastmonth' is not known; did you mean last_month? Known are ")
    words = str(refused(BucketParams, ("granularity", "days")))
    assert words.startswith("granularity: 'days' is not known; did you mean day? Known are hour, day")


def test_what_a_report_needs_is_asked_for():
    assert refused(ValueParams).field == "property"


@given(
    report=st.sampled_from(REPORTS),
    items=st.lists(
        st.tuples(
            st.sampled_from([p.name for report in REPORTS for p in parameters(report.params)])
            | st.sampled_from([p.name for p in filter_parameters()])
            | st.text(max_size=20).map("property:{}".format)
            | st.text(max_size=20),
            st.text(max_size=40) | st.sampled_from(["1", "day", "7d", "true", "UTC", "2026-01-01", "-a,b"]),
        ),
        max_size=4,
    ),
)
def test_whatever_is_sent_is_understood_or_refused(report, items):
    try:
        asked = parse(report.params, items, NOW)
        named, right = True, asked.period.start < asked.period.end
    except Invalid as error:
        missing = {each.name for each in parameters(report.params) if each.required}
        named, right = error.field in {name for name, _ in items} | missing, True
    assert named
    assert right
