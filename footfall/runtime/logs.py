"""Our own log: structlog, one line an event, to standard error. No address and no secret goes in."""

import logging
import sys

import structlog


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
