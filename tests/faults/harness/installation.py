"""Footfall's processes on a data directory of their own: started, killed, stopped, started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import msgspec

from footfall.runtime.tcp_ports import free_port
from tests.e2e.serving import KEY, environment
from tests.faults.harness.hand import Hand, http
from tests.faults.harness.oracle import Options

T = TypeVar("T")

PATIENCE = 90.0  # seconds for anything that must happen, on a busy machine
HOST = "127.0.0.1"


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {seconds:g} s: {what}")
        time.sleep(0.02)
    return value


def refused_at_least(book: Path, count: int) -> None:
    """Returns when that many requests were refused."""
    until(lambda: _content(book).count(b"\nrefused") >= count, "requests are refused")


def accepted_again(book: Path) -> None:
    """Returns when requests are acknowledged, and none refused any more."""
    until(lambda: _content(book).rpartition(b"\nrefused")[2].count(b"\nsafe") >= 50, "it accepts again")


class Oracle:
    """A running oracle."""

    def __init__(self, book: Path, options: Options) -> None:
        self.book = book
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness.oracle", book, msgspec.json.encode(options)],
            env=environment(),
            stdin=subprocess.PIPE,
        )

    def phase(self, name: str) -> None:
        """What is sent from now on belongs to this phase."""
        assert self._process.stdin
        self._process.stdin.write(f"phase {name}\n".encode())
        self._process.stdin.flush()

    def stop(self) -> None:
        """No new requests; returns when those under way have ended."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.write(b"stop\n")
            self._process.stdin.close()
        status = self._process.wait(timeout=PATIENCE)
        assert status == 0, f"the oracle itself failed with status {status}"

    def sent(self, at_least: int) -> None:
        """Returns when the book has this many lines more than now."""
        goal = _lines(self.book) + at_least
        until(lambda: _lines(self.book) >= goal, f"{at_least} more lines in {self.book.name}")

    def end(self) -> None:
        """End it at once, if it still runs."""
        self._process.kill()
        self._process.communicate()


class Installation:
    """A data directory, ports, and whatever processes run on them."""

    def __init__(
        self, directory: Path, settings: Mapping[str, object] | None = None, prefix: Sequence[str] = ()
    ) -> None:
        """`settings` are FOOTFALL_* settings by name; `prefix` goes before every command."""
        self.directory = directory
        self.data = directory / "data"
        self.port, self.console_port = free_port(HOST), free_port(HOST)
        self.output = directory / "output.log"
        self.prefix = [*prefix]
        self.code = ""
        self.restarts: list[float] = []  # seconds that parts were away, or needed to start
        self._settings = {
            f"FOOTFALL_{name.upper()}": str(value)
            for name, value in {"admin_key": KEY, "batch_age": "100ms", **(settings or {})}.items()
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._oracles: list[Oracle] = []
        self.doors = [self.port]
        self.hand = Hand(directory / "book-of-the-hand", self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for oracle in self._oracles:
            oracle.end()
        for process in self._processes:
            for pid in children(process.pid).values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()

    # Processes

    def start(
        self, *command: str, port: int = 0, program: str = "footfall", **more: str
    ) -> subprocess.Popen[bytes]:
        """`footfall COMMAND` on this data directory, with `more` in its environment."""
        where = ["--data", str(self.data), "--port", str(port or self.port)]
        where += ["--console-port", str(self.console_port)]
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", program, *command, *where],
                cwd=self.directory,
                env=environment(**self._settings) | more,
                stdout=output,
                stderr=output,
            )
        self._processes.append(process)
        return process

    def prepare(self) -> None:
        """Make the data directory as the first start of `serve` does, for roles that are started alone."""
        code = (
            "import asyncio, pathlib, sys; from footfall import main, settings;"
            "asyncio.run(main.prepare(settings.load(data=pathlib.Path(sys.argv[1]))))"
        )
        command = [*self.prefix, sys.executable, "-c", code, str(self.data)]
        subprocess.run(command, env=environment(**self._settings), check=True)

    def serve(self, **more: Any) -> subprocess.Popen[bytes]:
        """`footfall serve`, up and answering."""
        started = time.monotonic()
        process = self.start("serve", **more)
        self.wait(process)
        self.restarts.append(time.monotonic() - started)
        return process

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Returns when the door and the console answer."""
        until(lambda: self._alive(process) and self.door_answers() and self.console_answers(), "it answers")
        if not self.code:
            link = json.dumps({"url": "https://example.com/"}).encode()
            status, answer = http(self.console_port, "POST", "/api/v1/links", link)
            assert status == 201, answer
            self.code = json.loads(answer)["short_code"]

    def door_answers(self, port: int = 0) -> bool:
        """Whether a door is ready."""
        return http(port or self.port, "GET", "/health/ready")[0] == 200

    def console_answers(self) -> bool:
        """Whether the console is ready."""
        return http(self.console_port, "GET", "/health/ready")[0] == 200

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM; it must end cleanly."""
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=PATIENCE)
        assert status == 0, f"SIGTERM: ended with status {status}\n{self.tail()}"

    def stop(self) -> None:
        """SIGTERM to everything that runs, the first started last."""
        for process in reversed(self._processes):
            if process.poll() is None:
                self.terminate(process)

    def tail(self) -> str:
        """The end of what the processes said."""
        return self.output.read_text(errors="replace")[-4000:]

    def ports(self, count: int) -> list[int]:
        """Ports for so many doors beside the first."""
        self.doors = [self.port, *(free_port(HOST) for _ in range(count))]
        return self.doors[1:]

    # Load

    def oracle(self, **options: Any) -> Oracle:
        """Begin to load this installation; `options` as in the oracle."""
        number = len(self._oracles)
        given: dict[str, Any] = {
            "doors": [self.port],
            "first": number * 10**9,
            "key": KEY,
            "code": self.code,
            **options,
        }
        oracle = Oracle(self.directory / f"book-{number}", Options(**given))
        self._oracles.append(oracle)
        return oracle

    @property
    def books(self) -> list[Path]:
        """What all oracles wrote."""
        return [self.hand.book, *(oracle.book for oracle in self._oracles)]

    # Questions

    def part_written(self, table: str = "*") -> None:
        """Returns when the engine has just put a new part into place, within 2 s at the most.

        Its batch (or build) is not closed at this instant: the worst one for a worker to die at.
        """
        # The names of tables are links to their directories.
        tables = {path.parent for path in self.data.glob(f"store/data/footfall/{table}/detached")}
        before = {name for table in tables for name in os.listdir(table)}  # noqa: PTH208 - polled
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            now = {name for table in tables for name in os.listdir(table)}  # noqa: PTH208 - polled
            if any(not name.startswith(("tmp", "delete")) for name in now - before):
                return
            time.sleep(0.0005)

    def drained(self) -> None:
        """Returns when everything in the log is stored."""
        until(lambda: self.waiting() == 0, "the backlog is drained", 2 * PATIENCE)

    def counted(self) -> int:
        """How many events there are, by the answer to a question."""
        always = ["1970-01-01", "2099-12-31"]
        question = {"metrics": ["events"], "date_range": always, "include": {"bots": True}}
        status, answer = http(
            self.console_port, "POST", "/v1/query?workspace=default", json.dumps(question).encode()
        )
        assert status == 200, answer
        return int(json.loads(answer)["results"][0]["metrics"][0])

    def ledger_balanced(self) -> bool | None:
        """What the ledger says of itself; None while there is no such endpoint."""
        query = "start_date=1970-01-01&end_date=2095-12-31"
        status, answer = http(self.console_port, "GET", f"/api/v1/ledger?{query}")
        if status == 404:
            return None
        assert status == 200, answer
        return find(json.loads(answer), "balanced") is True

    def waiting(self) -> int | None:
        """Records of the log that are not stored; None while the console does not answer."""
        status, answer = http(self.console_port, "GET", "/health/ready")
        return find(json.loads(answer), "waiting_records") if status in {200, 503} else None

    def _alive(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, f"ended with status {process.returncode}\n{self.tail()}"
        return True


def children(pid: int) -> dict[str, int]:
    """The pids of a supervisor's door and worker."""
    found: dict[str, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                words = (path / "cmdline").read_bytes().split(b"\0")
                for role, word in (("door", b"door"), ("worker", b"worker")):
                    if word in words:
                        found[role] = int(path.name)
    return found


def find(value: Any, name: str) -> Any:
    """The first value called `name`, however deep in a JSON document; None when there is none."""
    parts: list[Any] = []
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        if name in held:
            return held[name]
        parts = list(held.values())
    elif isinstance(value, list):
        parts = cast("list[Any]", value)
    return next((found for part in parts if (found := find(part, name)) is not None), None)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _lines(path: Path) -> int:
    return _content(path).count(b"\n")
