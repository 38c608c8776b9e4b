"""Everything that runs beside requests: loops that never end in silence, and roles that end together.

A loop does its work again and again. Whatever a round raises is logged (once, until a round
goes well again), counted, and tried again after a growing pause. A loop that fails repeatedly,
has not come round in time, or has ended is in trouble: `troubles` says so, to `/health/ready`
and to the alert condition `loops`.
"""

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple, TypeVar

import structlog

from footfall.errors import FootfallError
from footfall.metrics import LOOP_FAILURES, LOOP_SUCCESS, LOOPS_IN_TROUBLE
from footfall.model.times import Seconds

log = structlog.get_logger(__name__)

SLOW = 60.0
"""Seconds a round may take, unless the loop says otherwise."""

_REPEATEDLY = 3  # failures in a row
_FIRST_PAUSE = 1.0  # seconds after a failure, or the period if that is shorter; doubled with each further one
_END = 5.0  # seconds that a cancelled round has, before what is waited for is told
_LONGEST_END = 30.0

T = TypeVar("T")


class Trouble(NamedTuple):
    """What is wrong with a loop."""

    loop: str
    problem: Literal["fails", "stuck", "ended"]


class _Health:
    """How one loop fares. Told by the loop, asked by anybody."""

    def __init__(self, name: str, period: float, slow: float) -> None:
        self.name = name
        self._success = LOOP_SUCCESS.labels(name)
        self._first_pause = min(period, _FIRST_PAUSE)
        self._longest_pause = max(period, _FIRST_PAUSE)
        self._slow = slow
        self._failures = 0  # in a row
        self._told: type[BaseException] | None = None
        self._by = float("inf")  # by the monotonic clock: when something should have happened
        self.lives: Callable[[], bool] = lambda: True

    def expect(self, seconds: Seconds = 0.0) -> None:
        """The next word comes in `seconds`, or a little later."""
        self._by = time.monotonic() + seconds + self._slow

    def succeeded(self) -> None:
        """A round went well."""
        if self._failures:
            log.info("loop.recovered", loop=self.name, failures=self._failures)
        self._failures, self._told = 0, None
        self._success.set_to_current_time()

    def failed(self, error: BaseException) -> float:
        """A round failed. Returns the pause before the next one."""
        self._failures += 1
        LOOP_FAILURES.labels(self.name).inc()
        if self._told is not type(error):
            self._told = type(error)
            # An error that Footfall raises on purpose says all in its message.
            trace = None if isinstance(error, FootfallError) else error
            log.error("loop.failed", loop=self.name, problem=describe(error), exc_info=trace)
        longest = min(self._first_pause * 2 ** min(self._failures - 1, 20), self._longest_pause)
        return random.uniform(longest / 2, longest)  # noqa: S311 -- jitter is no secret

    def trouble(self) -> Trouble | None:
        if not self.lives():
            return Trouble(self.name, "ended")
        if time.monotonic() > self._by:
            return Trouble(self.name, "stuck")
        return Trouble(self.name, "fails") if self._failures >= _REPEATEDLY else None


_running: set[_Health] = set()


def troubles() -> list[Trouble]:
    """The loops of this process that are in trouble now."""
    return sorted(trouble for health in list(_running) if (trouble := health.trouble()))


LOOPS_IN_TROUBLE.set_function(lambda: len(troubles()))


class Loop:
    """`work`, every `seconds`, the first time after that long. For one event loop.

    `slow`: seconds a round may take before it counts as stuck. `grace`: seconds that a running
    round has to end by itself when the loop is stopped, before it is cancelled.
    """

    def __init__(
        self,
        name: str,
        seconds: Seconds,
        work: Callable[[], Awaitable[None]],
        *,
        slow: float = SLOW,
        grace: float = 0.0,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._work = work
        self._grace = grace
        self._health = _Health(name, seconds, slow)
        self._wake = asyncio.Event()
        self._end = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self._name)
        task = self._task
        self._health.lives = lambda: not task.done()
        self._health.expect(self._seconds)
        _running.add(self._health)

    def wake(self) -> None:
        """Do the work now rather than when its time has come; not while it rests after a failure."""
        self._wake.set()

    async def leave(self) -> bool:
        """Begin no further round, and wait for the one that runs, for the grace; False when it goes on."""
        self._end.set()
        self._wake.set()
        if self._task is None:
            return True
        if self._grace:
            await asyncio.wait({self._task}, timeout=self._grace)
        if not self._task.done():
            return False
        _running.discard(self._health)
        self._task = None
        return True

    async def stop(self) -> None:
        """Returns when no round runs any more. One that cannot be cancelled is left after 30 s, and told."""
        await self.leave()
        task = self._task
        if task is None:
            return
        waited = 0.0
        while not task.done() and waited < _LONGEST_END:
            # Again each time: a cancellation can be swallowed on its way.
            task.cancel()
            if not (await asyncio.wait({task}, timeout=_END))[0]:
                waited += _END
                log.warning("loop.does_not_end", loop=self._name, seconds=waited, at=place_of(task))
        _running.discard(self._health)
        self._task = None

    async def _run(self) -> None:
        health = self._health
        pause: float | None = None
        while True:
            await self._rest(pause)
            if self._end.is_set():
                return
            health.expect()
            try:
                await self._work()
            except asyncio.CancelledError as error:
                me = asyncio.current_task()
                if self._end.is_set() or me is None or me.cancelling():
                    raise
                pause = health.failed(error)  # of something that it waited for: not meant for this loop
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next round may go well
                pause = health.failed(error)
            else:
                health.succeeded()
                pause = None

    async def _rest(self, pause: float | None) -> None:
        """Wait for the next round; after a failure so long that nobody but the end can shorten it."""
        self._health.expect(self._seconds if pause is None else pause)
        if pause is not None:
            await set_within(self._end, pause)
        elif not self._wake.is_set():
            # A timer that wakes: a third of what a timeout costs, for every click that comes alone.
            timer = asyncio.get_running_loop().call_later(self._seconds, self._wake.set)
            await self._wake.wait()
            timer.cancel()
        self._wake.clear()


@asynccontextmanager
async def every(
    name: str,
    seconds: Seconds,
    work: Callable[[], Awaitable[None]],
    *,
    slow: float = SLOW,
    grace: float = 0.0,
) -> AsyncGenerator[Loop]:
    """A `Loop` that runs as long as the block."""
    loop = Loop(name, seconds, work, slow=slow, grace=grace)
    loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


def thread(name: str, work: Callable[[], bool], *, slow: float = SLOW) -> threading.Thread:
    """A daemon thread, started, that calls `work` until it returns False: a `Loop` for what blocks.

    A call that takes longer than `slow` seconds counts as stuck.
    """
    health = _Health(name, _FIRST_PAUSE, slow)

    def run() -> None:
        going = True
        while going:
            health.expect()
            try:
                going = work()
            except Exception as error:  # noqa: BLE001 -- as in Loop
                pause = health.failed(error)
                health.expect(pause)
                time.sleep(pause)
            else:
                health.succeeded()
        _running.discard(health)

    started = threading.Thread(target=run, name=name, daemon=True)
    _running.add(health)
    started.start()
    health.lives = started.is_alive
    return started


_once: set[asyncio.Task[Any]] = set()


def beside(name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Do something once; whether or not anybody waits for it, what it raises is logged and counted."""
    task = asyncio.create_task(work, name=name)
    _once.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _once.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None:
        LOOP_FAILURES.labels(task.get_name()).inc()
        log.error("task.failed", task=task.get_name(), problem=describe(error), exc_info=error)


async def first_to_end(roles: Sequence[Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Run all; when one ends, however it does, stop the others. Raises what ended the first."""
    tasks = [asyncio.create_task(role) for role in roles]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.wait(tasks)
    for task in tasks:
        task.result()


async def set_within(event: asyncio.Event, seconds: Seconds) -> bool:
    """Whether the event is set within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def describe(error: BaseException) -> str:
    """An error in a line of the log."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def place_of(task: asyncio.Task[Any]) -> str:
    """Where a task waits: its coroutines from the outermost in, each with its line."""
    places: list[str] = []
    inner = task.get_coro()
    while (frame := getattr(inner, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        inner = getattr(inner, "cr_await", None)
    return " > ".join(places)
