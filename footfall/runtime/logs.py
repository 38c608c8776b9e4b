"""Our own log: structlog, one line an event, to standard error. No address and no secret goes in."""

import logging
import sys
import time
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, WrappedLogger

_ALIKE = 20  # lines with a traceback, in one minute
_MINUTE = 60.0


def configure(level: str) -> None:
    """Set up logging of this process: readable on a terminal, JSON lines otherwise."""
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            FewTraces(),
            *(
                # Plain tracebacks: the pretty ones show local variables, and one may hold a key.
                [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
                if terminal
                else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries that log through the standard library: warnings and above.
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_ToStructlog()], force=True)
    logging.captureWarnings(capture=True)


class FewTraces:
    """A processor that leaves out lines with a traceback where there were many like them in this minute.

    So a request that fails fills no disk, however often it is sent. The next one that is written says how
    many were left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, type | None], tuple[float, int]] = {}  # since when, and how many

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        """Raises DropEvent where it is left out."""
        if not line.get("exc_info"):
            return line
        now, kind = self._clock(), (str(line["event"]), _kind(line["exc_info"]))
        since, seen = self._seen.get(kind, (now, 0))
        if now - since >= _MINUTE:
            if seen > _ALIKE:
                line["left_out"] = seen - _ALIKE
            since, seen = now, 0
        self._seen[kind] = since, seen + 1
        if seen >= _ALIKE:
            raise structlog.DropEvent
        return line


def _kind(exc_info: object) -> type | None:
    """The type of an exception: of one that is given, else of the one in hand."""
    return type(exc_info) if isinstance(exc_info, BaseException) else sys.exc_info()[0]


class _ToStructlog(logging.Handler):
    """What libraries log, as our own lines are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit
            message = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, message, logger=record.name, exc_info=record.exc_info or None)
