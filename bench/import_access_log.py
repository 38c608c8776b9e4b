"""Speed of `footfall import access-log`: the real log, resampled to 500,000 lines.

    python -m bench import_access_log

"read to log": file -> chunks -> parse, geo, ids, what is there already -> durable in the log, with the
store answering its questions but no worker inserting (the log is committed as if one did). Run twice:
over an empty past, and over the same time received live. "command": the whole command with
its own console and worker, until every event is stored. The baseline is a plain regular
expression over the same lines. Each run ends by counting what is in the log (or the store).
"""

import asyncio
import gzip
import random
import re
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

from footfall import main
from footfall.cli.import_files import import_access_log
from footfall.enrich.geo import GeoReader
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER
from footfall.imports.access_log.importer import AccessLogImporter
from footfall.imports.access_log.requests import line_identity
from footfall.imports.access_log.visitors import LoggedVisitors
from footfall.imports.clicks.chunk import MAX_LINES
from footfall.imports.intake import Intake
from footfall.imports.reader import read_chunks
from footfall.model.columns import COLUMNS
from footfall.model.record import decode
from footfall.runtime.background import every
from footfall.settings import load
from footfall.state.import_salts import ImportSalts
from footfall.state.imported_files import ImportedFiles
from footfall.state.salts import Salts
from footfall.state.tables import open_state
from footfall.store import open_store
from footfall.store.arrow import table
from footfall.tenants.directory import Directory
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants

LINES = 500_000
SAMPLE = Path(__file__).parents[1] / "examples" / "data" / "apache_access.log.gz"
PLAIN = re.compile(r'(\S+) (\S+) (\S+) \[([^\]]+)\] "([^"]*)" (\d{3}) (\S+) "([^"]*)" "([^"]*)"')
TIME = re.compile(rb"\[[^\]]*\]")
FIRST = 1_431_820_800  # 17 May 2015
SPAN = 4 * 86_400


def resample(path: Path, lines: int) -> None:
    """The lines of the real log in random order, at times that go on evenly over its four days."""
    rng = random.Random(1)
    real = gzip.decompress(SAMPLE.read_bytes()).splitlines()
    with path.open("wb") as file:
        for number in range(lines):
            at = time.gmtime(FIRST + number * SPAN // lines)
            stamp = time.strftime("[%d/May/2015:%H:%M:%S +0000]", at).encode()
            file.write(TIME.sub(stamp, rng.choice(real), count=1) + b"\n")


def baseline(path: Path) -> float:
    """Lines a second of a plain regular expression."""
    start, found = time.perf_counter(), 0
    with path.open() as file:
        for line in file:
            found += PLAIN.match(line) is not None
    assert found > LINES * 0.99
    return LINES / (time.perf_counter() - start)


def live_events(site: str) -> dict[str, list[object]]:
    """As many page views, received live, as the file will bring: none of them is in it."""
    count = LINES // 3
    empty: dict[str, object] = {"String": "", "UUID": b"\0" * 16, "Bool": False, "JSON": ""}
    rows: dict[str, list[object]] = {
        column.name: [next((value for name, value in empty.items() if name in column.type), 0)] * count
        for column in COLUMNS
    }
    rng = random.Random(2)
    rows |= {
        "event_id": [rng.randbytes(16) for _ in range(count)],
        "occurred_at": [(FIRST + number * SPAN // count) * 1000 for number in range(count)],
        "event_type": ["page_view"] * count,
        "workspace_id": ["default"] * count,
        "site_id": [site] * count,
        "source": ["beacon"] * count,
        "page_path": [f"/page/{rng.randrange(500)}" for _ in range(count)],
        "seq": list(range(count)),
    }
    return rows


async def read_to_log(directory: Path, path: Path, *, live: bool) -> float:
    """Lines a second until durable."""
    settings = load(data=directory)
    await main.prepare(settings)
    async with AsyncExitStack() as stack:
        store = await open_store(settings)
        stack.push_async_callback(store.close)
        await store.migrate()
        metadata, state = open_metadata(directory / "meta.db"), open_state(directory / "state.db")
        stack.push_async_callback(metadata.close)
        stack.push_async_callback(state.close)
        tenants, salts = Tenants(metadata, settings), Salts(state)
        await salts.refresh(time.time())
        directory_of = Directory(tenants, settings)
        await directory_of.start()
        stack.push_async_callback(directory_of.stop)
        log = await open_log(settings)
        stack.push_async_callback(log.close)

        async def opened():
            return log

        workspace = (await tenants.workspaces())[0]
        site = (await tenants.sites(workspace.id)).items[0]
        if live:
            rows = live_events(site.id)
            for start in range(0, LINES // 3, 50_000):
                part = {name: values[start : start + 50_000] for name, values in rows.items()}
                await store.insert(table(part), f"{start:032x}")
        geo = GeoReader(None)
        stack.callback(geo.close)
        intake = Intake(opened, store, ImportedFiles(state), consumer=WORKER)
        logs = AccessLogImporter(intake, directory_of, LoggedVisitors(geo, salts, ImportSalts(state), 1800))

        async def commit():
            for shard in await log.shards():
                while stored := await log.read(shard, committed.get(shard, -1), 1000, 64 << 20):
                    events["found"] += sum(len(decode(each.data).events) for each in stored)
                    committed[shard] = stored[-1].offset
                    await log.commit(WORKER, shard, committed[shard])

        committed, events = dict[int, int](), Counter()
        added = 0
        sending: deque[asyncio.Task] = deque()
        start = time.perf_counter()
        with path.open("rb") as raw, every(0.2, commit):
            chunks = read_chunks(raw, MAX_LINES, line_identity)
            while (chunk := await asyncio.to_thread(next, chunks, None)) or sending:
                if chunk:
                    adding = logs.add(workspace, site, chunk.lines, chunk.occurrences)
                    sending.append(asyncio.create_task(adding))
                if not chunk or len(sending) == 2:
                    added += sum((await sending.popleft()).added.values())
        rate = LINES / (time.perf_counter() - start)
        await commit()
        assert added == events["found"] > LINES // 4, "events are missing in the log"
        return rate


async def command(directory: Path, path: Path) -> float:
    """Lines a second until stored."""
    start = time.perf_counter()
    totals = await import_access_log(str(path), "My site", data=directory)
    rate = LINES / (time.perf_counter() - start)
    store = await open_store(load(data=directory))
    try:
        ((stored, different),) = await store.query("SELECT count(), uniqExact(event_id) FROM events")
    finally:
        await store.close()
    assert stored == different == totals["page views imported"], "events are missing in the store"
    return rate


def measured(work: Coroutine[None, None, float]) -> tuple[float, float]:
    """Its lines a second, and µs of CPU a line of the whole process, preparation included."""
    start = time.process_time()
    rate = asyncio.run(work)
    return rate, (time.process_time() - start) / LINES * 1e6


def run() -> dict[str, str]:
    root = Path(tempfile.mkdtemp(prefix="footfall-bench-"))
    try:
        path = root / "access.log"
        resample(path, LINES)
        plain = baseline(path)
        figures = {
            "read to log, empty past": measured(read_to_log(root / "empty", path, live=False)),
            "read to log, received live": measured(read_to_log(root / "live", path, live=True)),
            "command, until stored": measured(command(root / "command", path)),
        }
        return {"baseline: plain regex, lines/s": f"{plain:,.0f}"} | {
            f"{name}, lines/s": f"{rate:,.0f} ({rate / plain:.3f} of the baseline), {cpu:.1f} µs of CPU"
            for name, (rate, cpu) in figures.items()
        }
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    print(run())
