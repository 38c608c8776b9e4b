"""Appending to the log, for everything at the door: whatever goes wrong has one of two answers."""

import time

import structlog

from footfall.errors import Invalid, LogFull, TooLarge
from footfall.eventlog.port import Entry, EventLog
from footfall.metrics import LOG_ERRORS
from footfall.model.record import Record, encode

log = structlog.get_logger(__name__)

_TELL_EVERY = 10.0  # seconds: every request may meet the same failure


class LogFailed(LogFull):
    """The log did not refuse, it failed. Whoever sends hears the same; whoever runs this should know."""


class _Told:
    at = float("-inf")


async def append(eventlog: EventLog, key: str, record: Record) -> None:
    """Make a record durable.

    Raises Invalid (TooLarge, if it is that) when the log will never take this record, LogFull when
    it does not take it now, for whatever reason: LogFailed for one that is not among its own.
    Nothing of it is kept then.
    """
    try:
        data = encode(record)
    except (TypeError, ValueError, OverflowError) as error:
        _tell(error)
        raise Invalid("this cannot be recorded") from error
    try:
        await eventlog.append(Entry(key, data))
    except Invalid as error:
        raise TooLarge(f"together these are too large for the log ({error}); send fewer at once") from error
    except LogFull:
        raise
    except Exception as error:
        _tell(error)
        raise LogFailed("the log failed in an unexpected way") from error


def _tell(error: Exception) -> None:
    LOG_ERRORS.inc()
    now = time.monotonic()
    if now - _Told.at >= _TELL_EVERY:
        _Told.at = now
        log.error("append.failed", problem=f"{type(error).__name__}: {error}", exc_info=error)
