"""Redirect: durable GET /{code}; closed loop for the rate, open loop at 5,000/s for the latency."""

from bench.load import Outcome, drive
from bench.servers import HOST, bare, footfall
from bench.workload import gets

SECONDS = 15
CONNECTIONS = 64
OPEN_RATE = 5000


def run(seconds: float = SECONDS) -> dict[str, object]:
    """Every click is found in the store at the end, also those answered `pending`."""
    result: dict[str, object] = {}
    with footfall() as server:
        requests = gets(server.make_links(100))
        total = _clicks(drive(HOST, server.port, requests, 2, connections=CONNECTIONS))
        before = server.cpu_seconds()
        closed = drive(HOST, server.port, requests, seconds, connections=CONNECTIONS)
        spent = {role: used - before[role] for role, used in server.cpu_seconds().items()}
        total += _clicks(closed)
        result["redirects/s, durable"] = round(closed.rate)
        result["of them pending"] = closed.pending
        result["door CPU us/click"] = round(spent["door"] / _clicks(closed) * 1e6, 1)
        server.wait_stored(total)
        opened = drive(HOST, server.port, requests, seconds, connections=128, rate=OPEN_RATE)
        total += _clicks(opened)
        result[f"open loop {OPEN_RATE}/s: p50 ms"] = round(opened.percentile(0.5), 2)
        result[f"open loop {OPEN_RATE}/s: p99 ms"] = round(opened.percentile(0.99), 2)
        result[f"open loop {OPEN_RATE}/s: pending"] = opened.pending
        result["door MB"] = server.memory()["door"]
        server.wait_stored(total)
        result["stored = answered"] = total
    with bare("get") as port:
        baseline = drive(HOST, port, requests, seconds / 2, connections=CONNECTIONS)
        result["baseline: bare ASGI, redirects/s"] = round(baseline.rate)
        slow = drive(HOST, port, requests, seconds / 2, connections=128, rate=OPEN_RATE)
        result[f"baseline: open loop {OPEN_RATE}/s, p99 ms"] = round(slow.percentile(0.99), 2)
    result["share of the baseline"] = round(closed.rate / baseline.rate, 2)
    return result


def _clicks(outcome: Outcome) -> int:
    if set(outcome.statuses) != {302}:
        raise RuntimeError(f"answers {outcome.statuses}: no result")
    return outcome.statuses[302]
