"""Events by the million, made in the engine and always the same: 90 days, 50 workspaces by Zipf's law.

    python -m bench.query_data DIRECTORY EVENTS

Each workspace has one site, in Berlin or in Kolkata. Visitors have a town and a device, links a few
referrers that send most of their clicks, as real ones do. What the worker would have written beside
the events (positions, books) is written too, and the log is sliced as it would have been.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from footfall import components, main
from footfall.model.record import SEQ_PER_RECORD
from footfall.rollups.maintenance import RollupMaintainer
from footfall.settings import Settings
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.ledger import LedgerCount, hour_of

WORKSPACES = 50
DAYS = 90
FIRST = 1_788_220_800_000  # 2026-09-01T00:00Z
SHARD = 7
CHUNK = 1_000_000
SLICED = 2_000_000
DAY = 86_400_000

_PICK = "{list}[1 + toUInt32(floor(length({list}) * pow(h{h} / 4294967296, {skew})))]"


def shares(events: int) -> list[int]:
    """How many events each workspace has: the first about 22 %."""
    weights = [1 / rank for rank in range(1, WORKSPACES + 1)]
    return [round(events * weight / sum(weights)) for weight in weights]


def insert_sql(sites: Sequence[tuple[str, str]], events: int, first: int, count: int) -> str:
    """The INSERT of `count` events, from the number `first` on. `sites`: (workspace, site) by rank."""
    starts, at = [], 0.0
    for share in shares(events):
        starts.append(int(at / events * 2**32))
        at += share
    countries = [f"{a}{b}" for a in "DUFGIBPNSACJ" for b in "ESRKN"]
    hosts = ["", "", "", *(f"site{number}.example" for number in range(60))]

    hashes = ", ".join(f"toUInt32(cityHash64(number, {k})) AS h{k}" for k in range(12))
    return f"""
INSERT INTO events (event_id, event_type, event_version, occurred_at, occurred_at_original, received_at,
    source, workspace_id, site_id, link_id, short_code, destination_url, visitor_id, device_hash, session_id,
    page_url, page_path, referrer, referrer_host, channel, country_code, region, city, latitude, longitude,
    device_type, browser, browser_version, os, os_version, user_agent, language, is_bot, bot_name,
    bot_category, asn, utm_source, utm_medium, utm_campaign, sample_weight, properties, shard, seq)
WITH {hashes},
    toUInt32(indexOf({starts}, roundDown(h0, {starts}))) AS place,
    {FIRST} + intDiv(number * {DAYS * DAY}, {events}) AS t,
    {["click"] * 40 + ["page_view"] * 40 + ["widget_impression"] * 15 + ["widget_click"] * 4 + ["conversion"]}
        [1 + h1 % 100] AS kind,
    {[share // (DAYS * 4) + 5 for share in shares(events)]} AS pools,
    toUInt32(pools[place] * pow(h2 / 4294967296, 1.5)) AS person,
    toUInt64(cityHash64(place, intDiv(t, {DAY}), person)) AS visitor,
    toUInt32(visitor % 4294967296) AS v,
    if(kind = 'click', toString(toUInt32(400 * pow(h3 / 4294967296, 3))), '') AS link,
    concat('/page/', toString(toUInt32(800 * pow(h4 / 4294967296, 3)))) AS path,
    {hosts!r}[1 + if(link = '', toUInt32({len(hosts)} * pow(h5 / 4294967296, 2)),
        (toUInt32(link) * 7 + toUInt32(4 * pow(h5 / 4294967296, 2))) % {len(hosts)})] AS host,
    {_PICK.format(list=repr(countries), h=6, skew=2).replace("h6", "v")} AS country,
    toUInt32(30 * pow(toUInt32(cityHash64(visitor)) / 4294967296, 2)) AS town,
    concat('m', toString(h7 % 40)) AS mapping
SELECT
    toUUID(concat(substring(lower(hex(cityHash64(number, 90))), 1, 8), '-0000-7000-8000-',
        leftPad(lower(hex(number)), 12, '0'))),
    kind, 1, fromUnixTimestamp64Milli(toInt64(t), 'UTC'), toDateTime64(0, 3, 'UTC'),
    fromUnixTimestamp64Milli(toInt64(t + 40), 'UTC'), 'tracker',
    {[workspace for workspace, _ in sites]}[place], {[site for _, site in sites]}[place],
    if(link = '', '', concat('link_', toString(place), '_', link)), if(link = '', '', concat('c', link)),
    if(link = '', '', concat('https://example.com/target/', link)), visitor, visitor,
    toUInt64(cityHash64(visitor, intDiv(t, 43200000))),
    if(kind = 'click', '', concat('https://www.example.com', path)), if(kind = 'click', '', path),
    if(host = '', '', concat('https://', host, '/')), host,
    if(host = '', 'direct', if(h5 % 2 = 0, 'search', 'social')), country,
    concat(country, '-', toString(town % 5)), concat(country, ' town ', toString(town)), nan, nan,
    ['desktop', 'mobile', 'mobile', 'tablet'][1 + v % 4],
    ['Chrome', 'Chrome', 'Safari', 'Firefox', 'Edge', 'Samsung Internet'][1 + intDiv(v, 4) % 6],
    toString(100 + intDiv(v, 24) % 30),
    ['Windows', 'Android', 'iOS', 'Mac OS X', 'Linux'][1 + intDiv(v, 32) % 5],
    toString(10 + intDiv(v, 64) % 6),
    concat('Mozilla/5.0 (sample ', toString(v % 500), ')'),
    ['de', 'en', 'en', 'hi', 'fr', 'es'][1 + intDiv(v, 128) % 6], h8 % 20 = 0,
    if(h8 % 20 = 0, 'Googlebot', ''), if(h8 % 20 = 0, 'search', ''), 1000 + v % 300,
    {_PICK.format(list=repr(["", "", "", "newsletter", "ads", "partner"]), h=9, skew=1)},
    {_PICK.format(list=repr(["", "", "", "mail", "cpc", "link"]), h=9, skew=1)},
    if(h9 > 2147483648, concat('campaign ', toString(h10 % 20)), ''), 1,
    multiIf(
        kind = 'widget_impression', concat('{{"mapping_id":"', mapping, '","post_id":"p', toString(h10 % 60),
            '","device_slug":"d', toString(h7 % 30), '","viewport_percent":', toString(h10 % 101), '}}'),
        kind = 'widget_click',
        concat('{{"mapping_id":"', mapping, '","post_id":"p', toString(h10 % 60), '"}}'),
        kind = 'conversion',
        concat('{{"name":"order","value_minor":', toString(h10 % 10000), ',"currency":"EUR"}}'),
        ''),
    {SHARD}, {SEQ_PER_RECORD} + number
FROM numbers({first}, {count})
SETTINGS max_insert_block_size = {CHUNK}, min_insert_block_size_rows = {CHUNK},
    min_insert_block_size_bytes = 0, max_insert_threads = 1, max_threads = 2
"""


async def make(data: Path, events: int) -> None:
    """Fill an empty data directory."""
    settings = Settings(data=data, slice_rows=SLICED)
    started = time.perf_counter()
    await main.prepare(settings)
    async with AsyncExitStack() as stack:
        tenants = await stack.enter_async_context(components.with_tenants(settings))
        sites = []
        for rank in range(WORKSPACES):
            workspace = await tenants.create_workspace(f"workspace {rank}")
            zone = "Asia/Kolkata" if rank % 2 else "Europe/Berlin"
            site = await tenants.create_site(workspace.id, f"site {rank}", timezone=zone)
            sites.append((workspace.id, site.id))
        store = await stack.enter_async_context(components.with_store(settings))
        await store.migrate()
        state = await stack.enter_async_context(components.with_state(settings))
        batches = Batches(state)
        rollups = RollupMaintainer(store, state, None, tenants.timezones, settings)
        for first in range(0, events, CHUNK):
            count = min(CHUNK, events - first)
            await store.build(insert_sql(sites, events, first, count))
            await _close(batches, store, first, count)
            await rollups.tick()
            print(f"{first + count:>12,} events, {time.perf_counter() - started:7.0f} s", flush=True)


async def _close(batches: Batches, store, first: int, count: int) -> None:
    """What the worker writes down of a batch."""
    rows = await store.query(
        "SELECT workspace_id, site_id, toStartOfHour(received_at) AS hour, count() FROM events"
        f" WHERE shard = {SHARD} AND seq >= {SEQ_PER_RECORD + first}"
        f" AND seq < {SEQ_PER_RECORD + first + count}"
        " GROUP BY ALL"
    )
    if sum(row[3] for row in rows) != count:
        raise RuntimeError("the engine did not make what it was asked for")
    counts = [
        LedgerCount(workspace, site, hour_of(int(hour.timestamp() * 1000)), outcome, number)
        for workspace, site, hour, number in rows
        for outcome in ("received", "stored")
    ]
    first_record = (SEQ_PER_RECORD + first) // SEQ_PER_RECORD
    last_record = (SEQ_PER_RECORD + first + count - 1) // SEQ_PER_RECORD
    done = (await batches.positions()).get(SHARD, 0)
    part = SeqRange(SHARD, max(first_record, done + 1), last_record, 0, 0)
    plan = BatchPlan(f"{first:032x}", (part,), count, FIRST, FIRST + DAYS * DAY, first)
    await batches.plan(plan)
    await batches.close(plan, Closing(ledger=counts))


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1]), int(sys.argv[2])))
