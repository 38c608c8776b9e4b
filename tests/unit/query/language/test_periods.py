"""Ranges and buckets: any zone, days of 23 and 25 hours, half and quarter hours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.query.language.periods import MAX_BUCKETS, Period, resolve, zone_names

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",  # its summer time is half an hour
    "Pacific/Chatham",
    "Pacific/Apia",  # skipped 2011-12-30
    "America/Sao_Paulo",  # skipped midnights
    "Africa/Casablanca",
    "America/Havana",
]


HOUR = 3_600_000


def ms(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_date_as_the_end_is_inclusive_and_a_time_is_exclusive():
    days = resolve("2026-01-01", "2026-01-31", "Europe/Berlin", NOW)
    assert (days.start, days.end) == (ms("2026-01-01T00:00+01:00"), ms("2026-02-01T00:00+01:00"))
    times = resolve("2026-01-01T06:30", "2026-01-01T07:30:00.5Z", "Europe/Berlin", NOW)
    assert (times.start, times.end) == (ms("2026-01-01T06:30+01:00"), ms("2026-01-01T07:30:00.500+00:00"))


@pytest.mark.parametrize("offset", ["+02:00", " 02:00", "+0200", " 0200"])
def test_an_offset_whose_plus_was_read_as_a_space_is_understood(offset):
    period = resolve("2026-01-01T06:30:00" + offset, "2026-01-02", "UTC", NOW)
    assert period.start == ms("2026-01-01T06:30:00+02:00")


def test_a_fraction_of_a_millisecond_neither_admits_nor_loses_an_event():
    period = resolve("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.002001Z", "UTC", NOW)
    start = ms("2026-01-01T00:00+00:00")
    assert (period.start, period.end) == (start + 1, start + 3)


def test_without_dates_it_is_the_last_thirty_days_with_today():
    period = resolve(None, None, "Asia/Tokyo", NOW)
    assert period.iso(period.start) == "2026-02-14T00:00:00+09:00"
    assert period.iso(period.end) == "2026-03-16T00:00:00+09:00"
    assert len(period.buckets("day")) == 30
    assert resolve(None, "2025-12-31", "UTC", NOW) == resolve("2025-12-02", "2025-12-31", "UTC", NOW)
    assert resolve("2026-03-10", None, "UTC", NOW) == resolve("2026-03-10", "2026-03-15", "UTC", NOW)


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        ("2026-01-02", "2026-01-01", "start_date"),
        ("2026-01-02T00:00", "2026-01-02T00:00", "start_date"),
        ("2026-03-16", None, "start_date"),
        ("yesterday", None, "start_date"),
        ("", None, "start_date"),
        ("2026-02-30", None, "start_date"),
        ("1767225600", None, "start_date"),
        ("0001-01-01", None, "start_date"),
        ("1969-12-31", None, "start_date"),
        ("0001-01-01T00:00:00+14:00", None, "start_date"),
        ("2026-01-01", "9999-12-31", "end_date"),
        ("2026-01-01", "9999-12-31T23:59:59-12:00", "end_date"),
        ("2026-01-01", "2026-01-01T25:00", "end_date"),
        ("2026-01-01", "'; DROP TABLE events", "end_date"),
    ],
)
def test_a_wrong_range_is_refused_by_name(start, end, field):
    with pytest.raises(Invalid) as refused:
        resolve(start, end, "UTC", NOW)
    assert refused.value.field == field
    assert field in str(refused.value)


@pytest.mark.parametrize(
    "name", ["", "Berlin", "europe/berlin", "../../etc/passwd", "localtime", "Factory", "+01:00"]
)
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(Invalid) as refused:
        resolve(None, None, name, NOW)
    assert refused.value.field == "timezone"


def test_every_zone_can_be_asked_for():
    assert {"UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"} <= zone_names()
    assert len(zone_names()) > 400


def test_more_buckets_than_allowed_are_refused():
    with pytest.raises(Invalid) as refused:
        resolve("2020-01-01", "2025-12-31", "UTC", NOW).buckets("hour")
    assert refused.value.field == "interval"
    assert str(MAX_BUCKETS) in str(refused.value)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-07-01", 24),
        ("Asia/Kolkata", "2026-03-29", 24),
        ("America/St_Johns", "2026-03-08", 23),
        ("America/St_Johns", "2026-11-01", 25),
        ("America/Sao_Paulo", "2018-11-04", 23),  # begins at 01:00
    ],
)
def test_a_day_has_as_many_hours_as_its_zone_says(zone, day, hours):
    period = resolve(day, day, zone, NOW)
    starts = period.buckets("hour")
    assert len(starts) == hours == (period.end - period.start) / 3_600_000
    assert period.buckets("day") == [period.start]


def test_the_hour_that_strikes_twice_makes_two_buckets():
    period = resolve("2026-10-25", "2026-10-25", "Europe/Berlin", NOW)
    labels = [period.iso(at) for at in period.buckets("hour")]
    assert "2026-10-25T02:00:00+02:00" in labels
    assert "2026-10-25T02:00:00+01:00" in labels


def test_an_hour_never_spans_a_change_of_the_clock():
    period = resolve("2026-04-05", "2026-04-05", "Australia/Lord_Howe", NOW)
    labels = [period.iso(at) for at in period.buckets("hour")]
    assert labels[1:4] == [
        "2026-04-05T01:00:00+11:00",
        "2026-04-05T01:30:00+10:30",
        "2026-04-05T02:00:00+10:30",
    ]


def test_an_hour_cut_off_by_a_change_of_the_clock_begins_or_ends_there():
    # Lord Howe goes back by half an hour at 02:00; St. John's used to go back at 00:01.
    period = resolve("2026-04-05T01:45:00+10:30", "2026-04-05T02:00:00+10:30", "Australia/Lord_Howe", NOW)
    assert [period.iso(at) for at in period.buckets("hour")] == ["2026-04-05T01:30:00+10:30"]
    period = resolve("2006-10-29T00:00:00-02:30", "2006-10-29T00:30:00-03:30", "America/St_Johns", NOW)
    assert [period.iso(at) for at in period.buckets("hour")] == [
        "2006-10-29T00:00:00-02:30",
        "2006-10-28T23:01:00-03:30",
        "2006-10-29T00:00:00-03:30",
    ]


def test_hours_of_half_and_quarter_hour_zones_begin_on_the_local_hour():
    for zone, minute in (("Asia/Kolkata", 30), ("Asia/Kathmandu", 15)):
        starts = resolve("2026-01-01", "2026-01-01", zone, NOW).buckets("hour")
        assert {datetime.fromtimestamp(at / 1000, UTC).minute for at in starts} == {minute}


def test_weeks_begin_on_monday_and_may_begin_before_the_range():
    period = resolve("2026-01-01", "2026-01-12", "UTC", NOW)  # a Thursday
    assert [period.iso(at)[:10] for at in period.buckets("week")] == [
        "2025-12-29",
        "2026-01-05",
        "2026-01-12",
    ]


def test_months_and_years_begin_on_their_first():
    period = resolve("2025-11-15", "2026-02-01", "Asia/Kathmandu", NOW)
    months = ["2025-11-01", "2025-12-01", "2026-01-01", "2026-02-01"]
    assert [period.iso(at)[:10] for at in period.buckets("month")] == months
    assert [period.iso(at) for at in period.buckets("year")] == [
        "2025-01-01T00:00:00+05:45",
        "2026-01-01T00:00:00+05:45",
    ]


def test_a_day_that_a_zone_skipped_has_no_bucket():
    period = resolve("2011-12-29", "2011-12-31", "Pacific/Apia", NOW)
    assert [period.iso(at) for at in period.buckets("day")] == [
        "2011-12-29T00:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
    ]


def same_bucket(interval, first, second):
    """Whether two local times lie in one bucket, told from their digits."""
    if interval == "hour":
        return (first.date(), first.hour, first.utcoffset()) == (
            second.date(),
            second.hour,
            second.utcoffset(),
        )
    if interval == "week":
        return first.isocalendar()[:2] == second.isocalendar()[:2]
    digits = {"day": 3, "month": 2, "year": 1}[interval]
    return first.timetuple()[:digits] == second.timetuple()[:digits]


@given(
    zone=st.sampled_from(ZONES),
    start=st.integers(ms("2005-01-01T00:00+00:00"), ms("2030-01-01T00:00+00:00")),
    length=st.integers(1, 40 * 24 * 3_600_000),
    interval=st.sampled_from(["hour", "day", "week", "month", "year"]),
    inside=st.floats(0, 1, exclude_max=True),
)
def test_every_instant_shares_the_digits_of_its_bucket(zone, start, length, interval, inside):
    period = Period(start, start + length, zone)
    starts = period.buckets(interval)
    assert starts == sorted(set(starts))
    assert starts[0] <= period.start
    assert starts[-1] < period.end
    assert len(starts) == 1 or starts[1] > period.start
    at = period.start + int(inside * length)
    bucket = max(each for each in starts if each <= at)
    there = ZoneInfo(zone)
    moment = datetime.fromtimestamp(at // 1000, there)
    # St. John's used to turn its clock at one minute past midnight: the evening came back.
    if zone != "America/St_Johns" or moment.year > 2011:
        assert same_bucket(interval, datetime.fromtimestamp(bucket // 1000, there), moment)


@given(day=st.dates(date(1970, 1, 2), date(2099, 12, 30)), zone=st.sampled_from(sorted(zone_names())))
def test_the_days_of_a_range_meet_without_gap_or_overlap(day, zone):
    text, following = day.isoformat(), (day + timedelta(days=1)).isoformat()
    both = resolve(text, following, zone, NOW)
    try:
        first, second = resolve(text, text, zone, NOW), resolve(following, following, zone, NOW)
    except Invalid:  # a day that the zone skipped is no range
        return
    assert (both.start, first.end, both.end) == (first.start, second.start, second.end)


def of_dates(first, last, zone="Europe/Berlin"):
    return resolve(first, last, zone, datetime(2026, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("dates", "months", "expected"),
    [
        (("2026-03-01", "2026-03-31"), 1, ("2026-02-01", "2026-02-28")),
        (("2026-03-01", "2026-03-18"), 1, ("2026-02-01", "2026-02-18")),
        (("2026-01-10", "2026-01-20"), 1, ("2025-12-10", "2025-12-20")),
        (("2026-05-01", "2026-05-31"), 3, ("2026-02-01", "2026-02-28")),
    ],
)
def test_months_before_are_the_same_days(dates, months, expected):
    assert of_dates(*dates).months_before(months) == of_dates(*expected)


@pytest.mark.parametrize(
    ("dates", "before", "expected"),
    [
        # A month that begins on a Sunday, and one before that does, too.
        (("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28"), ("2026-02-01", "2026-02-28")),
        (("2026-03-02", "2026-03-04"), ("2025-03-02", "2025-03-04"), ("2025-03-03", "2025-03-05")),
        # It would be moved onto the range itself.
        (("2026-03-04", "2026-03-06"), ("2026-03-01", "2026-03-03"), ("2026-02-25", "2026-02-27")),
    ],
)
def test_a_range_may_begin_on_the_weekday_of_another(dates, before, expected):
    assert of_dates(*before).on_weekday_of(of_dates(*dates)) == of_dates(*expected)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("days", [True, False])
def test_clocks_are_ahead_as_the_zone_says(zone, days):
    """A day is that of `time:day`; an hour is what the clock shows."""
    where = ZoneInfo(zone)
    for year in (2010, 2011, 2026):
        period = Period(ms(f"{year}-01-01T00:00+00:00"), ms(f"{year + 1}-01-01T00:00+00:00") + 1, zone)
        clock, starts = period.clock(days=days), period.buckets("day")
        assert clock[0][0] == period.start
        for change, _ in clock[1:]:
            for at in range(max(change - 2 * HOUR, period.start), change + 2 * HOUR, 300_000):
                ahead = [ahead for start, ahead in clock if start <= at][-1]
                shown = datetime.fromtimestamp((at + ahead) / 1000, UTC)
                if days:
                    begun = [start for start in starts if start <= at][-1]
                    day = datetime.fromtimestamp(begun / 1000, where).date()
                    assert shown.isoweekday() == day.isoweekday(), (zone, at)
                else:
                    assert shown.hour == datetime.fromtimestamp(at / 1000, where).hour


def test_clocks_show_what_the_period_has():
    for start, end, weekdays, hours in [
        ("2026-11-27", "2026-11-29", [5, 6, 7], [*range(24)]),
        ("2026-11-01", "2026-11-30", [*range(1, 8)], [*range(24)]),
        ("2026-11-27T22:10", "2026-11-28T01:00", [5, 6], [0, 22, 23]),
        ("2026-03-29", "2026-03-29", [7], [0, 1, *range(3, 24)]),  # the clock skips 2 to 3
    ]:
        period = resolve(start, end, "Europe/Berlin", NOW)
        assert period.shown_by_clocks(days=True) == weekdays
        assert period.shown_by_clocks(days=False) == hours
