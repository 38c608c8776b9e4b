"""Rollups: what a slice and a compaction cost, and the disk they take, beside the events themselves.

    python -m bench.rollups [--slices 8]

Events are made in the engine, always the same: 25 sites by Zipf's law, in 5 workspaces and three
zones; visitors with about five events each, 400 links and 500 pages a site by Zipf's law, 8 % of
visitors bots, 1 % of the events up to three days late. "A busy day": a million events a slice, all
slices within one day, compacted at the end. "An import": one slice of a million over 90 days.

At the end retention deletes all events, and keeps what it does of visits.

CPU is that of all threads of the process, with nothing else in it. A run in which the rollups
count anything else than the events has no result.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from footfall import components
from footfall.model.record import SEQ_PER_RECORD
from footfall.retention.policy import Retention
from footfall.rollups.compaction import Merge
from footfall.rollups.maintenance import RollupMaintainer
from footfall.settings import Settings
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.rollups.builds import Builds

SLICE = 244 * SEQ_PER_RECORD  # whole records, about a million events
BATCH = SLICE // 16
DAY = 86_400_000
START = 1_795_046_400_000  # a midnight in UTC
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata")


def run(slices: int = 8) -> dict[str, object]:
    busy, imported = _child("busy", slices), _child("import", 1)
    return {f"busy day, {name}": value for name, value in busy.items()} | {
        f"import, {name}": value for name, value in imported.items()
    }


def _zipf(of: str, salt: int, count: int) -> str:
    """A number from 0 to count - 1 that a hash of `of` gives, n with a chance of about 1 / (n + 1)."""
    share = f"(cityHash64({of}, {salt}) % 1000003 / 1000003)"
    return f"toUInt32(floor(pow({count + 1}, {share})) - 1)"


def _one_of(of: str, salt: int, values: list[str]) -> str:
    return f"{values}[1 + {_zipf(of, salt, len(values))}]"


def insert_sql(first: int, count: int, total: int, span: int, visitors: int) -> str:
    """The INSERT of `count` of `total` events that occur within `span` ms, from the number `first` on."""
    kinds = ["page_view"] * 45 + ["click"] * 35 + ["widget_impression"] * 10 + ["widget_click"] * 4
    kinds += ["conversion"] * 2 + ["signup"] * 4
    widget = (
        f'concat(\'{{"mapping_id":"m\', toString({_zipf("n", 1, 20)}), \'","post_id":"p\','
        f' toString({_zipf("n", 2, 200)}), \'","device_slug":"d\', toString({_zipf("n", 3, 50)}),'
        " '\",\"viewport_percent\":', toString(n % 101), '}')"
    )
    return f"""
INSERT INTO events (event_id, event_type, event_version, occurred_at, received_at, source, workspace_id,
    site_id, link_id, short_code, destination_url, visitor_id, device_hash, session_id, page_url, page_path,
    referrer, referrer_host, channel, country_code, region, city, timezone, asn, device_type, browser,
    browser_version, os, os_version, user_agent, language, is_bot, bot_name, bot_category, utm_source,
    utm_medium, utm_campaign, utm_content, sample_weight, properties, shard, seq)
WITH {first} + number AS n, cityHash64(n, 9) % {visitors} AS v, {_zipf("v", 10, 25)} AS place,
    {kinds}[1 + cityHash64(n, 11) % 100] AS kind, kind = 'click' AS clicked,
    toInt64({START} + intDiv(n * {span}, {total})) AS received,
    received - if(cityHash64(n, 12) % 100 = 0, cityHash64(n, 13) % {3 * DAY}, 0) AS at,
    concat('link_', toString(place), '_', toString({_zipf("n", 14, 400)})) AS link,
    concat('/p/', toString({_zipf("n", 15, 500)})) AS page,
    {_zipf("v", 16, 200)} AS host, {_zipf("v", 17, 150)} AS country, {_zipf("v", 18, 60)} AS town,
    cityHash64(v, 19) % 100 < 8 AS bot, cityHash64(n, 20) % 100 < 20 AS paid
SELECT reinterpretAsUUID(sipHash128(n)), kind, 1, fromUnixTimestamp64Milli(at, 'UTC'),
    fromUnixTimestamp64Milli(received + 40, 'UTC'), 'tracker', concat('w', toString(place % 5)),
    concat('site_', toString(place)), if(clicked, link, ''), if(clicked, substring(link, 5), ''),
    if(clicked, concat('https://example.com/', link), ''), cityHash64(v, 21), cityHash64(v, 21),
    cityHash64(v, intDiv(at, 7200000)), concat('https://site.example', page), page,
    if(host = 0, '', concat('https://r', toString(host), '.example/')),
    if(host = 0, '', concat('r', toString(host), '.example')),
    ['direct', 'search', 'social', 'email', 'other'][1 + host % 5],
    concat(char(65 + country % 26), char(65 + intDiv(country, 26))), concat('R', toString(town % 20)),
    concat('City ', toString(country), ' ', toString(town)), 'Europe/Berlin', 1000 + {_zipf("v", 22, 3000)},
    {_one_of("v", 23, ["mobile", "desktop", "tablet"])},
    {_one_of("v", 24, ["Chrome", "Safari", "Firefox", "Edge", "Opera"])}, toString({_zipf("v", 25, 40)}),
    {_one_of("v", 26, ["Android", "iOS", "Windows", "macOS", "Linux"])}, toString({_zipf("v", 27, 12)}),
    concat('Mozilla/5.0 (', toString({_zipf("v", 28, 2000)}), ')'),
    {_one_of("v", 29, ["en", "de", "fr", "es", "pt", "hi", "ja", "it", "nl", "pl"])}, bot,
    if(bot, concat('bot', toString({_zipf("v", 30, 30)})), ''), if(bot, 'search', ''),
    if(paid, concat('source', toString({_zipf("n", 31, 10)})), ''), if(paid, 'cpc', ''),
    if(paid, concat('campaign', toString({_zipf("n", 32, 50)})), ''),
    if(paid, concat('ad', toString({_zipf("n", 33, 30)})), ''), 1,
    multiIf(kind LIKE 'widget%', {widget}, kind = 'conversion', concat('{{"name":"order","value_minor":',
        toString(n % 10000), ',"currency":"EUR"}}'), '{{"plan":"pro"}}'),
    1, n
FROM numbers({count})
"""


async def _zones(sites):
    return {site: ZONES[int(site.removeprefix("site_")) % len(ZONES)] for site in sites}


async def measure(scenario: str, data: Path, slices: int) -> dict[str, object]:
    settings = Settings(data=data)
    span = DAY if scenario == "busy" else 90 * DAY
    total = slices * SLICE
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(components.with_store(settings))
        state = await stack.enter_async_context(components.with_state(settings))
        await store.migrate()
        rollups = RollupMaintainer(store, state, None, _zones, settings)
        batches, builds = Batches(state), Builds(state)
        cpu, seconds = [], []
        for number in range(slices):
            for first in range(number * SLICE, (number + 1) * SLICE, BATCH):
                await store.build(insert_sql(first, BATCH, total, span, total // 5))
            last = ((number + 1) * SLICE - 1) // SEQ_PER_RECORD
            await _close(batches, last)
            await _quiet(store)
            await store.build("SYSTEM STOP MERGES events")  # they are no part of the figures
            before = time.process_time(), time.perf_counter()
            await rollups.slice_all()
            cpu.append(time.process_time() - before[0])
            seconds.append(time.perf_counter() - before[1])
            await store.build("SYSTEM START MERGES events")
        raw, sliced = await _bytes(store, "events"), await _bytes(store, "rollups")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures: dict[str, object] = {
            "events": total,
            "slice, CPU us/event": round(sum(cpu) / total * 1e6, 2),
            "slice of a million, s": round(sum(seconds) / slices, 2),
            "peak MB": round(peak),
            "events, bytes each": round(raw / total, 1),
            "rollups, bytes an event": round(sliced / total, 1),
            "rollups / events, bytes": round(sliced / raw, 2),
        }
        await _check(store, builds, total)
        if slices > 1:
            figures |= await _compacted(store, rollups, builds, total, raw)
        return figures | await _deleted(store, state, settings, rollups, total)


async def _close(batches: Batches, last: int) -> None:
    """The worker is done with the records up to `last`."""
    done = (await batches.positions()).get(1, -1)
    plan = BatchPlan(uuid.uuid4().hex, (SeqRange(1, done + 1, last, 0, 0),), SLICE, 0, 0, 0)
    await batches.plan(plan)
    await batches.close(plan, Closing())


async def _compacted(
    store, rollups: RollupMaintainer, builds: Builds, total: int, raw: int
) -> dict[str, object]:
    cpu, clock = time.process_time(), time.perf_counter()
    entries = (await builds.manifest()).entries
    for month in sorted({entry.month for entry in entries}):
        await rollups._compactor.merge(Merge(month, tuple(e for e in entries if e.month == month), 1))  # noqa: SLF001 - at once, not when it is due
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - clock
    for month, build in (await builds.partitions()).retired:
        await store.build(f"ALTER TABLE rollups DROP PARTITION ({month}, {build})")
    await _check(store, builds, total)
    merged = await _bytes(store, "rollups")
    return {
        "compaction, CPU us/event": round(cpu / total * 1e6, 2),
        "compaction, s": round(seconds, 1),
        "compacted, bytes an event": round(merged / total, 1),
        "compacted / events, bytes": round(merged / raw, 2),
    }


async def _deleted(
    store, state, settings: Settings, rollups: RollupMaintainer, total: int
) -> dict[str, object]:
    """The nightly deletion of all, with what is kept of visits."""
    [(visits,)] = await store.query("SELECT uniqExact(site_id, session_id) FROM events WHERE session_id != 0")
    cpu, clock = time.process_time(), time.perf_counter()
    for night in (400, 401):  # the first announces

        async def later(night: int = night) -> float:
            return time.time() + night * DAY / 1000

        await Retention(store, state, settings, rollups, None, later, 0).apply()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - clock
    [(left, kept)] = await store.query(
        "SELECT (SELECT count() FROM events), (SELECT sum(visits) FROM visits WHERE field = '')"
    )
    if left or not visits <= kept <= 1.01 * visits:  # a visit over the end of a month is two
        raise RuntimeError(f"{left} events are left, {kept} of {visits} visits kept: no result")
    return {
        "deletion and visits, CPU us/event": round(cpu / total * 1e6, 2),
        "deletion and visits, s": round(seconds, 1),
        "visits kept, bytes an event": round(await _bytes(store, "visits") / total, 2),
    }


async def _bytes(store, table: str) -> int:
    sql = "SELECT sum(bytes_on_disk) FROM system.parts WHERE table = {table:String} AND active"
    return (await store.query(sql, {"table": table}))[0][0]


async def _quiet(store) -> None:
    """Wait for the merges that run."""
    while (await store.query("SELECT count() FROM system.merges"))[0][0]:
        await asyncio.sleep(0.1)


async def _check(store, builds: Builds, total: int) -> None:
    published = [(entry.month, entry.build) for entry in (await builds.manifest()).entries]
    ask = (
        "SELECT sum(events), uniqCombinedMerge(17)(visitors) FROM rollups WHERE cube = {cube:String}"
        " AND (toYYYYMM(at), build) IN {of:Array(Tuple(UInt32, UInt64))}"
    )
    [truth] = await store.query("SELECT toFloat64(count()), uniqCombined(17)(visitor_id) FROM events")
    for cube in ("total", "place", "network"):
        [found] = await store.query(ask, {"cube": cube, "of": published})
        if found != truth or truth[0] != total:
            raise RuntimeError(f"{cube} says {found}, the events {truth}: no result")


def _child(scenario: str, slices: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="footfall-rollups-") as directory:
        command = [sys.executable, "-m", "bench.rollups", "--scenario", scenario, "--data", directory]
        command += ["--slices", str(slices)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--scenario", choices=("busy", "import"), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.scenario is None:
        for figure, value in run(asked.slices).items():
            print(f"{figure:45} {value}")
        return
    print(json.dumps(uvloop.run(measure(asked.scenario, asked.data, asked.slices))))


if __name__ == "__main__":
    main()
