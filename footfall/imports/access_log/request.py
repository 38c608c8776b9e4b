"""One line of an access log: the request it tells of, in the common words of all formats.

The client's address is part of it while the line is read, and of nothing that is made to
stay: see `identity`.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from footfall.enrich.text import without_controls

_LATEST = 4_102_444_800_000  # the year 2100, in ms
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_CLF_MINUTE = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d)", re.ASCII)
_ZONE = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_OF_ADDRESSES = re.compile(r"[0-9A-Fa-f.:]+")

_UNKNOWN_TIME = "the time is none that is known"

LONG = 2048  # characters of a URL, as at the door
USER_AGENT = 1000


class Request(Struct, frozen=True, gc=False):
    """`at` in ms since 1970 UTC; `target` as in the request line; what the log does not tell is ""."""

    address: str
    at: int
    method: str
    target: str
    status: int
    referrer: str
    user_agent: str
    host: str  # that the client asked for


def identity(request: Request) -> bytes:
    """What tells this request from others, but for the client's address.

    Ids and digests that stay are made of this, so no key and no patience leads from them to
    an address. Requests that differ in their address only are told apart by their order.
    """
    joined = (
        f"{request.at}\n{request.method}\n{request.target}\n{request.status}\n{request.referrer}"
        f"\n{none_if_dash(request.user_agent)}\n{request.host}"
    )
    return joined.encode("utf-8", "replace")


def identity_of_text(line: str) -> bytes:
    """The same for a line that is no request: what no address is made of."""
    return _OF_ADDRESSES.sub("", line).encode("utf-8", "replace")


def agent_of(written: str) -> str:
    """A User-Agent as a log writes it that has a place for it: "-" where the request had none."""
    return written.strip() or "-"


def text(value: str, limit: int) -> str:
    """A header's value as it may be stored: without controls, within `limit`."""
    return without_controls(value[:limit])


def none_if_dash(value: str) -> str:
    """What logs write as "-" is none."""
    return "" if value == "-" else value


@lru_cache(8192)
def clf_time(written: str) -> int:
    """The ms of a time as the common log format writes it: `17/May/2015:10:05:03 +0000`.

    Raises ValueError.
    """
    # The minute is the same for many lines.
    seconds = written[17:20]
    if len(seconds) != 3 or seconds[0] != ":" or not seconds[1:].isdecimal() or not seconds.isascii():
        raise ValueError("the time is not that of an access log")
    if int(seconds[1:]) > 60:  # a leap second is the 60th
        raise ValueError("the time names a second that is none")
    return _clf_minute(written[:17], written[20:].strip()) + int(seconds[1:]) * 1000


@lru_cache(1024)
def _clf_minute(minute: str, zone: str) -> int:
    found, offset = _CLF_MINUTE.fullmatch(minute), _ZONE.fullmatch(zone)
    if found is None or offset is None or found[2] not in _MONTHS:
        raise ValueError("the time is not that of an access log")
    try:
        day = datetime(int(found[3]), _MONTHS[found[2]], int(found[1]), tzinfo=UTC)
        at = day.replace(hour=int(found[4]), minute=int(found[5])).timestamp()
    except ValueError:
        raise ValueError("the time names a day or an hour that is none") from None
    if int(offset[2]) > 14 or int(offset[3]) > 59:
        raise ValueError("the time names a zone that is none")
    minutes = int(offset[2]) * 60 + int(offset[3])
    return int(at) * 1000 - (minutes if offset[1] == "+" else -minutes) * 60_000


def any_time(written: object) -> int:
    """The ms of a time in the common log format, in ISO 8601 (UTC if it names no zone), or since 1970.

    A number is taken for seconds, ms, µs or ns by its size. Raises ValueError.
    """
    if isinstance(written, str):
        if written[2:3] == "/":
            return clf_time(written)
        try:
            if "-" in written[1:]:
                at = datetime.fromisoformat(written)
                return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
            written = float(written)
        except (ValueError, OverflowError):
            raise ValueError(_UNKNOWN_TIME) from None  # without what was written, which may be anything
    if not isinstance(written, int | float) or isinstance(written, bool):
        raise ValueError("the time is neither text nor a number")  # noqa: TRY004 -- as for wrong text
    for limit, factor in ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (1e20, 1e-6)):
        if 0 < written < limit:
            return int(written * factor)
    raise ValueError("the time is not of this age")


def checked(at: int, status: int) -> None:
    """Raises ValueError for a time or status that cannot be."""
    if not 0 < at < _LATEST:
        raise ValueError("the time is not of this age")
    if not 100 <= status <= 599:
        raise ValueError("the status is none of HTTP")
