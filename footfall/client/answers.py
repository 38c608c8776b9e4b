"""What an answer means: of the door, for a batch; of the console, for a question."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from footfall.errors import Conflict, Denied, FootfallError, Invalid, NotFound, Retryable, TooLarge

_LONGEST_WAIT = 300.0  # seconds; a Retry-After beyond it is taken for this


class Verdict(Struct, frozen=True):
    """What became of one event of a batch, unless it was simply accepted."""

    index: int
    status: str
    reason: str = ""
    field: str = ""
    message: str = ""


class _Accepted(Struct):
    accepted: int
    results: list[Verdict] = []


class Read(NamedTuple):
    """The door answered; every event without a verdict is accepted."""

    verdicts: list[Verdict]


class Again(NamedTuple):
    """Nothing is known to be accepted: send the same again, after `wait` seconds if it says so."""

    why: str
    wait: float = 0.0


class Halve(NamedTuple):
    """Too much at once."""

    why: str


class Refused(NamedTuple):
    """The request as a whole is refused, and would be again."""

    reason: str
    field: str
    message: str


Outcome = Read | Again | Halve | Refused

_accepted = msgspec.json.Decoder(_Accepted)
# Passing trouble: 408 and 425 (too early) come from proxies.
_PASSING = frozenset({408, 425, 429})


def read_door(status: int, headers: Mapping[str, str], body: bytes, events: int) -> Outcome:
    """What an answer of the door says of the batch of `events` events it was given."""
    if status in _PASSING or status >= 500:
        return Again(f"{status} {problem(body)[0]}".rstrip(), retry_after(headers))
    if 200 <= status < 300:
        try:
            verdicts = _accepted.decode(body).results
        except msgspec.DecodeError:
            verdicts = None
        if verdicts is None or any(not 0 <= verdict.index < events for verdict in verdicts):
            # A proxy's page, a captive portal: nothing acknowledges the events.
            return Again(f"{status}, but that is no answer of Footfall; is the URL right?")
        return Read(verdicts)
    detail, field = problem(body)
    if status == 413:
        return Halve(detail)
    if 300 <= status < 400:
        detail = f"redirected to {headers.get('location', 'nowhere')[:200]}; redirects are not followed"
    return Refused(f"http_{status}", field, detail or f"the door answered with {status}")


def problem(body: bytes) -> tuple[str, str]:
    """`detail` and `field` of a problem document (RFC 9457); both "" when it is none."""
    try:
        document: Any = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return "", ""
    return str(document.get("detail") or ""), str(document.get("field") or "")


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait after Retry-After, a number or a date (RFC 9110, 10.2.3); 0 without one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return 0.0
    return min(max(wait, 0.0), _LONGEST_WAIT)


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> FootfallError:
    """The error that an answer of the console (not 2xx) stands for."""
    detail, field = problem(body)
    detail = detail or f"the console answered with {status}"
    match status:
        case 413:
            return TooLarge(detail, field=field)
        case 400 | 422:
            return Invalid(detail, field=field)
        case 401 | 403:
            return Denied(detail, known=status == 403)
        case 404:
            return NotFound(detail)
        case 409:
            return Conflict(detail, field=field)
        case 429 | 502 | 503 | 504:
            return Retryable(detail, retry_after=retry_after(headers) or 1.0)
        case _:
            return FootfallError(detail)
