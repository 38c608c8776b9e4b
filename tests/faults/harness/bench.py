"""A door and a worker with console as processes of their own, each under a shim."""

import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.faults.harness.installation import PATIENCE, Installation, until
from tests.faults.harness.shim import Shim

ROLES = ("door", "worker")
_PATIENCE = 4 * PATIENCE  # seconds: two processes start, on a busy machine


class Bench:
    """The two processes on `site`; what an error ends is started again, as their supervisor would do."""

    def __init__(self, site: Installation, library: Path, program: str = "footfall", **more: str) -> None:
        """`program` is what both run; `more` goes into the environment."""
        self.site = site
        self.shims = {role: Shim(library, site.directory / f"{role}.control") for role in ROLES}
        self.ended = 0  # processes that an error brought down
        self._program = program
        self._more = more
        self.settings: dict[str, str] = {}  # FOOTFALL_* variables of the next starts
        site.prepare()
        self.processes = {role: self.start(role) for role in ROLES}
        self.wait()

    def start(self, role: str, port: int = 0) -> "subprocess.Popen[bytes]":
        """One more process in this role."""
        options = ["--with-console"] if role == "worker" else []
        variables = self.shims[role].environment | self._more | self.settings
        return self.site.start(role, *options, port=port, program=self._program, **variables)

    def start_again(self, role: str) -> None:
        """Instead of the one that has ended."""
        self.processes[role] = self.start(role)

    def end(self, role: str) -> None:
        """Kill it."""
        self.processes[role].kill()
        self.processes[role].wait()

    def freeze(self, role: str) -> None:
        """It stands still."""
        self.processes[role].send_signal(signal.SIGSTOP)

    def thaw(self, role: str) -> None:
        """It goes on."""
        self.processes[role].send_signal(signal.SIGCONT)

    def kill(self, role: str) -> None:
        """Kill it, and start it again; returns before it answers."""
        self.end(role)
        self.start_again(role)

    def stop(self, role: str) -> None:
        """SIGTERM, and start it again; returns before it answers."""
        self.site.terminate(self.processes[role])
        self.start_again(role)

    def leave(self) -> None:
        """SIGTERM to both, without a new start."""
        for process in self.processes.values():
            self.site.terminate(process)

    def wait(self) -> None:
        """Returns when both answer."""
        until(self.answers, "door and console answer", _PATIENCE)
        self.site.wait(self.processes["worker"])

    def revive(self) -> None:
        """Start again what has ended."""
        for role, process in self.processes.items():
            if process.poll() is not None:
                self.ended += 1
                self.start_again(role)

    def drained(self) -> None:
        """Returns when all is stored that was sent."""
        until(self._is_drained, "it is drained", _PATIENCE)

    def accepts(self) -> None:
        """Returns when an event is acknowledged: after an error a door may refuse for a moment."""
        until(self._takes, "it accepts again", _PATIENCE)

    def _takes(self) -> bool:
        self.revive()
        return self.site.hand.post() == 202

    def answers(self) -> bool:
        """Whether both do."""
        self.revive()
        return self.site.door_answers() and self.site.console_answers()

    def _is_drained(self) -> Any:
        self.revive()
        return self.site.waiting() == 0
