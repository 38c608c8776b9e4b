"""The nightly plan of retention over very many events, which are made in the engine; and what it was before.

FOOTFALL_BENCH_EVENTS (500,000,000) in FOOTFALL_BENCH_DATA (`bench-retention`, made if it is empty): over
five months up to now, 50 workspaces with one site each, by Zipf's law. The rows are narrow: what the plan
reads is as it always is, the rest is empty. All are in the rollups but the last million.
"""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path

from footfall import components
from footfall.errors import FootfallError
from footfall.model.calendar import month_start
from footfall.model.record import SEQ_PER_RECORD
from footfall.retention.policy import Retention
from footfall.rollups.rows import rows_of
from footfall.settings import Settings
from footfall.state.rollups.builds import Builds
from footfall.state.tables import positions, rollup_watermarks

DAY = 86_400_000
SPAN = 150 * DAY
BATCH = 10_000_000
SHARDS = 3

# Events of one moment have positions near each other, and go to all shards in turn.
_INSERT = """
INSERT INTO events
    (event_type, occurred_at, received_at, workspace_id, site_id, link_id, visitor_id, shard, seq)
SELECT 'click', at, at + toIntervalMillisecond(cityHash64(n) % 2000),
    concat('ws_', site), concat('site_', site),
    concat('link_', toString(cityHash64(n, 2) % 100)), cityHash64(n, 3) % 1000000,
    n % {shards}, intDiv(n, {shards})
FROM (
    SELECT number + {first} AS n,
        fromUnixTimestamp64Milli(toInt64({start} + intDiv(n * {span}, {events})), 'UTC') AS at,
        toString(toUInt8(pow(50, (cityHash64(n, 1) % 1000003) / 1000003))) AS site
    FROM numbers({count})
)
"""

_MONTHS = "SELECT DISTINCT toUInt32(partition_id) FROM system.parts WHERE table = 'events' AND active"

# The plan of commit 65d4ca5.
_BEFORE = """
SELECT toYYYYMM(occurred_at) AS month, workspace_id, site_id, count(),
    max(toUnixTimestamp64Milli(greatest(occurred_at, received_at))), countIf(NOT ({held}))
FROM events GROUP BY month, workspace_id, site_id ORDER BY month, workspace_id, site_id
"""


async def _fill(store, state, events: int) -> None:
    start = int(time.time() * 1000) - SPAN
    for first in range(0, events, BATCH):
        count = min(BATCH, events - first)
        values = {"first": first, "count": count, "start": start, "span": SPAN, "events": events}
        await store.build(_INSERT.format(shards=SHARDS, **values))
    last = events // SHARDS
    sliced = (events - min(events // 2, 1_000_000)) // SHARDS

    def books(connection):
        for shard in range(SHARDS):
            name = f"{shard:016x}"
            connection.execute(positions.insert().values(shard=name, offset=last // SEQ_PER_RECORD + 1))
            connection.execute(rollup_watermarks.insert().values(shard=name, seq=sliced))

    await state.run(books)


async def measure(data: Path, events: int) -> dict[str, object]:
    settings = Settings(data=data, query_timeout=600)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(components.with_store(settings))
        state = await stack.enter_async_context(components.with_state(settings))
        await store.migrate()
        if await store.query("SELECT count() FROM events") == [(0,)]:
            await _fill(store, state, events)
        retention = Retention(store, state, settings)
        [(rows, size)] = await store.query(
            "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE table = 'events' AND active"
        )
        now = int(time.time() * 1000)
        figures: dict[str, object] = {"events": rows, "GB": round(size / 1e9, 1)}

        async def tonight():
            return await retention.due(now)

        async def ordinary():  # ten days of the oldest month are old enough, the rest is not
            months = sorted(month for (month,) in await store.query(_MONTHS))
            return await retention.due(month_start(months[0]) + 100 * DAY)

        async def before():
            held = rows_of((await Builds(state).sliced())[1])
            return await store.query(_BEFORE.format(held=held.sql), held.parameters)

        for name, asked in (
            ("nightly plan, nothing due", ordinary),
            ("nightly plan, a month due", tonight),
            ("plan of everything", retention.plan),
            ("before", before),
        ):
            for attempt in ("first", "again"):
                clock, cpu = time.perf_counter(), time.process_time()
                try:
                    found = len(await asked())
                except FootfallError as error:
                    found = str(error)
                seconds = time.perf_counter() - clock
                figures[f"{name}, {attempt}"] = (
                    f"{seconds:.2f} s, {time.process_time() - cpu:.1f} s of CPU; months and sites: {found}"
                )
        return figures


def run() -> dict[str, object]:
    """The figures."""
    data = Path(os.environ.get("FOOTFALL_BENCH_DATA", "bench-retention"))
    return asyncio.run(measure(data, int(os.environ.get("FOOTFALL_BENCH_EVENTS", "500000000"))))
