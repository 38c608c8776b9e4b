"""Ten million events of one workspace to Parquet, over loopback, from a real server.

    python -m bench.export [DIRECTORY]

DIRECTORY is filled once, and used again when it has the events. Memory is that of the process
that answers: before, and at most while it does.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pyarrow.parquet as pq

from bench import query_data
from bench.servers import HOST, KEY, _free_port, _wait_for
from footfall import components, main
from footfall.settings import Settings

EVENTS = 10_000_000
KINDS = (
    ("parquet", "identity", "2026-09-01", 2),
    ("csv", "zstd", "2026-11-01", 1),
    ("ndjson", "gzip", "2026-11-01", 1),
)  # format, encoding, from when on, how often
PATH = "/api/v1/export/events"
RANGE = {"end_date": "2026-12-01", "include_bots": "true"}


def run(directory: Path | None = None) -> dict[str, str]:
    """Make the events, export them in each format."""
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as temporary:
        data = directory or Path(temporary) / "data"
        if not (data / "meta.db").exists():
            asyncio.run(_fill(data))
        figures = {"load average at the start": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg())}
        for kind, encoding, start, times in KINDS:
            with _serving(data) as (port, pid):
                for number in range(times):  # the engine's caches grow once, exports do not
                    name = f"{kind}, {encoding}{', again' if number else ''}"
                    figures |= _export(
                        port, pid, name, RANGE | {"format": kind, "start_date": start}, encoding
                    )
    return figures


async def _fill(data: Path) -> None:
    """One workspace, fifty sites, 90 days."""
    settings = Settings(data=data, admin_key=KEY)
    await main.prepare(settings)
    async with AsyncExitStack() as stack:
        tenants = await stack.enter_async_context(components.with_tenants(settings))
        made = [await tenants.create_site("default", f"site {n}") for n in range(query_data.WORKSPACES)]
        sites = [("default", site.id) for site in made]
        store = await stack.enter_async_context(components.with_store(settings))
        await store.migrate()
        for first in range(0, EVENTS, query_data.CHUNK):
            sql = query_data.insert_sql(sites, EVENTS, first, min(query_data.CHUNK, EVENTS - first))
            await asyncio.to_thread(store._handles.writer.command, sql)  # noqa: SLF001 - made in the engine


@contextmanager
def _serving(data: Path) -> Iterator[tuple[int, int]]:
    port = _free_port()
    arguments = ["query", "--data", str(data), "--console-port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "footfall", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _export(port: int, pid: int, name: str, params: dict[str, str], encoding: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {KEY}", "Accept-Encoding": encoding}
    with (
        httpx.Client(base_url=f"http://{HOST}:{port}", headers=headers, timeout=120) as client,
        tempfile.NamedTemporaryFile(prefix="footfall-bench-") as file,
    ):
        day = params | {"start_date": "2026-11-20", "end_date": "2026-11-20"}
        client.get(PATH, params=day).raise_for_status()  # what is loaded once is not growth
        before, cpu, started = _memory(pid), _cpu(pid), time.perf_counter()
        with _watched(pid) as most, client.stream("GET", PATH, params=params) as answer:
            answer.raise_for_status()
            first = time.perf_counter() - started
            rows = int(answer.headers["Footfall-Rows"])
            size = sum(file.write(chunk) for chunk in answer.iter_raw())
        seconds = time.perf_counter() - started
        file.flush()
        if params["format"] == "parquet" and not pq.read_metadata(file.name).num_rows == rows == EVENTS:
            raise RuntimeError(f"not all {EVENTS} events were exported: no result")
    return {
        f"{name}: rows/s": f"{rows / seconds:,.0f}",
        f"{name}: seconds, to the first byte": f"{seconds:.1f}, {first:.2f}",
        f"{name}: CPU of the server": f"{(_cpu(pid) - cpu) / rows * 1e6:.2f} us a row",
        f"{name}: bytes a row": f"{size / rows:.0f}",
        f"{name}: memory before, most, growth": f"{before} MB, {max(most)} MB, {max(most) - before} MB",
    }


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """Memory, looked at ten times a second."""
    seen, stop = [_memory(pid)], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            seen.append(_memory(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def _memory(pid: int) -> int:
    """Resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for figure, value in run(Path(sys.argv[1]) if sys.argv[1:] else None).items():
        print(f"{figure:55} {value}", flush=True)
