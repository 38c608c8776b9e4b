"""Freshness: from an acknowledgement to the first answer that counts it, beside 5,000 events/s."""

import threading
import time
import uuid

import httpx

from bench.load import Outcome, drive
from bench.servers import HOST, KEY, footfall
from bench.workload import posts

SECONDS = 60
RATE = 5000
EVENTS = 20


def run(seconds: float = SECONDS) -> dict[str, object]:
    """One probe after the other: an event of a new kind, then that kind is asked for until it is there."""
    requests = posts(KEY, events=EVENTS)
    waits: list[float] = []
    with footfall() as server, httpx.Client(headers={"authorization": f"Bearer {KEY}"}) as client:
        done: list[Outcome] = []
        load = threading.Thread(
            target=lambda: done.append(
                drive(HOST, server.port, requests, seconds, connections=16, rate=RATE / EVENTS)
            )
        )
        load.start()
        while load.is_alive():
            kind = f"probe_{uuid.uuid4().hex[:12]}"
            answer = client.post(f"http://{HOST}:{server.port}/v1/events", json=[{"event_type": kind}])
            acknowledged = time.perf_counter()
            assert answer.status_code == 202, answer.text
            while server.report("clicks", event_type=kind, include_bots="true")["meta"]["total"] == 0:
                time.sleep(0.01)
            waits.append(time.perf_counter() - acknowledged)
        accepted = done[0].statuses[202] * EVENTS + len(waits)
        server.wait_stored(accepted)
    waits.sort()
    return {
        "probes": len(waits),
        "p50 s": round(waits[len(waits) // 2], 2),
        "p99 s": round(waits[int(len(waits) * 0.99)], 2),
        "stored = acknowledged": accepted,
    }
