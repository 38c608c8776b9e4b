"""A real `footfall serve` of its own, for tests, and what they do to it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from footfall.runtime import data_directory
from footfall.runtime.tcp_ports import free_port

ROOT = Path(__file__).parents[2]
KEY = "the-admin-key-of-the-tests"


def environment(**more):
    """This process's environment without settings of Footfall, with the source tree importable."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FOOTFALL_")}
    return env | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | more


def footfall(*arguments, cwd, stdin=None, **more):
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "footfall", *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        input=stdin,
        capture_output=True,
        text=not isinstance(stdin, bytes),
        timeout=200,
        check=False,
    )


def until(condition, seconds=30):
    """The first true value of `condition()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
    return value


def ended(pid):
    """Whether there is no such process any more."""
    return data_directory.identity(pid) == ""


class Server:
    def __init__(self, data, *options, prefix=(), **settings):
        """`prefix`: a command that runs the server; `settings`: more FOOTFALL_* variables."""
        self.data = data
        self.port, self.console_port = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.output = data.parent / f"{data.name}.log"
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "footfall", "serve", *options, *self.options()],
                cwd=data.parent,
                env=environment(FOOTFALL_ADMIN_KEY=KEY, **settings),
                stdout=log,
                stderr=log,
            )
        headers = {"Authorization": f"Bearer {KEY}"}
        self.door = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30)
        self.console = httpx.Client(
            base_url=f"http://127.0.0.1:{self.console_port}", headers=headers, timeout=30
        )

    def options(self):
        ports = ["--port", str(self.port), "--console-port", str(self.console_port)]
        return ["--data", str(self.data), *ports]

    def wait(self):
        """Returns when both parts answer."""
        until(lambda: answers(self.door) and answers(self.console))

    def children(self):
        """The pids of the door and the worker."""
        found = {}
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and _parent(path) == self.process.pid:
                words = (path / "cmdline").read_bytes().split(b"\0")
                found["door" if b"door" in words else "worker"] = int(path.name)
        return found

    def send(self, count, event_type="test"):
        """Events through the door; they are acknowledged when this returns."""
        answer = self.door.post("/v1/events", json={"events": [{"event_type": event_type}] * count})
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == count

    def count(self, event_type="test"):
        """How many events of that type the console knows of."""
        answer = self.console.get("/api/v1/analytics/overview", params={"event_type": event_type})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["events"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        self.door.close()
        self.console.close()
        return self.process.returncode


def answers(client):
    """Whether a server answers there."""
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def _parent(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


@contextmanager
def serving(data, **more):
    """A server on `data`, up and answering."""
    server = Server(data, **more)
    try:
        server.wait()
        yield server
    finally:
        server.stop()
