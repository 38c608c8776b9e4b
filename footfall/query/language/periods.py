"""Ranges of time and the buckets in them, in any IANA zone.

All calendar work is done here, with the zone data of Python: the store is handed instants
only. So one rule holds for ranges, buckets, labels and empty buckets, also on days of 23
or 25 hours and in zones of half and quarter hours.

- A day begins when its midnight first strikes (when the clock skips it: at the skip).
- Weeks begin on Monday (ISO 8601) unless another day is asked for.
- An hour never spans a change of the clock: an hour that strikes twice makes two buckets,
  which differ in their offset.
"""

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

from footfall.errors import Invalid
from footfall.model.calendar import instant, local, midnight
from footfall.model.times import DAY_MS, HOUR_MS

Interval = Literal["hour", "day", "week", "month", "year"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)

MAX_BUCKETS = 10_000
DEFAULT_DAYS = 30
FIRST_YEAR, LAST_YEAR = 1970, 2099

_SHORTEST: dict[Interval, int] = {
    "hour": HOUR_MS,
    "day": 23 * HOUR_MS,
    "week": (7 * 24 - 1) * HOUR_MS,
    "month": (28 * 24 - 1) * HOUR_MS,
    "year": (365 * 24 - 1) * HOUR_MS,
}
# "+" means a space in a query string; nobody escapes the one of an offset.
_LOST_PLUS = re.compile(r"(T[\d:.,]+) (\d\d:?\d\d)$")


class Period(Struct, frozen=True):
    """From `start` (inclusive) to `end` (exclusive), in ms since 1970 UTC, seen in `timezone`."""

    start: int
    end: int
    timezone: str

    def iso(self, at: int) -> str:
        """An instant as ISO 8601 with the offset it has in this zone; milliseconds if it has any."""
        moment = local(at, ZoneInfo(self.timezone))
        return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds")

    def date(self, at: int) -> str:
        """The date of an instant in this zone."""
        return local(at, ZoneInfo(self.timezone)).date().isoformat()

    def buckets(self, interval: Interval, week_start: Weekday = "monday") -> list[int]:
        """When each bucket begins, in order; the first may begin before the period does.

        Raises Invalid when there would be more than MAX_BUCKETS.
        """
        if (self.end - self.start) / _SHORTEST[interval] > MAX_BUCKETS:
            raise Invalid(
                f"this range has more than {MAX_BUCKETS} buckets by {interval}; "
                "ask for a longer interval or a shorter range",
                field="interval",
            )
        zone = ZoneInfo(self.timezone)
        starts = _hours(self, zone) if interval == "hour" else _dates(self, zone, interval, week_start)
        while len(starts) > 1 and starts[1] <= self.start:
            del starts[0]
        return starts

    def clock(self, *, days: bool) -> list[tuple[int, int]]:
        """From when on (ms, the first is the start) the zone's clocks are by how much (ms) ahead of UTC.

        `days`: for telling days apart. What strikes after a day began is that day's, also where clocks are
        put back from just after midnight to the day before.
        """
        zone = ZoneInfo(self.timezone)
        found = [(self.start, _ahead(self.start, zone))]
        for at in range(self.start, self.end, DAY_MS):
            last = min(at + DAY_MS, self.end - 1)
            if (change := _change_between(at, last, zone)) is not None:
                found.append((_day_after(change, zone) if days else change, _ahead(change, zone)))
        return found

    def shown_by_clocks(self, *, days: bool) -> list[int]:
        """The days of the week (1 is Monday), or else the hours of the day, that the period has any of."""
        if self.end - self.start > (8 if days else 2) * DAY_MS:  # more than any change of the clock skips
            return list(range(1, 8) if days else range(24))
        zone = ZoneInfo(self.timezone)
        if days:
            return sorted({local(at, zone).isoweekday() for at in self.buckets("day")})
        return sorted({local(max(at, self.start), zone).hour for at in _hours(self, zone)})

    def before(self) -> "Period":
        """As long a period that ends where this one begins: as many days, if it is whole days."""
        zone = ZoneInfo(self.timezone)
        first, last = local(self.start, zone).date(), local(self.end, zone).date()
        if midnight(first, zone) == self.start and midnight(last, zone) == self.end:
            return Period(max(midnight(first - (last - first), zone), 0), self.start, self.timezone)
        return Period(max(2 * self.start - self.end, 0), self.start, self.timezone)

    def months_before(self, count: int) -> "Period":
        """The same days of the month, so many months ago; where that has fewer days, its last one.

        Whole months are compared with whole months.
        """
        zone = ZoneInfo(self.timezone)
        first, last = local(self.start, zone), local(self.end, zone)
        start, end = (instant(_months_ago(moment, count)) for moment in (first, last))
        return Period(max(start, 0), max(end, 1), self.timezone)

    def on_weekday_of(self, other: "Period") -> "Period":
        """Moved on, or where it would be `other` itself back, to begin on the same day of the week."""
        zone = ZoneInfo(self.timezone)
        first, last = local(self.start, zone), local(self.end, zone)
        wanted = local(other.start, zone)
        days = (wanted.weekday() - first.weekday()) % 7
        if days and first.date() + timedelta(days=days) == wanted.date():
            days -= 7
        start, end = (_days_on(moment, days) for moment in (first, last))
        return Period(max(start, 0), max(end, 1), self.timezone)

    def year_before(self) -> "Period":
        """The same dates and times of day, a year ago; 29 February becomes the 28th.

        As the end of a range that begins before it, it becomes 1 March: the 28th is within.
        """
        zone = ZoneInfo(self.timezone)
        first, last = local(self.start, zone), local(self.end, zone)
        if _leap_day(last) and not _leap_day(first):
            last = last.replace(month=3, day=1)
        start, end = (instant(_year_ago(moment)) for moment in (first, last))
        return Period(max(start, 0), max(end, 1), self.timezone)


def resolve(
    start: str | None,
    end: str | None,
    timezone: str,
    now: datetime,
    fields: tuple[str, str] = ("start_date", "end_date"),
) -> Period:
    """The period that was asked for; `fields` are the names the caller used.

    A date as the end is inclusive, a time is exclusive. Without a start: the 30 dates up to
    the end; without an end: up to and including today. Raises Invalid.
    """
    zone = find_zone(timezone)
    start_at = None if start is None else _parse(start, zone, fields[0], whole_day=False)
    end_at = None if end is None else _parse(end, zone, fields[1], whole_day=True)
    if end_at is None:
        end_at = midnight(now.astimezone(zone).date() + timedelta(days=1), zone)
    if start_at is None:
        last_day = local(end_at - 1, zone).date()
        start_at = max(midnight(last_day - timedelta(days=DEFAULT_DAYS - 1), zone), 0)
    if start_at >= end_at:
        tail = "" if end else f"; without {fields[1]} the range ends today"
        raise Invalid(f"{fields[0]} must lie before {fields[1]}{tail}", field=fields[0])
    return Period(start_at, end_at, timezone)


def find_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises Invalid."""
    if name not in zone_names():
        raise Invalid("timezone must be the name of an IANA zone: UTC, Europe/Berlin, ...", field="timezone")
    return ZoneInfo(name)


@lru_cache
def zone_names() -> frozenset[str]:
    """All zones that may be asked for."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _parse(text: str, zone: ZoneInfo, field: str, *, whole_day: bool) -> int:
    """The instant that `text` means, in ms rounded up; the end of a date if `whole_day`."""
    try:
        if len(text) <= len("2026-01-31") and "T" not in text:
            day = date.fromisoformat(text)
            year = day.year
            at = midnight(day + timedelta(days=1) if whole_day else day, zone)
        else:
            moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
            year, at = moment.year, instant(moment)
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise ValueError("absurd year")
    except (ValueError, OverflowError):
        raise Invalid(
            f"{field} must be a date (2026-01-31) or a time (2026-01-31T18:00:00+01:00) in ISO 8601, "
            f"from {FIRST_YEAR} to {LAST_YEAR}",
            field=field,
        ) from None
    return max(at, 0)


def _dates(period: Period, zone: ZoneInfo, interval: Interval, week_start: Weekday = "monday") -> list[int]:
    day = local(period.start, zone).date()
    if interval == "week":
        day -= timedelta(days=(day.weekday() - _WEEKDAYS.index(week_start)) % 7)
    elif interval != "day":
        day = day.replace(day=1, month=1 if interval == "year" else day.month)
    starts: list[int] = []
    while (at := midnight(day, zone)) < period.end:
        if not starts or at > starts[-1]:  # a zone may skip a whole day (Apia, 2011-12-30)
            starts.append(at)
        day = _next(day, interval)
    return starts


def _year_ago(moment: datetime) -> datetime:
    return moment.replace(year=moment.year - 1, day=28 if _leap_day(moment) else moment.day)


def _months_ago(moment: datetime, count: int) -> datetime:
    months = moment.year * 12 + moment.month - 1 - count
    year, month = months // 12, months % 12 + 1
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=moment.tzinfo)
    return moment.replace(year=year, month=month, day=min(moment.day, (following - timedelta(days=1)).day))


def _days_on(moment: datetime, days: int) -> int:
    """As many days on, at the same time of the clock."""
    return instant((moment.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=moment.tzinfo))


def _leap_day(moment: datetime) -> bool:
    return (moment.month, moment.day) == (2, 29)


def _next(day: date, interval: Interval) -> date:
    if interval in ("day", "week"):
        return day + timedelta(days=1 if interval == "day" else 7)
    if interval == "year":
        return day.replace(year=day.year + 1)
    return (day + timedelta(days=31)).replace(day=1)


def _hours(period: Period, zone: ZoneInfo) -> list[int]:
    at = period.start
    into = _into_hour(at, zone)
    starts = [_change_between(at - into, at, zone) or at - into]
    while True:
        at = starts[-1]
        following = at + HOUR_MS - _into_hour(at, zone)
        following = _change_between(at, following, zone) or following
        if following >= period.end:
            return starts
        starts.append(following)


def _ahead(at: int, zone: ZoneInfo) -> int:
    offset = local(at, zone).utcoffset() or timedelta()
    return offset // timedelta(milliseconds=1)


def _day_after(change: int, zone: ZoneInfo) -> int:
    """A change of the clock; where it is put back to the day before, when that is over for good."""
    before, after = local(change - 1, zone), local(change, zone)
    if after.date() >= before.date():
        return change
    following = after.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return instant(following.replace(fold=1))


def _into_hour(at: int, zone: ZoneInfo) -> int:
    moment = local(at, zone)
    return (moment.minute * 60 + moment.second) * 1000 + moment.microsecond // 1000


def _change_between(low: int, high: int, zone: ZoneInfo) -> int | None:
    """The instant in (low, high] from which on the offset is that of `high`; None if it never changed."""
    target = local(high, zone).utcoffset()
    if local(low, zone).utcoffset() == target:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if local(middle, zone).utcoffset() == target:
            high = middle
        else:
            low = middle
    return high
