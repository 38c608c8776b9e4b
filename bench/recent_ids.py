"""The recent-id index: time and memory at 10 million ids, beside a Python set of ids at 1 million.

Alone: no log, no worker. Each batch is identified, checked, entered and expired, as the worker does it.
"""

import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from footfall.model.record import RawEvent
from footfall.worker.dedup.checkpoint import load, save
from footfall.worker.dedup.index import RecentIds
from footfall.worker.dedup.keys import payload_digests
from footfall.worker.dedup.sorted_run import sort

IDS = 10_000_000
BATCH = 50_000
BATCHES = 100  # measured, once the index is full
SET_IDS = 1_000_000
WORKSPACES = [f"ws_{number % 7}" for number in range(BATCH)]
DIGESTS = [number * 31 % 65536 for number in range(BATCH)]


def run(ids: int = IDS) -> dict[str, object]:
    """A process for each, so that memory is the process's own."""
    result: dict[str, object] = {}
    for measure, size in ((_index, ids), (_set, SET_IDS), (_digests, BATCH)):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            result |= pool.submit(measure, size).result()
    return result


def _index(ids: int) -> dict[str, object]:
    index = RecentIds(limit=ids)
    _round(index, _fresh())  # what numpy and the allocator need once
    before = _rss()
    for _ in range(ids // BATCH):
        _round(index, _fresh())
    result: dict[str, object] = {"ids": len(index)}
    times = [_timed(_round, index, _fresh()) for _ in range(BATCHES)]
    result["ns an event"] = round(sum(times) / BATCHES / BATCH * 1e9)
    result["slowest batch ms"] = round(max(times) * 1e3, 1)
    storm: list[float] = []
    again = _fresh()
    for _ in range(BATCHES // 2):
        storm.append(_timed(_round, index, again))
        again = _fresh()
        storm.append(_timed(_round, index, again))
    result["ns an event, half resent"] = round(sum(storm) / BATCHES / BATCH * 1e9)
    result["MB held"] = round((_rss() - before) / 1e6, 1)
    result["MB at most, merges and batches included"] = round((_rss("VmHWM") - before) / 1e6, 1)
    small = [_fresh(100) for _ in range(50)]
    result["ms a batch of 100"] = round(sum(_timed(_round, index, each) for each in small) / 50 * 1e3, 2)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "recent-ids"
        snapshot = index.snapshot({1: 2})
        result["save s, in a thread"] = round(_timed(save, path, [snapshot]), 2)
        result["checkpoint MB"] = round(path.stat().st_size / 1e6, 1)
        del snapshot
        result["MB at most, save included"] = round((_rss("VmHWM") - before) / 1e6, 1)
        result["load s"] = round(_timed(lambda: RecentIds(limit=ids).restore(_loaded(path))), 2)
    return result


def _set(ids: int) -> dict[str, object]:
    known: set[bytes] = set()
    gc.collect()
    before = _rss()

    def step(batch: list[bytes]) -> None:
        fresh = [each for each in zip(WORKSPACES, batch, strict=True) if each[1] not in known]
        known.update([each for _, each in fresh])

    times = [_timed(step, _fresh()) for _ in range(ids // BATCH)]
    return {
        f"baseline: set of {ids // 1_000_000} million bytes, ns an event": round(sum(times) / ids * 1e9),
        "baseline: set, bytes an id": round((_rss() - before) / ids),
        "index, bytes an id at most": 13,
    }


def _digests(count: int) -> dict[str, object]:
    events = [
        RawEvent(
            event_id=bytes(16),
            event_type="purchase",
            occurred_at=0,
            site_id="site_k3v9x2m4tq",
            page_url=f"https://shop.example/product/{number % 300}?utm_source=mail",
            properties=f'{{"price":{number},"currency":"EUR","name":"{"x" * 80}"}}',
        )
        for number in range(count)
    ]
    return {
        "digest of a payload, ns": round(min(_timed(payload_digests, events) for _ in range(5)) / count * 1e9)
    }


def _round(index: RecentIds, batch: list[bytes]) -> None:
    ids = index.identify(WORKSPACES[: len(batch)], batch, DIGESTS[: len(batch)])
    verdict = index.check(ids)
    index.enter(sort(ids, ~verdict.duplicate), 1000.0)
    index.expire(1000.0)


def _loaded(path: Path):
    (snapshot,) = load(path) or ()
    return snapshot


def _fresh(count: int = BATCH) -> list[bytes]:
    data = os.urandom(16 * count)
    return [data[at : at + 16] for at in range(0, len(data), 16)]


def _timed(call: Callable[..., object], *arguments: object) -> float:
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


def _rss(name: str = "VmRSS") -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
