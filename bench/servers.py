"""Starts what is measured: Footfall as a user would, and the bare baselines."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import httpx

HOST = "127.0.0.1"
KEY = "ff_bench_" + "k" * 32


class Footfall:
    """A running `footfall serve` on a fresh data directory."""

    def __init__(self, data: Path, port: int, console_port: int, process: subprocess.Popen[bytes]) -> None:
        self.data = data
        self.port = port
        self.console_port = console_port
        self.process = process
        self.console = httpx.Client(
            base_url=f"http://{HOST}:{console_port}", headers={"authorization": f"Bearer {KEY}"}, timeout=60
        )

    def report(self, name: str, **parameters: Any) -> dict[str, Any]:
        """The answer of one analytics report."""
        answer = self.console.get(f"/api/v1/analytics/{name}", params=parameters)
        answer.raise_for_status()
        return answer.json()

    def stored(self) -> int:
        """Events in the store, bots too."""
        return self.report("overview", include_bots="true", start_date="2020-01-01")["data"]["events"]

    def wait_stored(self, expected: int, patience: float = 300) -> float:
        """Wait until `expected` events are stored; returns the seconds. Raises when they never are."""
        started = time.perf_counter()
        while (stored := self.stored()) < expected:
            if time.perf_counter() - started > patience:
                raise RuntimeError(f"{stored} of {expected} acknowledged events are stored: no result")
            time.sleep(0.02)
        if stored > expected:
            raise RuntimeError(f"{stored} events are stored, {expected} were acknowledged: no result")
        return time.perf_counter() - started

    def make_links(self, count: int) -> Sequence[str]:
        """Short links to send visitors through; returns their codes."""
        codes = []
        for number in range(count):
            answer = self.console.post("/api/v1/links", json={"url": f"https://example.com/{number}"})
            answer.raise_for_status()
            codes.append(answer.json()["short_code"])
        return codes

    def children(self) -> dict[str, int]:
        """Process ids by role."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    found["worker" if b"worker" in words else "door"] = int(entry.name)
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time used so far, by role."""
        tick = os.sysconf("SC_CLK_TCK")
        result = {}
        for role, pid in self.children().items():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            result[role] = (int(fields[11]) + int(fields[12])) / tick
        return result

    def memory(self) -> dict[str, int]:
        """Resident memory in MB, by role."""
        return {
            role: next(
                int(line.split()[1]) // 1024
                for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith("VmRSS")
            )
            for role, pid in self.children().items()
        }


@contextlib.contextmanager
def footfall(existing: Path | None = None, **settings: str) -> Generator[Footfall]:
    """Run Footfall with the given FOOTFALL_* settings until the block ends.

    On a data directory that exists and stays, or on a fresh one.
    """
    data = existing or Path(tempfile.mkdtemp(prefix="footfall-bench-"))
    port, console_port = _free_port(), _free_port()
    # A user's Python keeps the code that it has compiled.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = kept | {f"FOOTFALL_{name.upper()}": value for name, value in settings.items()}
    environment |= {"FOOTFALL_ADMIN_KEY": KEY}
    arguments = ["--data", str(data), "--port", str(port), "--console-port", str(console_port)]
    with (data.parent / f"{data.name}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "footfall", "serve", *arguments],
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        for each in (port, console_port):
            _wait_for(each, process)
        yield Footfall(data, port, console_port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        if existing is None:
            shutil.rmtree(data)


_BARE = """
import asyncio, sys, uvicorn
ANSWERS = {"post": (202, b'{"accepted":20,"rejected":0,"results":[]}'), "get": (302, b"")}
status, body = ANSWERS[sys.argv[1]]
HEADERS = [(b"content-length", b"%d" % len(body)), (b"location", b"https://example.com/")]
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", http="httptools", lifespan="off",
            access_log=False, log_level="error", server_header=False, date_header=False)
"""


@contextlib.contextmanager
def bare(kind: str) -> Generator[int]:
    """The baseline: the same server with an application that only answers ("post" or "get")."""
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-c", _BARE, kind, str(port)])
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return sock.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("the server does not answer")
