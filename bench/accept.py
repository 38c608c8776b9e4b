"""Accept: durable POSTs of 20 events, closed loop; beside a bare ASGI application that only answers."""

import os
import signal
import time

from bench.load import Outcome, drive
from bench.servers import HOST, KEY, Footfall, bare, footfall
from bench.workload import posts

SECONDS = 15
EVENTS = 20
CONNECTIONS = 32


def run(seconds: float = SECONDS) -> dict[str, object]:
    """With the worker running, then with the worker paused, then the baseline; checked against the store."""
    requests = posts(KEY, events=EVENTS)
    result: dict[str, object] = {}
    with footfall() as server:
        drive(HOST, server.port, requests, 2, connections=CONNECTIONS)
        acknowledged = _settle(server)
        before = server.cpu_seconds()
        outcome = drive(HOST, server.port, requests, seconds, connections=CONNECTIONS)
        spent = {role: used - before[role] for role, used in server.cpu_seconds().items()}
        acknowledged += _accepted(outcome)
        result["events/s, worker running"] = round(outcome.rate * EVENTS)
        result["p50 ms"], result["p99 ms"] = (round(outcome.percentile(p), 2) for p in (0.5, 0.99))
        result["door CPU us/event"] = round(spent["door"] / _accepted(outcome) * 1e6, 2)
        result["door MB"] = server.memory()["door"]
        server.wait_stored(acknowledged)
        result["stored = acknowledged"] = acknowledged
    with footfall() as server:
        worker = server.children()["worker"]
        os.kill(worker, signal.SIGSTOP)
        outcome = drive(HOST, server.port, requests, seconds / 2, connections=CONNECTIONS)
        os.kill(worker, signal.SIGCONT)
        result["events/s, worker paused"] = round(outcome.rate * EVENTS)
        server.wait_stored(_accepted(outcome))
    with bare("post") as port:
        baseline = drive(HOST, port, requests, seconds / 2, connections=CONNECTIONS)
        result["baseline: bare ASGI, events/s"] = round(baseline.rate * EVENTS)
    result["share of the baseline"] = round(outcome.rate / baseline.rate, 2)
    return result


def _settle(server: Footfall) -> int:
    """What the warm-up stored, once nothing more comes."""
    stored = -1
    while (now := server.stored()) != stored or not now:
        stored = now
        time.sleep(2.5)
    return stored


def _accepted(outcome: Outcome) -> int:
    if set(outcome.statuses) != {202}:
        raise RuntimeError(f"answers {outcome.statuses}: no result")
    return outcome.statuses[202] * EVENTS
