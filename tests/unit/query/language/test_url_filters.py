"""Filters in a query string: any of, none of, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.query.language.question import Comparison
from footfall.query.language.url_filters import field_of, filters_documented, read_filter
from tests.truth_cases import spelled


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("country_code", "US", Comparison("country_code", "is", ("US",))),
        ("country", "US,BR", Comparison("country_code", "is", ("US", "BR"))),
        ("country", "-US,BR", Comparison("country_code", "is_not", ("US", "BR"))),
        ("country", "-US,-BR", Comparison("country_code", "is_not", ("US", "BR"))),
        ("city", '""', Comparison("city", "is", ("",))),
        ("city", '-"",Ulm', Comparison("city", "is_not", ("", "Ulm"))),
        ("page_path", r"/a\,b,/c", Comparison("page_path", "is", ("/a,b", "/c"))),
        ("utm_source", r"\-x,y-z", Comparison("utm_source", "is", ("-x", "y-z"))),
        ("utm_source", r"-\-x", Comparison("utm_source", "is_not", ("-x",))),
        ("utm_source", r"a\\,b\c", Comparison("utm_source", "is", ("a\\", r"b\c"))),
        ("referer_host", "direct", Comparison("referrer_host", "is", ("",))),
        ("referrer_host", "direct", Comparison("referrer_host", "is", ("direct",))),
        ("asn", "15169", Comparison("asn", "is", (15169.0,))),
        ("asn", "-15169,3320", Comparison("asn", "is_not", (15169.0, 3320.0))),
        ("is_bot", "TRUE", Comparison("is_bot", "is", (True,))),
        ("visitor_timezone", "Europe/Berlin", Comparison("timezone", "is", ("Europe/Berlin",))),
        ("property:plan", "pro", Comparison("property:plan", "is", ("pro",))),
    ],
)
def test_values_are_any_of_or_none_of(name, text, expected):
    assert read_filter(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("country", "US,-BR", "not both"),
        ("country", "-US,BR,-DE", "not both"),
        ("country", "", "1 to 200 characters"),
        ("country", "-", "1 to 200 characters"),
        ("country", "US,,DE", '"" stands for unknown'),
        ("city", "x" * 201, "1 to 200 characters"),
        ("page_url", "x" * 2001, "1 to 2000 characters"),
        ("country", ",".join(["US"] * 51), "at most 50"),
        ("asn", "AS1", "numbers"),
        ("asn", "1e5", "numbers"),
        ("asn", "nan", "numbers"),
        ("is_bot", "maybe", "true or false"),
        ("property:", "x", "1 to 200 printable"),
        ("property:a\0", "x", "1 to 200 printable"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name, text, allowed):
    with pytest.raises(Invalid) as error:
        read_filter(name, text)
    assert error.value.field == name
    assert allowed in str(error.value)


@given(
    is_=st.booleans(), values=st.lists(st.text(max_size=30).filter(lambda value: value != '""'), min_size=1)
)
def test_every_value_can_be_written(is_, values):
    where = read_filter("city", spelled(is_, values[:50]))
    assert where == Comparison("city", "is" if is_ else "is_not", tuple(values[:50]))


def test_what_is_documented_can_be_filtered_on():
    names = [name for name, _ in filters_documented()]
    assert len(names) == len(set(names)) > 30
    assert all(field_of(name) for name in names)
    assert field_of("timezone") is None
    assert field_of("user_agent") is None
    assert field_of("visitor_id") is None
