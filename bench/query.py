"""The questions of a dashboard over many events: `python -m bench query`.

The events are those of `bench.query_data`, in the directory FOOTFALL_BENCH_DATA (made there if it
is empty, FOOTFALL_BENCH_EVENTS of them). Answers are not remembered, so each one is computed.
The baseline of each question is `SELECT 1` through the same server: what HTTP and the engine cost.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench import load, workload
from bench.query_data import make
from bench.servers import HOST, KEY, Footfall, footfall
from footfall import components
from footfall.settings import Settings

ROUNDS = 20
PATIENCE = 4.0  # seconds; of a question that takes long there are fewer rounds
SETTLING = (
    20  # seconds: what is made up for at the start (verify of the days before) is no part of the figures
)
LIVE = 5_000  # events a second
RANGE = {"start_date": "2026-10-31", "end_date": "2026-11-29"}
SITES = {"largest": 0, "middle": 24}
ZONES = ("Europe/Berlin", "Asia/Kolkata")

Ask = Callable[[httpx.Client, str, str], httpx.Response]


def _report(path: str, **more: str) -> Ask:
    def ask(client: httpx.Client, site: str, zone: str) -> httpx.Response:
        return client.get(path, params=RANGE | {"site_id": site, "timezone": zone} | more)

    return ask


def _top(dimension: str, *metrics: str, **more: Any) -> Ask:
    def ask(client: httpx.Client, site: str, zone: str) -> httpx.Response:
        body = {
            "site_id": site,
            "metrics": metrics or ("visitors", "events"),
            "dimensions": [dimension],
            "date_range": [RANGE["start_date"], RANGE["end_date"]],
            "timezone": zone,
            "pagination": {"limit": 10},
        }
        return client.post("/v1/query", json=body | more)

    return ask


QUESTIONS: Mapping[str, Ask] = {
    "overview": _report("/api/v1/analytics/overview"),
    "timeseries by day": _report("/api/v1/analytics/timeseries", interval="day"),
    "timeseries by hour": _report("/api/v1/analytics/timeseries", interval="hour"),
    "countries": _report("/api/v1/analytics/countries", limit="10"),
    "devices": _report("/api/v1/analytics/devices", limit="10"),
    "referers": _report("/api/v1/analytics/referers", limit="10"),
    "widgets": _report("/v1/stats/widgets", limit="10"),
    "posts": _report("/v1/stats/posts", limit="10"),
    "pages": _top("page_path", "visitors", "pageviews"),
    "cities": _top("city"),
    "browsers": _top("browser"),
    "operating systems": _top("os"),
    "channels": _top("channel"),
    "languages": _top("language"),
    "campaigns": _top("utm_campaign"),
    "networks": _top("asn"),
    "links": _top("link_id", "clicks", "visitors", filters=[["is_not", "link_id", [""]]]),
    "two filters (events)": _top(
        "page_path", filters=[["is", "browser", ["Safari"]], ["is", "country_code", ["DE"]]]
    ),
    "bounce rate (events)": _top("channel", "bounce_rate", "sessions"),
    "entry pages (events)": _report("/api/v1/analytics/entry-pages", limit="10"),
    "raw listing": _report("/api/v1/analytics/clicks", limit="50"),
}


def run() -> dict[str, str]:
    data = Path(os.environ.get("FOOTFALL_BENCH_DATA", "bench-data"))
    events = int(os.environ.get("FOOTFALL_BENCH_EVENTS", "10000000"))
    if not (data / "meta.db").exists():
        data.mkdir(parents=True, exist_ok=True)
        asyncio.run(make(data, events))
    keys = asyncio.run(_keys(data))
    figures: dict[str, str] = {}
    with footfall(data, query_cache="0") as server:
        time.sleep(SETTLING)
        for name, rank in SITES.items():
            _measure(server, f"{name}, alone", *keys[rank], ZONES[rank % 2], figures)
        with _live(server):
            for name, rank in SITES.items():
                _measure(server, f"{name}, {LIVE:,} events/s beside", *keys[rank], ZONES[rank % 2], figures)
    return figures


async def _keys(data: Path) -> dict[int, tuple[str, str]]:
    """By rank: a key that may read, and the site."""
    found: dict[int, tuple[str, str]] = {}
    async with components.with_tenants(Settings(data=data)) as tenants:
        for workspace in await tenants.workspaces():
            if workspace.name.startswith("workspace "):
                rank = int(workspace.name.split()[1])
                if rank in SITES.values():
                    _, secret = await tenants.create_key(workspace.id, "bench", ["read"])
                    found[rank] = secret, (await tenants.sites(workspace.id)).items[0].id
    return found


def _measure(server: Footfall, label: str, key: str, site: str, zone: str, figures: dict[str, str]) -> None:
    base = f"http://{HOST}:{server.console_port}"
    with httpx.Client(base_url=base, headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
        floor = _timed(lambda: client.get("/health/ready"))
        figures[f"{label}: health (baseline)"] = _shown(floor)
        for name, ask in QUESTIONS.items():
            source = _checked(ask(client, site, zone))
            figures[f"{label}: {name}"] = (
                f"{_shown(_timed(lambda ask=ask: _checked(ask(client, site, zone))))}, {source}"
            )


def _checked(answer: httpx.Response) -> str:
    """Where the answer comes from. Raises when it is none, or empty."""
    answer.raise_for_status()
    body = answer.json()
    if not (body.get("data") or body.get("results")):
        raise RuntimeError(f"an empty answer: {answer.request.url}")
    return body["meta"]["source"]


def _timed(call: Callable[[], object]) -> list[float]:
    call()
    seconds = []
    while len(seconds) < ROUNDS and sum(seconds) < PATIENCE:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)


def _shown(seconds: list[float]) -> str:
    p50, p95 = (1000 * seconds[int(share * len(seconds))] for share in (0.5, 0.95))
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms"


@contextmanager
def _live(server: Footfall) -> Iterator[None]:
    """Events come in until the block ends."""
    posts = workload.posts(KEY)
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            load.drive(HOST, server.port, posts, seconds=5, rate=LIVE / 20)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        time.sleep(3)
        yield
    finally:
        stop.set()
        thread.join()
