"""Ranges by name, as Dub and Plausible have them: a pure function of the time and the zone.

Every range but the 24 hours is whole days of the zone. Those named by a length or by what they
are so far end with today, so that `30d` is the range that holds without any; those that begin
with `last_` are whole months, quarters and years, which are over.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Literal

from footfall.model.calendar import instant, local, midnight
from footfall.query.language.periods import Period, find_zone

RangeName = Literal[
    "24h", "today", "yesterday", "7d", "28d", "30d", "90d", "91d", "6mo", "12mo", "1y", "mtd", "qtd", "ytd",
    "last_month", "last_quarter", "last_year", "previous_month", "previous_quarter", "all",
]  # fmt: skip
"""What the GET reports take as `interval`, where `day`, `month` and `year` are lengths of buckets."""

_MINUTE = 60_000


def _days(count: int) -> Callable[[date], date]:
    return lambda today: today - timedelta(days=count - 1)


def _months(count: int) -> Callable[[date], date]:
    """So many months, the last one being that of today."""

    def first(today: date) -> date:
        months = today.year * 12 + today.month - count
        return date(months // 12, months % 12 + 1, 1)

    return first


def _quarter(today: date) -> date:
    return date(today.year, (today.month - 1) // 3 * 3 + 1, 1)


def _year(today: date) -> date:
    return date(today.year, 1, 1)


def _year_ago(today: date) -> date:
    if (today.month, today.day) == (2, 29):
        return date(today.year - 1, 3, 1)
    return today.replace(year=today.year - 1) + timedelta(days=1)


_FIRST_DAY: Mapping[str, Callable[[date], date]] = {
    "today": _days(1),
    "day": _days(1),
    "7d": _days(7),
    "28d": _days(28),
    "30d": _days(30),
    "90d": _days(90),
    "91d": _days(91),
    "month": _months(1),
    "mtd": _months(1),
    "6mo": _months(6),
    "12mo": _months(12),
    "qtd": _quarter,
    "year": _year,
    "ytd": _year,
    "1y": _year_ago,
}

# A range that is over is as the one that follows it was on its last day.
_BEFORE: Mapping[str, str] = {
    "yesterday": "today",
    "last_month": "mtd",
    "last_quarter": "qtd",
    "last_year": "ytd",
    "previous_month": "mtd",
    "previous_quarter": "qtd",
}

MEANINGS: Mapping[str, str] = {
    "24h": "the 24 hours up to now",
    "today": "today",
    "yesterday": "yesterday",
    "7d": "today and the 6 days before it",
    "28d": "today and the 27 days before it",
    "30d": "today and the 29 days before it",
    "90d": "today and the 89 days before it",
    "91d": "today and the 90 days before it",
    "6mo": "this month so far and the 5 before it",
    "12mo": "this month so far and the 11 before it",
    "1y": "a year up to and including today",
    "mtd": "this month so far",
    "qtd": "this quarter so far",
    "ytd": "this year so far",
    "last_month": "the calendar month before this one",
    "last_quarter": "the calendar quarter before this one",
    "last_year": "the calendar year before this one",
    "previous_month": "the same as last_month",
    "previous_quarter": "the same as last_quarter",
    "day": "today",
    "month": "this month so far",
    "year": "this year so far",
    "all": "everything, from the day of the first event kept",
}
"""For the documentation: what each stands for."""


PRESETS: tuple[str, ...] = tuple(MEANINGS)
"""Every name; `POST /v1/query` takes them all as `date_range`, and any LENGTH beside."""

LENGTH = re.compile(r"([1-9]\d{0,3})(d|w|mo)", re.ASCII)
"""So many days, weeks or months up to and including today; months begin on the first of one."""


def is_range(name: str) -> bool:
    """Whether `preset` knows it."""
    return name in MEANINGS or LENGTH.fullmatch(name) is not None


def _first_day(name: str) -> Callable[[date], date]:
    length = LENGTH.fullmatch(name)
    if name in _FIRST_DAY or length is None:
        return _FIRST_DAY[name]
    count = int(length[1])
    if length[2] == "mo":
        return _months(min(count, 12 * 100))
    return _days(count * (7 if length[2] == "w" else 1))


def preset(name: str, now: datetime, timezone: str, first: int | None = None) -> Period:
    """The range of one of PRESETS, or of a LENGTH.

    `now` has a zone. `first`: when the first event kept occurred (ms), for `all`; None when there
    is none, and then `all` is today. The end of 24 hours is rounded up to the minute. Raises
    Invalid for an unknown zone.
    """
    zone = find_zone(timezone)
    if name == "24h":
        end = -(-instant(now) // _MINUTE) * _MINUTE
        return Period(end - 24 * 60 * _MINUTE, end, timezone)
    today = now.astimezone(zone).date()
    end = midnight(today + timedelta(days=1), zone)
    if name == "all":
        day = today if first is None else min(local(first, zone).date(), today)
    elif name in _BEFORE:
        so_far = _FIRST_DAY[_BEFORE[name]]
        end = midnight(so_far(today), zone)
        # Asked of the clock, not of the calendar: a zone may skip a whole day (Apia, 2011-12-30).
        day = so_far(local(end - 1, zone).date())
    else:
        day = _first_day(name)(today)
    return Period(max(midnight(day, zone), 0), end, timezone)
