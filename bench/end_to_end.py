"""End to end: 180 s of POSTs at a fixed rate, and how far behind the store is at the end."""

import time

from bench.load import drive
from bench.servers import HOST, KEY, footfall
from bench.workload import posts

SECONDS = 180
RATE = 40_000
EVENTS = 20


def run(seconds: float = SECONDS, rate: int = RATE) -> dict[str, object]:
    """Open loop; the lag is the time from the last answer until everything is stored."""
    requests = posts(KEY, events=EVENTS)
    with footfall() as server:
        outcome = drive(HOST, server.port, requests, seconds, connections=64, rate=rate / EVENTS)
        if set(outcome.statuses) != {202}:
            raise RuntimeError(f"answers {outcome.statuses}: no result")
        accepted = outcome.statuses[202] * EVENTS
        started = time.perf_counter()
        spent = server.cpu_seconds()
        memory = server.memory()
        server.wait_stored(accepted)
        lag = time.perf_counter() - started
    return {
        "events/s": round(accepted / outcome.seconds),
        "events": accepted,
        "lag at the end, s": round(lag, 1),
        "p99 ms of a POST": round(outcome.percentile(0.99), 1),
        "door CPU us/event": round(spent["door"] / accepted * 1e6, 2),
        "worker CPU us/event": round(spent["worker"] / accepted * 1e6, 2),
        "MB": memory,
        "stored = acknowledged": accepted,
    }
