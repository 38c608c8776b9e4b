"""The store stands still under 10,000 events/s: the door goes on, and everything is stored afterwards."""

import os
import signal
import time

from tests.faults.harness import book as books
from tests.faults.harness.installation import accepted_again, children, refused_at_least
from tests.faults.harness.judge import judge


def test_a_stopped_store(install, check, rounds, chance):
    """Stopped and continued; then stopped within its work and killed, so that the next one reads back."""
    seconds = 60.0 if rounds > 100 else 4.0
    site = install()
    server = site.serve()
    oracle = site.oracle(events=10_000, clicks=200, connections=16, seed=chance.randrange(1 << 30))
    oracle.phase("store-running")
    time.sleep(seconds / 2)
    worker = children(server.pid)["worker"]
    oracle.phase("store-stopped")
    os.kill(worker, signal.SIGSTOP)
    time.sleep(seconds)
    assert site.door_answers()
    os.kill(worker, signal.SIGCONT)
    oracle.phase("store-continued")
    time.sleep(seconds / 2)
    os.kill(worker, signal.SIGSTOP)
    oracle.phase("store-killed")
    time.sleep(0.5)
    os.kill(worker, signal.SIGKILL)
    oracle.sent(at_least=100)
    oracle.stop()
    site.wait(server)
    verdict = judge("store stopped at 10,000 events/s", 2, site)
    for phase, times in books.read(site.books).latencies.items():
        verdict.notes.append(f"redirects, {phase}: {spread(times)}")
    check(verdict)


def test_a_full_log(install, check, chance):
    """The log reaches its size limit while the store stands still: it refuses, and deletes nothing."""
    site = install(settings={"log_max": "4MiB", "log_segment": "256KiB"})
    server = site.serve()
    worker = children(server.pid)["worker"]
    os.kill(worker, signal.SIGSTOP)
    oracle = site.oracle(events=20_000, batch=200, clicks=50, seed=chance.randrange(1 << 30))
    oracle.phase("filling")
    refused_at_least(oracle.book, 20)
    os.kill(worker, signal.SIGCONT)
    oracle.phase("drained")
    accepted_again(oracle.book)
    oracle.stop()
    check(judge("log at its size limit, store stopped", 1, site))


def spread(times: list[float]) -> str:
    """Percentiles of latencies in milliseconds."""
    ordered = sorted(times)
    p50, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {ordered[-1]:.0f} ms"
