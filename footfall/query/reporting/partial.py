"""Which buckets of a time series are not whole."""

from collections.abc import Sequence

from footfall.model.times import DAY_MS, Millis
from footfall.query.language.periods import Interval, Period, Weekday

_LONGEST: dict[Interval, int] = {
    "hour": DAY_MS // 12,
    "day": 3 * DAY_MS,
    "week": 9 * DAY_MS,
    "month": 33 * DAY_MS,
    "year": 368 * DAY_MS,
}


def bucket_ends(
    period: Period, buckets: Sequence[int], interval: Interval, week_start: Weekday
) -> Sequence[int]:
    """When each of the buckets of `period.buckets(interval, week_start)` ends (exclusive, ms)."""
    if not buckets:
        return []
    last = Period(buckets[-1], buckets[-1] + _LONGEST[interval], period.timezone)
    return [*buckets[1:], last.buckets(interval, week_start)[1]]


def partial_buckets(
    period: Period, buckets: Sequence[int], interval: Interval, week_start: Weekday, now: Millis
) -> set[int]:
    """The buckets of `period.buckets(interval, week_start)` that the range cuts off or that are not over.

    `now`: in ms. In a range that reaches into the future, none that begins after now is over.
    """
    ends = bucket_ends(period, buckets, interval, week_start)
    whole_until = min(period.end, now)
    return {
        start for start, end in zip(buckets, ends, strict=True) if start < period.start or end > whole_until
    }
