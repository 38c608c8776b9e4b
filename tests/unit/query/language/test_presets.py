"""Ranges by name."""

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.query.language.presets import PRESETS, RangeName, is_range, preset

DUB = {"24h", "7d", "30d", "90d", "1y", "mtd", "qtd", "ytd", "all"}
PLAUSIBLE = {"day", "24h", "7d", "28d", "30d", "91d", "month", "6mo", "12mo", "year", "all"}
OVER = {"yesterday", "last_month", "last_quarter", "last_year"}


def dates(name, now, timezone="Europe/Berlin", first=None):
    """The first and the last day."""
    period = preset(name, now, timezone, first)
    zone = ZoneInfo(timezone)
    start, end = (datetime.fromtimestamp(at / 1000, zone) for at in (period.start, period.end))
    assert (start.hour, end.hour, end.minute) == (0, 0, 0)
    return start.date().isoformat(), (end - timedelta(days=1)).date().isoformat()


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("day", "2026-05-15"),
        ("today", "2026-05-15"),
        ("7d", "2026-05-09"),
        ("28d", "2026-04-18"),
        ("30d", "2026-04-16"),
        ("90d", "2026-02-15"),
        ("91d", "2026-02-14"),
        ("month", "2026-05-01"),
        ("mtd", "2026-05-01"),
        ("qtd", "2026-04-01"),
        ("6mo", "2025-12-01"),
        ("12mo", "2025-06-01"),
        ("year", "2026-01-01"),
        ("ytd", "2026-01-01"),
        ("1y", "2025-05-16"),
    ],
)
def test_days_end_with_today_in_the_zone(name, first):
    # 22:30 UTC is already the 15th in Berlin.
    assert dates(name, datetime(2026, 5, 14, 22, 30, tzinfo=UTC)) == (first, "2026-05-15")


def test_24_hours_end_now_and_are_24_hours_also_when_the_clock_changes():
    period = preset("24h", datetime(2026, 3, 29, 9, 0, 30, tzinfo=UTC), "Europe/Berlin")
    assert period.end - period.start == 86_400_000
    assert period.iso(period.end) == "2026-03-29T11:01:00+02:00"
    assert period.iso(period.start) == "2026-03-28T10:01:00+01:00"


def test_all_begins_on_the_day_of_the_first_event():
    now = datetime(2026, 5, 15, 12, tzinfo=UTC)
    first = round(datetime(2024, 12, 31, 23, 30, tzinfo=UTC).timestamp() * 1000)
    assert dates("all", now, first=first) == ("2025-01-01", "2026-05-15")
    assert dates("all", now) == ("2026-05-15", "2026-05-15")
    assert dates("all", now, first=first + 100 * 366 * 86_400_000) == ("2026-05-15", "2026-05-15")


def test_a_year_before_the_29th_of_february_begins_on_the_first_of_march():
    assert dates("1y", datetime(2028, 2, 29, 12, tzinfo=UTC)) == ("2027-03-01", "2028-02-29")


def test_an_unknown_zone_is_refused():
    with pytest.raises(Invalid, match="IANA"):
        preset("7d", datetime(2026, 5, 15, tzinfo=UTC), "Mars/Olympus")


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("yesterday", "2026-05-14", "2026-05-14"),
        ("last_month", "2026-04-01", "2026-04-30"),
        ("last_quarter", "2026-01-01", "2026-03-31"),
        ("last_year", "2025-01-01", "2025-12-31"),
    ],
)
def test_what_is_over_is_whole_and_ends_before_today(name, first, last):
    assert dates(name, datetime(2026, 5, 14, 22, 30, tzinfo=UTC)) == (first, last)


def test_what_is_over_crosses_the_year():
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert dates("yesterday", now) == ("2025-12-31", "2025-12-31")
    assert dates("last_month", now) == ("2025-12-01", "2025-12-31")
    assert dates("last_quarter", now) == ("2025-10-01", "2025-12-31")
    assert dates("last_year", now) == ("2025-01-01", "2025-12-31")


@pytest.mark.parametrize(
    ("timezone", "now", "hours", "begins"),
    [
        # Clocks went forward, and back, on the day before.
        ("Europe/Berlin", datetime(2026, 3, 30, 9, tzinfo=UTC), 23, "2026-03-29T00:00:00+01:00"),
        ("Europe/Berlin", datetime(2026, 10, 26, 9, tzinfo=UTC), 25, "2026-10-25T00:00:00+02:00"),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 21, tzinfo=UTC), 24.5, "2026-04-05T00:00:00+11:00"),
        # Clocks go forward at midnight: the day begins at one o'clock.
        ("America/Asuncion", datetime(2023, 10, 2, 12, tzinfo=UTC), 23, "2023-10-01T01:00:00-03:00"),
        ("Asia/Kathmandu", datetime(2026, 5, 14, 18, 15, tzinfo=UTC), 24, "2026-05-14T00:00:00+05:45"),
        ("Asia/Kathmandu", datetime(2026, 5, 14, 18, 14, tzinfo=UTC), 24, "2026-05-13T00:00:00+05:45"),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", datetime(2011, 12, 31, 0, tzinfo=UTC), 24, "2011-12-29T00:00:00-10:00"),
    ],
)
def test_yesterday_is_the_day_of_the_zone_however_long(timezone, now, hours, begins):
    period = preset("yesterday", now, timezone)
    assert (period.end - period.start) / 3_600_000 == hours
    assert period.iso(period.start) == begins


def test_last_month_has_its_own_offsets_at_both_ends():
    period = preset("last_month", datetime(2026, 4, 3, tzinfo=UTC), "America/New_York")
    assert period.iso(period.start) == "2026-03-01T00:00:00-05:00"
    assert period.iso(period.end) == "2026-04-01T00:00:00-04:00"
    assert (period.end - period.start) / 3_600_000 == 31 * 24 - 1


def test_the_names_that_users_of_others_know_are_known():
    assert set(PRESETS) >= DUB | PLAUSIBLE | OVER
    # Of series `interval` is also the length of a bucket: there these mean that.
    assert set(get_args(RangeName)) == set(PRESETS) - {"day", "month", "year"}


@given(
    st.sampled_from(PRESETS),
    st.integers(631_152_000, 3_786_912_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "Asia/Kathmandu", "America/Sao_Paulo"]),
)
def test_every_name_is_a_range_that_ends_now_or_before_in_every_zone(name, now, timezone):
    period = preset(name, now, timezone)
    assert period.start < period.end
    assert date(1970, 1, 1) <= datetime.fromtimestamp(period.start / 1000, UTC).date()
    if name.startswith("previous_"):
        assert period == preset(name.replace("previous", "last"), now, timezone)
    elif name in OVER:
        assert period.end == preset("today" if name == "yesterday" else name[5] + "td", now, timezone).start
    else:
        assert period.start <= now.timestamp() * 1000 <= period.end


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("1d", "2026-03-18"), ("14d", "2026-03-05"), ("2w", "2026-03-05"), ("8w", "2026-01-22"),
        ("1mo", "2026-03-01"), ("3mo", "2026-01-01"), ("13mo", "2025-03-01"),
    ],
)  # fmt: skip
def test_so_many_days_weeks_or_months_end_with_today(name, first):
    now = datetime(2026, 3, 18, 15, tzinfo=UTC)
    period = preset(name, now, "UTC")
    assert period.iso(period.start) == f"{first}T00:00:00+00:00"
    assert period.iso(period.end) == "2026-03-19T00:00:00+00:00"


def test_a_length_has_a_unit_and_no_sign():
    assert [
        name for name in ("14d", "2w", "3mo", "0d", "-1d", "3y", "d", "14", "99999d") if is_range(name)
    ] == [
        "14d",
        "2w",
        "3mo",
    ]
