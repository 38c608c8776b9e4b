"""Restart: from `kill -9` of everything under load until doors open and all that was acknowledged is stored.

Five rounds on one data directory. The baseline is the first start on an empty directory. A round
that lost or doubled an event has no result.
"""

import os
import signal
import tempfile
import time
from pathlib import Path

from bench.load import drive
from bench.servers import HOST, KEY, Footfall, footfall
from bench.workload import posts

ROUNDS = 5
SECONDS = 4
EVENTS = 20


def run(rounds: int = ROUNDS) -> dict[str, object]:
    """Seconds of each restart, the slowest last."""
    with tempfile.TemporaryDirectory(prefix="footfall-restart-") as directory:
        data = Path(directory) / "data"
        started = time.perf_counter()
        with footfall(data) as server:
            first = time.perf_counter() - started
            acknowledged = _loaded(server)
            server.wait_stored(acknowledged)
        opened: list[float] = []
        caught_up: list[float] = []
        for _ in range(rounds):
            with footfall(data) as server:
                server.wait_stored(acknowledged)
                acknowledged += _loaded(server)
                _kill(server)
            started = time.perf_counter()
            with footfall(data) as server:
                opened.append(time.perf_counter() - started)
                server.wait_stored(acknowledged)
                caught_up.append(time.perf_counter() - started)
    return {
        "both doors open, s": " ".join(f"{seconds:.1f}" for seconds in sorted(opened)),
        "all stored, s": " ".join(f"{seconds:.1f}" for seconds in sorted(caught_up)),
        "baseline: first start, s": round(first, 1),
        "stored = acknowledged": acknowledged,
    }


def _loaded(server: Footfall) -> int:
    """Send for a while; how many events were acknowledged."""
    outcome = drive(HOST, server.port, posts(KEY, events=EVENTS), SECONDS, connections=8)
    if set(outcome.statuses) != {202}:
        raise RuntimeError(f"answers {outcome.statuses}: no result")
    return outcome.statuses[202] * EVENTS


def _kill(server: Footfall) -> None:
    for pid in (server.process.pid, *server.children().values()):
        os.kill(pid, signal.SIGKILL)
    server.process.wait(30)
