"""What the worker promises, with the real parts: every kind of log, SQLite state, the embedded store."""

import asyncio

import pytest

from footfall.metrics import DEAD_LETTERED
from footfall.model.record import decode
from footfall.worker import loop
from tests.contract.installation import (
    MINUTE,
    NOW,
    broken_record,
    event,
    places,
    record,
    stored,
    until,
    waiting,
)

pytestmark = pytest.mark.anyio


def dead(reason):
    return DEAD_LETTERED.labels(reason)._value.get()


# Everything, once, in its place


async def test_every_event_of_every_shard_is_stored_once_under_its_position(world):
    for number in range(30):
        await world.append(1 + number % 7, writer=number)
    assert await (await world.worker()).drain() == world.appended
    assert tuple(await world.counts()) == (world.appended, world.appended)
    stored = await world.store.query("SELECT shard, seq FROM events ORDER BY shard, seq")
    expected = []
    for shard in await world.reading.shards():
        for offset, _, data in await world.reading.read(shard, -1, 1000, 1 << 30):
            expected += [(shard, offset * 4096 + index) for index in range(len(decode(data).events))]
    assert [tuple(row) for row in stored] == sorted(expected)
    assert await world.backlog() == 0


async def test_rows_are_enriched_and_have_sessions(world):
    await world.append(
        2, visitor_id=7, page_url="https://acme.example/a?utm_source=mail", properties='{"n":1}'
    )
    await (await world.worker()).drain()
    rows = await world.store.query(
        "SELECT browser, country_code, page_path, utm_source, JSONExtractString(properties, 'n'),"
        " uniq(session_id), min(session_id) > 0 FROM events GROUP BY ALL"
    )
    assert [tuple(row) for row in rows] == [("Chrome", "DE", "/a", "mail", "1", 1, True)]


async def test_draining_an_empty_log_stores_nothing(world):
    assert await (await world.worker()).drain() == 0
    assert tuple(await world.counts()) == (0, 0)


async def test_records_without_events_are_passed_and_released(world):
    await world.append(0, 0)
    assert await (await world.worker()).drain() == 0
    assert await world.backlog() == 0
    assert await world.batches.open_plans() == []


# Batches


async def test_batches_are_cut_by_rows(world):
    await world.append(*[30] * 10)
    await (await world.worker(batch_rows=100)).drain()
    assert [len(rows) for rows in world.store.inserted] == [90, 90, 90, 30]


async def test_batches_are_cut_by_bytes(world):
    await world.append(*[10] * 10, properties=f'{{"text":"{"x" * 2000}"}}')  # 20 kB a record
    await (await world.worker(batch_bytes=65536)).drain()
    assert [len(rows) for rows in world.store.inserted] == [30, 30, 30, 10]


async def test_a_full_batch_goes_at_once_and_the_rest_waits_for_its_age_or_a_full_one(world, monkeypatch):
    looks = 0
    shards = world.reading.shards

    async def count():
        nonlocal looks
        looks += 1
        return await shards()

    monkeypatch.setattr(world.reading, "shards", count)
    stop = asyncio.Event()
    await world.append(*[25] * 5)
    running = asyncio.create_task((await world.worker(batch_rows=100, batch_age=60)).run(stop))
    await until(lambda: waiting(world, 1))
    seen = looks
    await until(lambda: asyncio.sleep(0, looks >= seen + 3))
    await world.append(*[25] * 4)
    await until(lambda: waiting(world, 1))
    stop.set()
    await running
    assert [len(rows) for rows in world.store.inserted] == [100, 100]
    stop = asyncio.Event()
    running = asyncio.create_task((await world.worker(batch_rows=100, batch_age=0.01)).run(stop))
    await until(lambda: stored(world, 225))
    stop.set()
    await running


async def test_the_next_batch_is_prepared_during_an_insert_but_inserts_never_overlap(world):
    gate = asyncio.Event()
    prepared = loop.metrics.ENRICH_SECONDS

    def batches():
        return next(s.value for m in prepared.collect() for s in m.samples if s.name.endswith("_count"))

    async def wait(*_):
        await gate.wait()

    world.store.before = wait
    await world.append(*[10] * 6)
    start = batches()
    draining = asyncio.create_task((await world.worker(batch_rows=20)).drain())
    await until(lambda: asyncio.sleep(0, batches() - start >= 2))
    assert len(world.store.inserted) == 0
    gate.set()
    assert await draining == 60
    assert world.store.most_running == 1
    assert [len(rows) for rows in world.store.inserted] == [20, 20, 20]


# Records that are none


async def test_undecodable_records_do_not_stop_their_neighbours(world):
    before = dead("undecodable")
    await world.append(2)
    await world.append_raw(b"\xc1 nothing")
    await world.append(3)
    assert await (await world.worker()).drain() == 5
    assert tuple(await world.counts()) == (5, 5)
    assert dead("undecodable") == before + 1
    assert await (await world.worker()).drain() == 0, "its position is passed for good"
    assert await world.backlog() == 0
    assert await world.outcomes() == {"received": 6, "stored": 5, "dead_lettered": 1}


async def test_a_record_that_cannot_become_rows_does_not_stop_its_neighbours(world):
    before = dead("unprocessable")
    await world.append(2)
    await world.append_raw(broken_record())
    await world.append_raw(record([event(event_id=b"short")]))
    await world.append(3)
    assert await (await world.worker()).drain() == 5
    assert tuple(await world.counts()) == (5, 5)
    assert dead("unprocessable") == before + 2
    assert await world.outcomes() == {"received": 7, "stored": 5, "dead_lettered": 2}


# Plan, insert, close, commit: in this order


async def test_a_batch_is_planned_before_its_insert_and_closed_after_it(world):
    seen = []

    async def look(rows, query_id):
        (plan,) = await world.batches.open_plans()
        times = [int(at.timestamp() * 1000) for at in rows["occurred_at"].to_pylist()]
        assert query_id.startswith(plan.id)
        assert plan.rows == rows.num_rows
        assert (plan.min_occurred, plan.max_occurred) == (min(times), max(times))
        ranges = {part.shard: part for part in plan.ranges}
        for shard, seq in places(rows):
            assert ranges[shard].first_seq <= seq <= ranges[shard].last_seq
        seen.append((await world.batches.positions(), await world.backlog()))

    world.store.before = world.store.after = look
    await world.append(10, occurred_at=NOW - 5 * MINUTE)
    await world.append(10)
    await world.append(10)
    await (await world.worker(batch_rows=20)).drain()
    shard = world.writers[0].shard
    assert seen == [({}, 3), ({}, 3), ({shard: 1}, 1), ({shard: 1}, 1)]
    assert await world.batches.open_plans() == []
    assert await world.batches.positions() == {shard: 2}
    assert await world.outcomes() == {"received": 30, "stored": 30}
