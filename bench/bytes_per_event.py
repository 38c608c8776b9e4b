"""How much disk and CPU a stored event takes: `python -m bench bytes_per_event`.

A million clicks are resampled from the real ones. Devices keep their clicks and the time
between them; each copy of a device has fresh ids, comes at a random moment, and its events are
filled as the worker would fill them. They go in as 20 batches of 50,000 in order of time, then
are merged into one part. `python -m bench.bytes_per_event` compares alternatives to what
store/sql has (docs/decisions/0005-events-table.md).
"""

import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from bench.workload import CLICKS
from footfall.enrich.pipeline import Pipeline
from footfall.imports.clicks.bitly import parse
from footfall.imports.clicks.line import ImportedClick
from footfall.model.ids import short_id, uuid7
from footfall.settings import Settings
from footfall.store.arrow import table
from footfall.store.chdb.handles import Handles, open_handles
from footfall.store.migrate import SQL

BATCH = 50_000
START = 1_788_220_800_000  # 2026-09-01: a month (of partitions) holds it all
_NIL = bytes(16)


class Event(NamedTuple):
    """A click, when it comes (ms), and the ids of its device."""

    at: int
    click: ImportedClick
    visitor: int
    session: int


class Cost(NamedTuple):
    """Of an event: bytes on disk and microseconds of CPU. Seconds of a batch (`wall`), of a question."""

    disk: float
    insert: float
    merge: float
    wall: float
    question: float
    columns: dict[str, float]


def run() -> dict[str, str]:
    figures: dict[str, str] = {}
    for label, hours in (("3 hours, 93 events/s", 3), ("30 days, 0.4 events/s", 720)):
        batches, build = _build(hours, 1_000_000)
        cost = measure(batches, (SQL / "0001_events.sql").read_text())
        figures[f"bytes per event, {label}"] = f"{cost.disk:.1f}"
        figures[f"CPU µs per event, {label}: columns to Arrow"] = f"{build:.2f}"
        figures[f"CPU µs per event, {label}: insert"] = f"{cost.insert:.2f}"
        figures[f"CPU µs per event, {label}: merge of 20 parts"] = f"{cost.merge:.2f}"
        large = sorted(cost.columns.items(), key=lambda item: -item[1])
        figures[f"bytes by column, {label}"] = ", ".join(f"{n} {b:.2f}" for n, b in large if b >= 0.05)
    return figures


def events(hours: float, count: int, seed: int = 1) -> list[Event]:
    """`count` clicks within `hours`, in order of time."""
    devices: dict[Any, list[ImportedClick]] = {}
    for line in CLICKS.read_text().splitlines():
        if isinstance(click := parse(line), ImportedClick):
            devices.setdefault(click.visit, []).append(click)
    rng = random.Random(seed)
    made: list[Event] = []
    while len(made) < count:
        for clicks in devices.values():
            visitor, session = rng.getrandbits(64), rng.getrandbits(64)
            first = min(click.occurred_at for click in clicks)
            start = START + rng.randrange(int(hours * 3_600_000))
            for click in clicks:
                at = start + click.occurred_at - first + rng.randrange(1000)
                made.append(Event(at, click, visitor, session))
    return sorted(made[:count], key=lambda event: event.at)


def columns(some: Sequence[Event], first: int, links: dict[str, str]) -> dict[str, list[Any]]:
    """The columns of live clicks, before the enrichment. `first`: position of the first of them."""
    n = len(some)
    clicks = [event.click for event in some]
    visits = [click.visit for click in clicks]
    at = [event.at for event in some]
    visitors = [event.visitor for event in some]
    result: dict[str, list[Any]] = {
        "event_id": [uuid7(ms) for ms in at],
        "event_type": ["click"] * n,
        "event_version": [1] * n,
        "occurred_at": at,
        "occurred_at_original": [0] * n,
        "received_at": at,
        "source": ["redirect"] * n,
        "workspace_id": ["default"] * n,
        "link_id": [links.setdefault(click.code, short_id("link")) for click in clicks],
        "short_code": [click.code for click in clicks],
        "destination_url": [click.url for click in clicks],
        "via_click_id": [_NIL] * n,
        "visitor_id": visitors,
        "device_hash": visitors,
        "session_id": [event.session for event in some],
        "referrer": [click.referrer for click in clicks],
        "sample_weight": [1.0] * n,
        "properties": [click.properties for click in clicks],
        "utm": [None] * n,
        "shard": [0x9E3779B97F4A7C15] * n,
        "seq": [(first + row) * 4096 for row in range(n)],
    }
    result |= {name: [""] * n for name in ("sent_by", "site_id", "variant", "page_url", "client_hints")}
    for name in visits[0].__struct_fields__:
        result.setdefault(name, [getattr(visit, name) for visit in visits])
    return result


def _build(hours: float, count: int) -> tuple[list[pa.Table], float]:
    """The batches, and the CPU µs per event that making Arrow tables of their columns took."""
    pa.array([0])  # the first one imports pandas
    links: dict[str, str] = {}
    pipeline = Pipeline()
    all_events = events(hours, count)
    batches: list[pa.Table] = []
    spent = 0.0
    for first in range(0, count, BATCH):
        values = columns(all_events[first : first + BATCH], first, links)
        pipeline.run(values)
        del values["utm"], values["client_hints"], values["told"]
        started = time.process_time()
        batches.append(table(values))
        spent += time.process_time() - started
    return batches, spent / count * 1e6


def measure(batches: Sequence[pa.Table], sql: str, question: str = "SELECT 1") -> Cost:
    """What the batches cost in a table made by the statement `sql`, and what `question` takes then."""
    with tempfile.TemporaryDirectory() as directory:
        handles = open_handles(Settings(), Path(directory))
        try:
            return _measure(handles, batches, sql, question)
        finally:
            handles.close()


def _measure(handles: Handles, batches: Sequence[pa.Table], sql: str, question: str) -> Cost:
    handles.commands.command(re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE).strip().rstrip(";"))
    handles.commands.command("SYSTEM STOP MERGES events")
    handles.writer.insert(batches[0], "warm-up")
    handles.commands.command("TRUNCATE TABLE events")
    total = sum(batch.num_rows for batch in batches)
    cpu, wall = time.process_time(), time.perf_counter()
    for number, batch in enumerate(batches):
        handles.writer.insert(batch, f"batch-{number}")
    inserted, wall = time.process_time() - cpu, time.perf_counter() - wall
    handles.commands.command("SYSTEM START MERGES events")
    cpu = time.process_time()
    handles.commands.command("OPTIMIZE TABLE events FINAL")
    merged = time.process_time() - cpu
    (stored, disk), *_ = handles.commands.rows(
        "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE table = 'events' AND active"
    )
    if stored != total:
        raise RuntimeError(f"{total} events went in, {stored} are there")
    by_column = handles.commands.rows(
        "SELECT column, sum(column_data_compressed_bytes) FROM system.parts_columns"
        " WHERE table = 'events' AND active GROUP BY column"
    )
    return Cost(
        disk / total,
        inserted / total * 1e6,
        merged / total * 1e6,
        wall / len(batches),
        min(_seconds(lambda: handles.commands.rows(question)) for _ in range(5)),
        {name: size / total for name, size in by_column},
    )


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _codec(codec: str, *names: str) -> Callable[[str], str]:
    def change(sql: str) -> str:
        for name in names:
            sql = re.sub(
                rf"^(    {name} [^\n]*?)( CODEC\([^\n]*\))?,$",
                rf"\1 CODEC({codec}),",
                sql,
                flags=re.MULTILINE,
            )
        return sql

    return change


def _swap(old: str, new: str) -> Callable[[str], str]:
    def change(sql: str) -> str:
        if old not in sql:
            raise ValueError(f"{old!r} is not in the migration")
        return sql.replace(old, new)

    return change


_TIMES = ("occurred_at", "occurred_at_original", "received_at", "seq")
_ORDER = "event_type, link_id, occurred_at)"
_TEXT = "properties String"
_MAP = (
    "min_bytes_for_wide_part = 67108864, object_shared_data_serialization_version = 'map',"
    " object_shared_data_serialization_version_for_zero_level_parts = 'map'"
)

VARIANTS: dict[str, Callable[[str], str]] = {
    "as it is": lambda sql: sql,
    "LZ4 and no codecs": lambda sql: re.sub(r" CODEC\([^\n]*\)", "", sql.replace("'ZSTD(1)'", "'LZ4'")),
    "ZSTD(1) and no codecs": lambda sql: re.sub(r" CODEC\([^\n]*\)", "", sql),
    "ZSTD(3) by default": _swap("'ZSTD(1)'", "'ZSTD(3)'"),
    "event_id ZSTD(1)": _codec("ZSTD(1)", "event_id"),
    "event_id uncompressed": _codec("NONE", "event_id"),
    "visitor, device, session ZSTD(3)": _codec("ZSTD(3)", "visitor_id", "device_hash", "session_id"),
    "times and seq ZSTD(1)": _codec("ZSTD(1)", *_TIMES),
    "times and seq DoubleDelta": _codec("DoubleDelta, ZSTD(1)", *_TIMES),
    "times and seq T64": _codec("T64, ZSTD(1)", *_TIMES),
    "times and seq GCD, Delta": _codec("GCD, Delta, ZSTD(1)", *_TIMES),
    "places Gorilla": _codec("Gorilla, ZSTD(1)", "latitude", "longitude"),
    "places FPC": _codec("FPC, ZSTD(1)", "latitude", "longitude"),
    "sorted by visitor after link": _swap(_ORDER, "event_type, link_id, visitor_id)"),
    "sorted by user agent after link": _swap(_ORDER, "event_type, link_id, user_agent, occurred_at)"),
    "without the position index": lambda sql: re.sub(r",\s*(--[^\n]*)?\s*INDEX position[^\n]*", "", sql),
    "wide parts from 10 MiB (default)": _swap(
        "min_bytes_for_wide_part = 67108864", "min_bytes_for_wide_part = 10485760"
    ),
    "no fsync": lambda sql: re.sub(r"(fsync\w*) = 1", r"\1 = 0", sql),
}


# Compared on properties as the known kinds have them, and some custom names.
OF_PROPERTIES: dict[str, Callable[[str], str]] = {
    "as it is: String": lambda sql: sql,
    "JSON without paths of their own": lambda sql: _swap("min_bytes_for_wide_part = 67108864", _MAP)(
        _swap(_TEXT, "properties JSON(max_dynamic_paths = 0)")(sql)
    ),
    "the same, default serialization": _swap(_TEXT, "properties JSON(max_dynamic_paths = 0)"),
    "JSON, 16 paths": _swap(_TEXT, "properties JSON(max_dynamic_paths = 16)"),
    "JSON, 16 paths without types": _swap(
        _TEXT, "properties JSON(max_dynamic_paths = 16, max_dynamic_types = 0)"
    ),
    "JSON, 1024 paths (default)": _swap(_TEXT, "properties JSON"),
}


def mixed_properties(rng: random.Random) -> str:
    """Mostly what widgets send, some of pages, devices and sales, and a few names of nobody else."""
    kind = rng.random()
    some = {"mapping_id": f"map_{_rank(rng, 300)}", "device_slug": f"dev-{_rank(rng, 200)}"}
    if kind < 0.5:
        some |= {"widget_index": _rank(rng, 5), "viewport_percent": round(rng.random() * 100, 1)}
    elif kind < 0.6:
        some |= {"click_target": "button", "destination_url": f"https://shop.example/{_rank(rng, 500)}"}
    elif kind < 0.8:
        some = {"title": f"Page title {_rank(rng, 2000)}"}
    elif kind < 0.9:
        some = {"device_id": f"d{_rank(rng, 3000)}", "brand": f"b{_rank(rng, 20)}", "view_source": "widget"}
    elif kind < 0.95:
        some = {"name": "purchase", "value_minor": _rank(rng, 99_999), "currency": "EUR"}
    else:
        some = {f"custom_{_rank(rng, 60)}": 1, f"other_{_rank(rng, 60)}": "x"}
    return json.dumps(some, separators=(",", ":"))


def _rank(rng: random.Random, names: int) -> int:
    """A popular one more often than another: Zipf's law, roughly."""
    return int(rng.paretovariate(1.1)) % names


def compare() -> Iterator[str]:
    """The alternatives as lines of Markdown, on half a million events each."""
    sql = (SQL / "0001_events.sql").read_text()
    dense, sparse = (_build(hours, 500_000)[0] for hours in (1.5, 360))
    yield "| variant | B/event, 93/s | B/event, 0.4/s | insert µs | ms a batch | merge µs |"
    yield "|---|---|---|---|---|---|"
    for name, change in VARIANTS.items():
        a, b = measure(dense, change(sql)), measure(sparse, change(sql))
        yield (
            f"| {name} | {a.disk:.1f} | {b.disk:.1f} | {(a.insert + b.insert) / 2:.2f}"
            f" | {(a.wall + b.wall) * 500:.0f} | {(a.merge + b.merge) / 2:.2f} |"
        )
    rng = random.Random(1)
    mixed = [
        batch.set_column(
            batch.column_names.index("properties"),
            "properties",
            pa.array([mixed_properties(rng) for _ in range(batch.num_rows)]),
        )
        for batch in dense
    ]
    yield "\n| properties | B/event | insert µs | merge µs | ms to group by one |\n|---|---|---|---|---|"
    for name, change in OF_PROPERTIES.items():
        one = (
            "JSONExtractString(properties, 'mapping_id')"
            if name == "String"
            else "toString(properties.mapping_id)"
        )
        cost = measure(mixed, change(sql), f"SELECT {one} AS one, count() FROM events GROUP BY one")
        figures = f"{cost.disk:.1f} | {cost.insert:.2f} | {cost.merge:.2f} | {cost.question * 1000:.0f}"
        yield f"| {name} | {figures} |"


if __name__ == "__main__":
    for line in compare():
        print(line, flush=True)
