"""`footfall serve`: starts the roles as processes of their own and keeps them running.

The supervisor holds the data directory's lock and nothing else: no log, no store. Each child
inherits two descriptors. The lock: so the directory is taken until the last child has
ended, even if the supervisor is killed. And the reading end of a pipe, the lifeline, whose
only writing end is the supervisor's: end-of-file means that the supervisor is gone, whatever
killed it. A pipe rather than Linux's parent-death signal because it works on macOS too and
has no gap: a child that looks late still sees the end.

A child is made with `subprocess`, never by a bare fork: the engine does not survive one.
"""

import asyncio
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from footfall.runtime.background import set_within, thread

GRACE = 10.0
"""Seconds a child has for a clean stop before it is killed."""

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_STEADY = 10.0  # a child that ran this long starts again without delay

_SECRETS = ("FOOTFALL_ADMIN_KEY", "FOOTFALL_KEY")  # of the first start, and of commands: no role needs them

MISCONFIGURED = 2
"""The exit status of a role that cannot run as it is set up: starting it again would not help."""


class Child(NamedTuple):
    """A role: its name in messages, and its command, which `--lifeline FD` is added to."""

    name: str
    command: Sequence[str]


class Supervisor:
    """Keeps `children` running until it is told to stop.

    `say` gets one line for each thing that happens. `inherit` are descriptors that the
    children keep open.
    """

    def __init__(
        self, children: Sequence[Child], say: Callable[[str], None], inherit: Sequence[int] = ()
    ) -> None:
        self._children = children
        self._say = say
        self._inherit = tuple(inherit)
        self._stop = asyncio.Event()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._status = 0

    def stop(self) -> None:
        """Begin a clean stop. A second call ends the children at once."""
        if self._stop.is_set():
            self._kill()
        self._stop.set()

    async def run(self) -> int:
        """Returns the exit status, after all children have ended."""
        loop = asyncio.get_running_loop()
        # What is ignored stays ignored: `nohup footfall serve` outlives its terminal.
        handled = [number for number in _STOPPING if signal.getsignal(number) != signal.SIG_IGN]
        for number in handled:
            loop.add_signal_handler(number, self.stop)
        lifeline, writing_end = os.pipe()
        try:
            await asyncio.gather(*(self._keep(child, lifeline) for child in self._children))
        finally:
            self._kill()
            os.close(writing_end)
            os.close(lifeline)
            for number in handled:
                loop.remove_signal_handler(number)
        return self._status

    async def _keep(self, child: Child, lifeline: int) -> None:
        delay = _FIRST_DELAY
        steady = False
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                process = await self._start(child, lifeline)
            except OSError as error:  # no memory or no process left for it: the other children go on
                self._say(f"{child.name} could not be started: {error.strerror}")
                await set_within(self._stop, delay)
                delay = min(delay * 2, _LONGEST_DELAY)
                continue
            status = await self._wait(process)
            if self._stop.is_set():
                break
            if status == MISCONFIGURED and not steady:
                self._say(f"{child.name} cannot start; stopping")
                self._status = MISCONFIGURED
                self._stop.set()
                break
            if time.monotonic() - started >= _STEADY:
                delay, steady = _FIRST_DELAY, True
            self._say(f"{child.name} {_ended(status)}; starting it again in {delay:g} s")
            await set_within(self._stop, delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _start(self, child: Child, lifeline: int) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C in the terminal reaches the supervisor only, which then
        # stops the children once, and cleanly.
        process = await asyncio.create_subprocess_exec(
            *child.command,
            "--lifeline",
            str(lifeline),
            stdin=asyncio.subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name.upper() not in _SECRETS},
            pass_fds=(lifeline, *self._inherit),
            start_new_session=True,
        )
        self._processes[child.name] = process
        return process

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """The exit status; once a stop begins, the process is asked to end, then made to."""
        ended = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with suppress(ProcessLookupError):
                    process.terminate()
                done, _ = await asyncio.wait({ended}, timeout=GRACE)
                if not done:
                    with suppress(ProcessLookupError):
                        process.kill()
            return await ended
        finally:
            stopped.cancel()

    def _kill(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def follow(lifeline: int) -> None:
    """In a child: stop cleanly when the supervisor is gone, and in any case after the grace."""

    def watch() -> bool:
        if os.read(lifeline, 1):
            return True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(1)

    thread("lifeline", watch, slow=math.inf)
