"""Ranges by name."""

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.query.presets import PRESETS, DubPreset, PlausiblePreset, preset

BERLIN = ZoneInfo("Europe/Berlin")


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


@given(
    st.sampled_from(sorted({*get_args(DubPreset), *get_args(PlausiblePreset)})),
    st.integers(631_152_000, 3_786_912_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "Asia/Kathmandu", "America/Sao_Paulo"]),
)
def test_every_name_is_a_range_up_to_now_in_every_zone(name, now, timezone):
    assert name in PRESETS
    period = preset(name, now, timezone)
    assert period.start < period.end
    assert period.start <= now.timestamp() * 1000 <= period.end
    assert date(1970, 1, 1) <= datetime.fromtimestamp(period.start / 1000, UTC).date()
