"""The range that a question is about, and the one it is compared with."""

from datetime import datetime

from footfall.errors import Invalid
from footfall.query.language.body import COMPARISONS, Query
from footfall.query.language.periods import FIRST_YEAR, Period, resolve
from footfall.query.language.presets import PRESETS, is_range, preset
from footfall.query.language.refusals import unknown


def period_of(query: Query, now: datetime, first_event: int | None = None) -> Period:
    """The range that a query is about. `first_event` (ms): where `all` begins. Raises Invalid."""
    return _period(query.date_range, query.timezone, now, "date_range", first_event)


def compared_period(query: Query, period: Period, now: datetime) -> Period | None:
    """The range to compare with. Raises Invalid."""
    match query.compare:
        case None:
            return None
        case "previous_period":
            other = period.before()
        case "year_over_year":
            other = period.year_before()
        case "previous_month":
            other = period.months_before(1)
        case "previous_quarter":
            other = period.months_before(3)
        case str(name):
            raise unknown("compare", name, COMPARISONS, ", or two dates or times")
        case given:
            other = _period(given, query.timezone, now, "compare", None)
    if query.include.match_day_of_week:
        other = other.on_weekday_of(period)
    if other.start >= other.end or other.end <= 1:
        raise Invalid(f"compare: nothing is known of the years before {FIRST_YEAR}", field="compare")
    return other


def _period(given: str | list[str], timezone: str, now: datetime, field: str, first: int | None) -> Period:
    if isinstance(given, str):
        if not is_range(given):
            raise unknown(
                field, given, PRESETS, ", so many days, weeks or months (14d, 8w, 3mo), or two dates or times"
            )
        return preset(given, now, timezone, first)
    if len(given) != 2:
        raise Invalid(f"{field} must be two dates or times: [from, to]", field=field)
    return resolve(given[0], given[1], timezone, now, (f"{field}[0]", f"{field}[1]"))
