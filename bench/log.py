"""Speed of the SQLite log, beside what the disk and a bare SQLite do in the same run.

    python -m bench.log [--seconds 5] [--waiters 64] [--size 4096] [--rate 6000] [--data DIR] [--json]

Alone: no door, no worker. Waits are per append, from the call to the answer. "busy" appends
burn 50 us of CPU on the event loop first, as a door that parses requests does. The run ends by
reading everything back; a run that lost a record has no result.
"""

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from footfall.eventlog import open_log
from footfall.eventlog.port import Entry, EventLog
from footfall.settings import load

Row = dict[str, float | str]


def milliseconds(times: list[float], share: float) -> float:
    times.sort()
    return round(times[min(len(times) - 1, int(len(times) * share))] * 1e3, 2)


def row(name: str, count: int, size: int, elapsed: float, waits: list[float], cpu: float = 0.0) -> Row:
    return {
        "what": name,
        "count": count,
        "per_second": round(count / elapsed),
        "mb_per_second": round(count * size / elapsed / 1e6, 1),
        "p50_ms": milliseconds(waits, 0.50),
        "p99_ms": milliseconds(waits, 0.99),
        "max_ms": milliseconds(waits, 1.0),
        "cpu_us": round(cpu / count * 1e6, 1),
    }


def repeat(name: str, step: Callable[[], object], seconds: float, records: int, size: int) -> Row:
    """A loop that waits for the disk in each step, `records` records at a time."""
    waits: list[float] = []
    start, cpu = time.perf_counter(), time.process_time()
    while (now := time.perf_counter()) - start < seconds:
        step()
        waits.append(time.perf_counter() - now)
    count = len(waits) * records
    return row(name, count, size, time.perf_counter() - start, waits, time.process_time() - cpu)


def raw_disk(directory: Path, seconds: float, records: int, size: int) -> Row:
    body = os.urandom(records * size)
    file = os.open(directory / "raw", os.O_CREAT | os.O_WRONLY)

    def step() -> None:
        os.write(file, body)
        os.fdatasync(file)

    try:
        return repeat(f"write + fdatasync, {records} at once", step, seconds, records, size)
    finally:
        os.close(file)


def bare_sqlite(directory: Path, seconds: float, records: int, size: int) -> Row:
    body = os.urandom(size)
    connection = sqlite3.connect(directory / "bare.db", isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, data BLOB)")

    def step() -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO records (data) VALUES (?)", [(body,)] * records)
        connection.execute("COMMIT")

    try:
        return repeat(f"sqlite3 executemany + commit, {records} at once", step, seconds, records, size)
    finally:
        connection.close()


def burn(microseconds: float) -> None:
    end = time.perf_counter() + microseconds / 1e6
    while time.perf_counter() < end:
        pass


async def closed_loop(log: EventLog, name: str, seconds: float, waiters: int, size: int, work: float) -> Row:
    """Each waiter appends its next record as soon as the last one is safe."""
    body = os.urandom(size)
    waits: list[float] = []
    start, cpu = time.perf_counter(), time.process_time()

    async def wait() -> None:
        while (now := time.perf_counter()) - start < seconds:
            burn(work)
            await log.append(Entry("", body))
            waits.append(time.perf_counter() - now)

    await asyncio.gather(*(wait() for _ in range(waiters)))
    return row(name, len(waits), size, time.perf_counter() - start, waits, time.process_time() - cpu)


async def open_loop(log: EventLog, name: str, seconds: float, rate: int, size: int, work: float) -> Row:
    """Appends are due at fixed times, whether older ones are done or not; waits count from there.

    Without a figure for CPU: most of it is the generator's.
    """
    body = os.urandom(size)
    waits: list[float] = []
    tasks: set[asyncio.Task[None]] = set()
    start = time.perf_counter()

    async def append(due: float) -> None:
        burn(work)
        await log.append(Entry("", body))
        waits.append(time.perf_counter() - due)

    sent = 0
    while sent < rate * seconds:
        due = int((time.perf_counter() - start) * rate)
        for number in range(sent, due):
            task = asyncio.create_task(append(start + number / rate))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        sent = max(sent, due)
        await asyncio.sleep(0.0005)
    await asyncio.gather(*tasks)
    return row(name, len(waits), size, time.perf_counter() - start, waits)


async def drain(log: EventLog, size: int) -> tuple[Row, int, int]:
    """Read everything as a worker does; the shard and its last offset."""
    (shard,) = await log.shards()
    after, count, waits = -1, 0, []
    start, cpu = time.perf_counter(), time.process_time()
    while True:
        now = time.perf_counter()
        piece = await log.read(shard, after, 4000, 16 << 20)
        if not piece:
            break
        waits.append(time.perf_counter() - now)
        assert all(record.data is not None and len(record.data) == size for record in piece)
        after = piece[-1].offset
        count += len(piece)
    used = time.process_time() - cpu
    return row("read, 4,000 at once", count, size, time.perf_counter() - start, waits, used), shard, after


async def idle(log: EventLog, shard: int, after: int) -> list[Row]:
    """A poll that finds nothing; beside it the bare hop to a thread that is part of it."""
    found: list[Row] = []
    for name, step in (
        ("read, nothing new", lambda: log.read(shard, after, 4000, 16 << 20)),
        ("asyncio.to_thread, nothing to do", lambda: asyncio.to_thread(int)),
    ):
        waits: list[float] = []
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(3000):
            now = time.perf_counter()
            await step()
            waits.append(time.perf_counter() - now)
        used = time.process_time() - cpu
        found.append(row(name, len(waits), 0, time.perf_counter() - start, waits, used))
    return found


async def measure(directory: Path, options: argparse.Namespace) -> list[Row]:
    seconds, size, waiters, rate = options.seconds, options.size, options.waiters, options.rate
    found = [
        raw_disk(directory, seconds / 2, 1, size),
        raw_disk(directory, seconds / 2, waiters, size),
        bare_sqlite(directory, seconds / 2, 1, size),
        bare_sqlite(directory, seconds / 2, waiters, size),
    ]
    log = await open_log(load(data=directory / "data"))
    try:
        found.append(await closed_loop(log, "append, 1 waiter", seconds, 1, size, 0))
        found.append(await closed_loop(log, f"append, {waiters} waiters", seconds, waiters, size, 0))
        found.append(await closed_loop(log, f"append, {waiters} waiters, busy", seconds, waiters, size, 50))
        found.append(await open_loop(log, f"append, {rate}/s", seconds, rate, size, 0))
        found.append(await open_loop(log, f"append, {rate}/s, busy", seconds, rate, size, 50))
        acknowledged = sum(int(each["count"]) for each in found[4:])
        read, shard, after = await drain(log, size)
        assert read["count"] == acknowledged, "records are missing: no result"
        return [*found, read, *await idle(log, shard, after)]
    finally:
        await log.close()


def run(seconds: float = 5) -> dict[str, object]:
    """The figures for `python -m bench`."""
    return {
        str(each["what"]): f"{each['per_second']:,}/s, p50 {each['p50_ms']} ms, p99 {each['p99_ms']} ms, "
        f"max {each['max_ms']} ms, {each['cpu_us']} us of CPU each"
        for each in rows(_options([f"--seconds={seconds}"]))
    }


def rows(options: argparse.Namespace) -> list[Row]:
    """Measure in a directory of its own, which is removed."""
    directory = Path(tempfile.mkdtemp(dir=options.data))
    try:
        return uvloop.run(measure(directory, options))
    finally:
        shutil.rmtree(directory)


def main() -> None:
    options = _options(None)
    measured = rows(options)
    if options.json:
        json.dump(measured, sys.stdout, indent=2)
        print()
        return
    print(f"{'':44}{'1/s':>9}{'MB/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'CPU us':>9}")
    for each in measured:
        print(
            f"{each['what']:44}{each['per_second']:>9}{each['mb_per_second']:>8}"
            f"{each['p50_ms']:>9}{each['p99_ms']:>9}{each['max_ms']:>9}{each['cpu_us']:>9}"
        )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--waiters", type=int, default=64)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rate", type=int, default=6000)
    parser.add_argument("--data", type=Path, help="a directory on the disk to measure; emptied afterwards")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
