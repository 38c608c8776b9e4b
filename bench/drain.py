"""Drain: a full log into an empty store, beside inserts alone and the CPU of each stage.

    python -m bench.drain [--events 500000]

Processes of their own. One appends requests of 20 events, made from the real clicks, to a SQLite
log. One drains it. One does the worker's stages one after the other, so that each can be timed;
its inserts, of the same tables with nothing beside them but merges, are the baseline. Two more do
the first two of a storm: every second request comes again. A run whose store does not hold every
event exactly once has no result.
"""

import argparse
import asyncio
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import uvloop

from bench.workload import real_clicks
from footfall.enrich.pipeline import Pipeline
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry
from footfall.model.columns import NAMES
from footfall.model.ids import uuid7
from footfall.model.record import RawEvent, Record, SenderContext, decode, encode, event_positions
from footfall.settings import Settings
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.tables import open_state
from footfall.store import open_store
from footfall.store.arrow import table
from footfall.worker.columnar import columns
from footfall.worker.entry import entry_columns, facts_of
from footfall.worker.open import open_worker
from footfall.worker.sessions import Sessions
from footfall.worker.shares import owners

EVENTS = 500_000
PER_REQUEST = 20
VISITORS = 200_000
STEP_MS = 5  # between requests
LATE = 500  # requests that wait to come again


def run(events: int = EVENTS) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="footfall-drain-") as directory:
        filled, copy, storm = (Path(directory) / name for name in ("filled", "copy", "storm"))
        append = _child("fill", filled, events)
        shutil.copytree(filled, copy)
        drained = _child("drain", filled, events)
        staged = _child("stages", copy, events)
        _child("fill", storm, events, "--resent")
        stormed = _child("drain", storm, events)
    stages = staged["stages"]
    python = sum(us for stage, us in stages.items() if stage not in ("insert", "plan and close"))
    return {
        "events": events,
        "log bytes/event": round(append["bytes"] / events),
        "drain, events/s": round(events / drained["seconds"]),
        "baseline: inserts alone, events/s": round(events / staged["insert_seconds"]),
        "storm, events received/s": round(events * 1.5 / stormed["seconds"]),
        "storm: received/s, share of the drain without": round(
            1.5 * drained["seconds"] / stormed["seconds"], 2
        ),
        "share of the baseline": round(staged["insert_seconds"] / drained["seconds"], 2),
        "drain, CPU us/event": round(drained["cpu"] / events * 1e6, 2),
        **{f"{stage}, CPU us/event": round(us, 2) for stage, us in stages.items()},
        "read to Arrow, CPU us/event": round(python, 2),
        "peak MB": round(drained["peak_mb"]),
        "stored = appended": drained["stored"],
    }


def requests(events: int, seed: int = 1) -> Iterator[bytes]:
    """Records as the door writes them: one sender each, ids that never came before."""
    rng = random.Random(seed)
    clicks = real_clicks()
    start = int(time.time() * 1000) - events // PER_REQUEST * STEP_MS
    for number in range(events // PER_REQUEST):
        now = start + number * STEP_MS
        sender = rng.choice(clicks)
        latitude, longitude = sender.get("ll", (None, None))
        visit = SenderContext(
            user_agent=sender["a"],
            language=sender.get("al", "").split(",")[0],
            country_code=sender.get("c") or "",
            region=sender.get("gr", ""),
            city=sender.get("cy", ""),
            latitude=latitude,
            longitude=longitude,
            timezone=sender.get("tz", ""),
        )
        visitor = random.Random(rng.randrange(VISITORS)).getrandbits(64) or 1
        made = [
            RawEvent(
                event_id=uuid7(now),
                event_type="click" if rng.random() < 0.5 else "page_view",
                occurred_at=now - (PER_REQUEST - index) * 100,
                site_id="site_k3v9x2m4tq",
                visitor_id=visitor,
                device_hash=visitor,
                page_url=row["u"],
                referrer="" if row["r"] == "direct" else row["r"],
                properties=json.dumps({"nk": row.get("nk", 0), "g": row["g"]}, separators=(",", ":")),
                link_id="link_" + row["h"],
                short_code=row["h"],
                destination_url=row["u"],
                client_id=True,
            )
            for index, row in enumerate(rng.choices(clicks, k=PER_REQUEST))
        ]
        yield encode(Record(1, now, "default", "api", made, [visit]))


def with_resent(records: Iterator[bytes]) -> Iterator[bytes]:
    """Every second record comes again, a thousand records later."""
    late: deque[bytes] = deque()
    for number, data in enumerate(records):
        yield data
        if number % 2 == 0:
            late.append(data)
        if len(late) > LATE:
            yield late.popleft()
    yield from late


async def fill(settings: Settings, events: int, *, resent: bool = False) -> dict[str, float]:
    log = await open_log(settings)
    size = 0
    pending: set[asyncio.Task[None]] = set()
    records = requests(events)
    for data in with_resent(records) if resent else records:
        size += len(data)
        pending.add(asyncio.create_task(log.append(Entry("bench", data))))
        if len(pending) >= 500:
            await asyncio.gather(*pending)
            pending.clear()
    await asyncio.gather(*pending)
    await log.close()
    return {"bytes": size}


@asynccontextmanager
async def _parts(settings: Settings):
    log = await open_log(settings, shard="none")
    store = await open_store(settings)
    database = open_state(settings.data / "state.db")
    try:
        await store.migrate()
        yield log, store, database
    finally:
        await store.close()
        await database.close()
        await log.close()


async def drain(settings: Settings, events: int) -> dict[str, float]:
    async with _parts(settings) as (log, store, state), open_worker(log, store, state, settings) as worker:
        cpu, clock = time.process_time(), time.perf_counter()
        stored = await worker.drain()
        seconds = time.perf_counter() - clock
        cpu = time.process_time() - cpu
        await _check(store, events)
        return {
            "seconds": seconds,
            "cpu": cpu,
            "stored": stored,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


async def _check(store, events: int) -> None:
    rows, distinct = (await store.query("SELECT count(), uniqExact(event_id) FROM events"))[0]
    if not rows == distinct == events:
        raise RuntimeError(f"appended {events}, stored {rows} rows of {distinct} events: no result")


async def stages(settings: Settings, events: int) -> dict[str, object]:
    spent: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(name: str, clock: Callable[[], float] = time.thread_time):
        """Merges go on beside: what one thread does alone is measured by that thread's clock."""
        start = clock()
        yield
        spent[name] += clock() - start

    async with _parts(settings) as (log, store, state):
        batches = Batches(state)
        pipeline = Pipeline()
        sessions = Sessions(timeout=settings.session_timeout, memory=settings.session_memory)
        (shard,) = await log.shards()
        after, seconds = -1, 0.0
        while True:
            with stage("read", time.process_time):
                stored = await log.read(
                    shard, after, settings.batch_rows // PER_REQUEST, settings.batch_bytes
                )
            if not stored:
                break
            first, after = stored[0].offset, stored[-1].offset
            with stage("decode"):
                records = [(shard, entry.offset, decode(entry.data or b"")) for entry in stored]
            with stage("columns"):
                made = columns(records)
            with stage("enrich"):
                pipeline.run(made)
            with stage("sessions"):
                made["session_id"], entries = sessions.assign(
                    made["visitor_id"],
                    made["occurred_at"],
                    made["received_at"],
                    made["session_id"],
                    owners(made),
                    facts_of(made),
                )
                made |= entry_columns(entries)
            with stage("arrow"):
                rows = table({name: made[name] for name in NAMES})
            seqs = event_positions(first, 1)[0], event_positions(after, PER_REQUEST)[-1]
            plan = BatchPlan(uuid4().hex, (SeqRange(shard, first, after, *seqs),), rows.num_rows, 0, 0, 0)
            with stage("plan and close", time.process_time):
                await batches.plan(plan)
            clock = time.perf_counter()
            with stage("insert", time.process_time):
                await store.insert(rows, plan.id)
            seconds += time.perf_counter() - clock
            with stage("plan and close", time.process_time):
                await batches.close(plan, Closing())
                await log.commit(WORKER, shard, after)
        await _check(store, events)
        stages = {name: cpu / events * 1e6 for name, cpu in spent.items()}
        return {"stages": stages, "insert_seconds": seconds}


def _child(part: str, data: Path, events: int, *more: str) -> dict[str, object]:
    """Run one part in a process of its own, so that each has its own engine, caches and clock."""
    command = [
        sys.executable,
        "-m",
        "bench.drain",
        "--part",
        part,
        "--data",
        data,
        "--events",
        str(events),
        *more,
    ]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--part", choices=("fill", "drain", "stages"), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--resent", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part is None:
        for figure, value in run(asked.events).items():
            print(f"{figure:45} {value}")
        return
    part = {"fill": partial(fill, resent=asked.resent), "drain": drain, "stages": stages}[asked.part]
    print(json.dumps(uvloop.run(part(Settings(data=asked.data), asked.events))))


if __name__ == "__main__":
    main()
