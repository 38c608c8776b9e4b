"""When days begin, in any IANA zone: the one rule of reports and rollups.

A day begins when its midnight first strikes (when the clock skips it: at the skip). A zone may
skip a whole day. All of it is done with Python's zone data; stores are handed instants only.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from footfall.model.times import HOUR_MS, QUARTER_MS

LONGEST_DAY = 26 * HOUR_MS
"""Of a day that begins within a month, so long (ms) after its end events may still occur."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)

# The years whose offsets decide on the step of a zone.
_STEP_YEARS = (2000, 2037)


def instant(moment: datetime) -> int:
    """Milliseconds since 1970 UTC, rounded up."""
    return -((_EPOCH - moment) // _MILLISECOND)


def local(at: int, zone: ZoneInfo) -> datetime:
    """The instant `at` (ms) as the zone's clocks show it."""
    return (_EPOCH + at * _MILLISECOND).astimezone(zone)


def midnight(day: date, zone: ZoneInfo) -> int:
    """When `day` begins: of two midnights the first; a midnight that is skipped is the skip."""
    return instant(datetime(day.year, day.month, day.day, tzinfo=zone))


def is_day_start(at: int, zone: ZoneInfo) -> bool:
    """Whether a day of the zone begins at `at` (ms)."""
    return last_day_start(at, zone) == at


def last_day_start(at: int, zone: ZoneInfo) -> int:
    """When the day begins that holds the instant `at` (ms)."""
    day = local(at, zone).date()
    following = midnight(day + _DAY, zone)
    # Clocks may be put back from just after midnight to the day before (St. John's, until 2011).
    return following if following <= at else midnight(day, zone)


def first_day_start(at: int, zone: ZoneInfo) -> int:
    """When the first day begins that does so at `at` (ms) or later."""
    day = local(at, zone).date()
    while (start := midnight(day, zone)) < at:
        day += _DAY
    return start


def month_start(month: int) -> int:
    """When a month (YYYYMM, UTC) begins."""
    return instant(datetime(month // 100, month % 100, 1, tzinfo=UTC))


def month_end(month: int) -> int:
    """When the one after it begins."""
    year, number = divmod(month, 100)
    return instant(datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC))


def days(first: int, last: int, zone: ZoneInfo) -> Iterator[int]:
    """When the days begin that hold the instants from `first` to `last` (ms), in order."""
    day = local(first, zone).date()
    before = None
    while (at := midnight(day, zone)) <= last:
        if at != before:  # else the whole day is skipped (Apia, 2011-12-30)
            yield at
        before = at
        day += _DAY


@lru_cache(maxsize=1024)
def step_of(timezone: str) -> int:
    """The longest step (ms) by which the zone's hours can be put together: an hour, or a quarter.

    By its offsets of the years 2000 to 2037.
    """
    zone = ZoneInfo(timezone)
    at = datetime(_STEP_YEARS[0], 1, 1, tzinfo=UTC)
    while at.year <= _STEP_YEARS[1]:
        offset = at.astimezone(zone).utcoffset()
        if offset is not None and offset % timedelta(hours=1):
            return QUARTER_MS
        at += 7 * _DAY
    return HOUR_MS
