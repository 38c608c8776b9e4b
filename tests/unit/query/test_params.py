"""Query strings: what is understood, and how the rest is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.query.params import BucketParams, ListParams, Params, StatsListParams, parameters, parse
from footfall.query.reports import REPORTS
from footfall.query.reports.devices import DeviceParams

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
            ("event_type", "it's, a \0 type"),
            ("include_bots", "TRUE"),
            ("limit", "1000"),
            ("offset", "7"),
        ],
        NOW,
    )
    params = asked.params
    assert (params.site_id, params.link_id, params.event_type) == ("site_1", "link_1", "it's, a \0 type")
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
    (warning,) = parse(Params, [("interval", "day")], NOW).warnings
    assert "interval" in warning


def test_every_report_takes_the_range_and_the_filters():
    for report in REPORTS:
        names = {parameter.name for parameter in parameters(report.params)}
        assert {"timezone", "site_id", "link_id", "event_type", "include_bots"} <= names
        assert {"start_date", "end_date"} <= names or {"from", "to"} <= names
        assert all(parameter.schema["description"] for parameter in parameters(report.params))


@given(
    report=st.sampled_from(REPORTS),
    items=st.lists(
        st.tuples(
            st.sampled_from([p.name for report in REPORTS for p in parameters(report.params)])
            | st.text(max_size=20),
            st.text(max_size=40) | st.sampled_from(["1", "day", "true", "UTC", "2026-01-01"]),
        ),
        max_size=4,
    ),
)
def test_whatever_is_sent_is_understood_or_refused(report, items):
    try:
        asked = parse(report.params, items, NOW)
        named, right = True, asked.period.start < asked.period.end
    except Invalid as error:
        named, right = error.field in {name for name, _ in items}, True
    assert named
    assert right
