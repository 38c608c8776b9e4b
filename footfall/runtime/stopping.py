"""A role that was told to stop: it says what it waits for, and the wait has an end.

Whatever was acknowledged is safe in the log, and what was begun is made up for by the next start, so a stop
that does not come to its end is ended as a crash would.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from math import inf

import structlog

from footfall.runtime.background import beside, place_of, thread

log = structlog.get_logger(__name__)

DEADLINE = 60.0
"""Seconds for a clean stop. (The supervisor gives its children less.)"""

_TELL_AFTER = 5.0  # and then every so many
_MOST = 20  # tasks in a line of the log
_IDLE = "_worker"  # where a thread of a pool waits for work
_EXIT = 70  # the status of a stop that did not come to its end: EX_SOFTWARE


def stop_on_signals() -> asyncio.Event:
    """Set at SIGTERM or SIGINT. Once it is set, by whomever, the process ends within the deadline."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    async def watched() -> None:
        await stop.wait()
        watch(loop)

    beside("stop", watched())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def no_interrupt_after() -> Generator[Callable[[], Awaitable[None]]]:
    """What it yields is awaited where there is no way back: from there to the block's end Ctrl-C is ignored.

    One that came before is raised there, as CancelledError. In the main thread only.
    """
    before = signal.getsignal(signal.SIGINT)

    async def reached() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        await asyncio.sleep(0)

    try:
        yield reached
    finally:
        signal.signal(signal.SIGINT, before)


def watch(
    loop: asyncio.AbstractEventLoop, deadline: float = DEADLINE, tell_after: float = _TELL_AFTER
) -> None:
    """End the process at the deadline, and say before what it still waits for."""
    began = time.monotonic()

    def look() -> bool:
        waited = time.monotonic() - began
        if waited < deadline:
            time.sleep(min(tell_after, deadline - waited))
            log.warning("stop.waits", seconds=round(time.monotonic() - began, 1), **waits_for(loop))
            return True
        log.error("stop.given_up", seconds=round(waited), **waits_for(loop))
        os._exit(_EXIT)

    thread("stop", look, slow=inf)


def waits_for(loop: asyncio.AbstractEventLoop) -> dict[str, list[str]]:
    """The tasks that have not ended, and the threads that the end of the process waits for."""
    tasks = [f"{task.get_name()} at {place_of(task)}" for task in asyncio.all_tasks(loop) if not task.done()]
    frames = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- the documented way
    threads = [
        f"{each.name} at {code.co_qualname}:{frame.f_lineno}"
        for each in threading.enumerate()
        if not each.daemon and each is not threading.main_thread()
        if (frame := frames.get(each.ident or 0)) and (code := frame.f_code).co_name != _IDLE
    ]
    return {"tasks": sorted(tasks)[:_MOST], "threads": sorted(threads)[:_MOST]}
