"""The keeper from outside: a process that is asked to do its steps, and may be hurt meanwhile."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Self

from tests.e2e.serving import environment
from tests.faults.harness.installation import PATIENCE
from tests.faults.harness.shim import NAMES, Shim

DIED = "died"


class Keeping:
    """A keeper of `data` under a shim. It is started again when it has died."""

    def __init__(self, data: Path, library: Path) -> None:
        self.data = data
        self.shim = Shim(library, data.parent / f"{data.name}-keeper.control")
        self.output = data.parent / f"{data.name}-keeper.log"
        self.last = "no fault"  # the last one that was tried
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)  # the end of its input ends it

    def do(self, step: str) -> str:
        """What the keeper answers to a step; `died` when it was killed by it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{step}\n".encode())
        self._process.stdin.flush()
        if answer := self._process.stdout.readline().decode().strip():
            return answer
        self._process.communicate(timeout=60)
        status = self._process.returncode
        assert status == -9, f"{step}: ended with status {status}\n{self.output.read_text()[-4000:]}"
        return DIED

    def told(self, step: str) -> str:
        """What is answered to a step without a fault.

        It may fail until a part that a merge left broken is found: 10 seconds.
        """
        deadline = time.monotonic() + PATIENCE
        while (answer := self.do(step)).startswith("failed") and time.monotonic() < deadline:
            time.sleep(0.5)
        return answer

    def done(self, step: str) -> None:
        """A step without a fault."""
        answer = self.told(step)
        assert answer == "done", f"{step} after {self.last}: {answer}\n{self.output.read_text()[-4000:]}"

    def calls(self, step: str, area: str) -> int:
        """How many calls of `area` a step makes."""
        self.shim.watch(area)
        before = self.shim.seen
        self.done(step)
        return self.shim.seen - before

    def hit(self, step: str, area: str, number: int, action: int) -> bool:
        """One step with the fault at its call `number`; False if there was no such call."""
        self.shim.watch(area)
        self.shim.arm(number, action)
        answer = self.do(step)
        fired = self.shim.fired
        self.last = f"{NAMES[action]} at call {number} of {step}: {self.shim.hit}"
        self.shim.disarm()
        if answer == DIED:
            self._process = self._start()
        elif not fired and answer != "done":
            self.done(step)
        return fired

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.harness.keeper", str(self.data)],
                env=environment() | self.shim.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
            )
        assert process.stdout
        assert process.stdout.readline() == b"ready\n", self.output.read_text()[-4000:]
        return process


def builds(data: Path) -> int:
    """The number of the newest published build, also of one that was merged and forgotten."""
    with closing(sqlite3.connect(f"file:{data}/state.db?mode=ro", uri=True, timeout=30)) as state:
        ((newest,),) = state.execute("SELECT coalesce(max(build), 0) FROM rollup_entries")
    return newest
