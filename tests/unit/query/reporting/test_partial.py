"""Which buckets are not whole."""

from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from footfall.query.language.periods import Period
from footfall.query.reporting.partial import partial_buckets

DAY = 86_400_000
FAR = 2**52


def at(text, zone="UTC"):
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def cut(start, end, interval, *, zone="UTC", week_start="monday", now=FAR):
    period = Period(at(start, zone), at(end, zone), zone)
    found = partial_buckets(period, period.buckets(interval, week_start), interval, week_start, now)
    return [period.iso(start)[:10] for start in sorted(found)]


def test_a_range_of_whole_buckets_cuts_none():
    assert cut("2026-03-01", "2026-04-01", "month") == []
    assert cut("2026-03-29", "2026-03-30", "day", zone="Europe/Berlin") == []
    assert cut("2026-03-01", "2026-03-08", "week", week_start="sunday") == []
    assert cut("2026-03-01", "2026-03-08", "hour") == []


def test_the_first_and_the_last_are_cut_off_by_the_range():
    assert cut("2026-03-01", "2026-03-08", "week") == ["2026-02-23", "2026-03-02"]
    assert cut("2026-03-01", "2026-03-09", "week") == ["2026-02-23"]
    assert cut("2026-03-10", "2026-05-01", "month") == ["2026-03-01"]
    assert cut("2026-01-01", "2026-05-01", "year") == ["2026-01-01"]
    assert cut("2026-03-10T12:30", "2026-03-12T01:00", "day") == ["2026-03-10", "2026-03-12"]


def test_now_cuts_off_what_is_not_over():
    noon = at("2026-03-03T12:00")
    assert cut("2026-03-01", "2026-03-06", "day", now=noon) == ["2026-03-03", "2026-03-04", "2026-03-05"]
    assert cut("2026-03-01", "2026-03-03", "day", now=noon) == []


@given(
    st.integers(0, 4_000_000_000_000),
    st.integers(1, 100 * DAY),
    st.sampled_from(["hour", "day", "week", "month", "year"]),
    st.sampled_from(["monday", "saturday"]),
    st.sampled_from(["UTC", "Pacific/Apia", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Monrovia"]),
)
def test_only_the_ends_are_cut_off_by_a_range_that_is_over(start, length, interval, week_start, zone):
    period = Period(start, start + length, zone)
    buckets = period.buckets(interval, week_start)
    found = partial_buckets(period, buckets, interval, week_start, FAR)
    assert found <= {buckets[0], buckets[-1]}
    assert (buckets[0] in found) or buckets[0] == start
    whole = Period(buckets[0], buckets[-1], zone)
    if len(buckets) > 1:
        assert not partial_buckets(whole, buckets[:-1], interval, week_start, FAR)
