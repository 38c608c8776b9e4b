"""How long something held this process's event loop: the time in which nobody else was answered.

The loop beats. A beat that comes late was kept waiting, by a callback that did not end or by other
processes: what counts is the smaller of its delay and of the processor time that the loop's thread used since
the beat before, so a busy machine is not taken for a held loop. (Nor is a wait for the disk: there is
none in a loop.) The longest hold is a metric; one that is too long is a line of the log, at most one
every ten seconds, with the place where a second thread saw the loop meanwhile.
"""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from footfall.metrics import LOOP_HOLDS, LOOP_LONGEST_HOLD
from footfall.runtime.background import thread

log = structlog.get_logger(__name__)

LIMIT = 0.1
"""Seconds above which a hold is told."""

_BEAT = 0.02
_QUIET = 10.0
_FRAMES = 12


class Watchdog:
    """Watches the loop that it is made on. `beat`: seconds; a hold may be that much longer than told."""

    def __init__(self, beat: float = _BEAT, limit: float = LIMIT) -> None:
        self.longest = 0.0
        self._beat_every = beat
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._due = self._cpu = 0.0
        self._where = ""
        self._told = float("-inf")
        self._stopped = threading.Event()
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin. On the loop's thread."""
        self._wait()
        thread("watchdog", self._look)

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._handle:
            self._handle.cancel()

    def forget(self) -> None:
        """The longest hold is of what comes from here on."""
        self.longest = 0.0
        LOOP_LONGEST_HOLD.set(0)

    def _wait(self) -> None:
        self._due, self._cpu = time.monotonic() + self._beat_every, time.thread_time()
        self._handle = self._loop.call_later(self._beat_every, self._beat)

    def _beat(self) -> None:
        held = min(time.monotonic() - self._due, time.thread_time() - self._cpu)
        where, self._where = self._where, ""
        if held > self.longest:
            self.longest = held
            LOOP_LONGEST_HOLD.set(held)
        if held > self._limit:
            LOOP_HOLDS.inc()
            if time.monotonic() - self._told > _QUIET:
                self._told = time.monotonic()
                log.warning("loop.held", seconds=round(held, 3), at=where)
        self._wait()

    def _look(self) -> bool:
        """Of the second thread: see where the loop is while it is late. False at the end."""
        if self._stopped.wait(self._limit / 2):
            return False
        if not self._where and time.monotonic() - self._due > self._limit / 4:
            self._where = _place_of(self._thread)
        return True


@asynccontextmanager
async def watched(beat: float = _BEAT, limit: float = LIMIT) -> AsyncGenerator[Watchdog]:
    """The running loop is watched as long as the block runs."""
    watchdog = Watchdog(beat, limit)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


def _place_of(thread: int) -> str:
    """Where a thread is, from the outermost call in."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - it is documented, and there is no other way
    places: list[str] = []
    while frame is not None and len(places) < _FRAMES:
        places.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return " > ".join(reversed(places))
