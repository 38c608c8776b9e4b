"""Ranges of hours of receipt, as people write them."""

from datetime import UTC, datetime

from footfall.errors import Invalid
from footfall.model.times import to_millis
from footfall.state.ledger import HOUR

DAY = 24 * HOUR


def resolve(start: str | None, end: str | None, now: datetime) -> tuple[int, int]:
    """The range that was asked for, in ms, widened to whole hours (UTC).

    A date as the end is inclusive, a time is exclusive. Without a start: from the midnight before
    the end's last one; without an end: up to now. Raises Invalid.
    """
    last = to_millis(now.timestamp()) if end is None else _parse(end, "end", day_ends=True)
    last = -(-last // HOUR) * HOUR
    first = (last - 1) // DAY * DAY - DAY if start is None else _parse(start, "start", day_ends=False)
    first = max(first // HOUR * HOUR, 0)
    if first >= last:
        raise Invalid("start must lie before end", field="start")
    return first, last


def _parse(text: str, field: str, *, day_ends: bool) -> int:
    try:
        # "+" means a space in a query string; nobody escapes the one of an offset.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        at = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
        if not 1970 <= moment.year < 2100:
            raise ValueError("absurd year")
    except (ValueError, OverflowError):
        raise Invalid(
            f"{field} must be a date (2026-01-31) or a time (2026-01-31T18:00:00+01:00) in ISO 8601, "
            "from 1970 to 2099; without an offset it is UTC",
            field=field,
        ) from None
    return at + DAY if day_ends and len(text) <= len("2026-01-31") else at


def iso(at: int) -> str:
    """An instant (ms) as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
