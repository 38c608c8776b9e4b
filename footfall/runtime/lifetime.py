"""The first and the last line that a process of Footfall writes to its log."""

import os
import platform
from collections.abc import Callable, Generator
from contextlib import contextmanager

import structlog

from footfall.settings import Settings, changed
from footfall.version import own_version

log = structlog.get_logger(__name__)


@contextmanager
def lifetime(role: str, settings: Settings) -> Generator[Callable[[], None]]:
    """Gives what says `started`; then `stopped` is said at the end, when what was opened within is closed.

    `started` tells what this process is, and what is set otherwise than by default. A process that fails
    before it says nothing but why.
    """
    begun = False

    def started() -> None:
        nonlocal begun
        begun = True
        log.info(
            "started",
            role=role,
            version=own_version(),
            python=platform.python_version(),
            pid=os.getpid(),
            data=str(settings.data.absolute()),
            settings=changed(settings),
        )

    problem: dict[str, str] = {}
    try:
        yield started
    except BaseException as error:
        problem = {"problem": f"{type(error).__name__}: {error}"}
        raise
    finally:
        if begun:
            (log.error if problem else log.info)("stopped", role=role, **problem)
