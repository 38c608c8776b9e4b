"""Redirects beside 2,000 hostile connections (see `crowd.py`): open loop, in turns with none."""

import contextlib
import subprocess
import sys
from collections.abc import Generator, Sequence

from bench.crowd import COUNT
from bench.load import Outcome, drive
from bench.servers import HOST, Footfall, footfall
from bench.workload import gets

RATE = 500
SECONDS = 10
TURNS = 3


def run(seconds: float = SECONDS) -> dict[str, object]:
    """Every click is found in the store at the end."""
    alone: list[Outcome] = []
    beside: list[Outcome] = []
    used: dict[str, float] = {}
    with footfall() as server:
        requests = gets(server.make_links(100))
        for _ in range(TURNS):
            alone.append(_visitors(server, requests, seconds, used, "alone"))
            with _crowd(server):
                beside.append(_visitors(server, requests, seconds, used, "beside them"))
        memory = server.memory()["door"]
        total = sum(outcome.statuses[302] for outcome in alone + beside)
        server.wait_stored(total)
    result: dict[str, object] = {"hostile connections": COUNT, "redirects/s, open loop": RATE}
    for name, outcomes in (("alone", alone), ("beside them", beside)):
        for share, shown in ((0.5, "p50"), (0.99, "p99"), (1.0, "worst")):
            # Of the turns the best: the others tell of what else the machine did.
            result[f"{name}: {shown} ms"] = round(min(each.percentile(share) for each in outcomes), 2)
        result[f"{name}: door's share of a core"] = round(used[name], 2)
    return result | {"door MB": memory, "stored = answered": total}


def _visitors(
    server: Footfall, requests: Sequence[bytes], seconds: float, used: dict[str, float], name: str
) -> Outcome:
    before = server.cpu_seconds()["door"]
    outcome = drive(HOST, server.port, requests, seconds, connections=32, rate=RATE)
    if set(outcome.statuses) != {302}:
        raise RuntimeError(f"answers {outcome.statuses}: no result")
    spent = (server.cpu_seconds()["door"] - before) / outcome.seconds
    used[name] = min(spent, used.get(name, spent))
    return outcome


@contextlib.contextmanager
def _crowd(server: Footfall) -> Generator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.crowd", str(server.port)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
