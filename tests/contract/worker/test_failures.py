"""The worker when the store fails, when it is stopped, and when it starts again."""

import asyncio
import itertools
import time

import pytest

from footfall.errors import Retryable, StoreDown
from footfall.model.ids import uuid7
from tests.contract.installation import (
    MINUTE,
    NOW,
    event,
    nothing,
    record,
    settled,
    stored,
    until,
)

pytestmark = pytest.mark.anyio


# When the store fails


async def test_a_store_that_fails_for_a_while_loses_nothing_and_keeps_the_order(world):
    failures = itertools.count()
    ids = []

    async def fail(_, query_id):
        ids.append(query_id)
        assert await world.backlog() > 0
        if next(failures) % 4:
            raise StoreDown("not now")

    world.store.before = fail
    world.store.after = nothing
    await world.append(*[10] * 9)
    assert await (await world.worker(batch_rows=30)).drain() == 90
    assert tuple(await world.counts()) == (90, 90)
    flat = [place for rows in world.store.inserted for place in rows]
    assert flat == sorted(flat)
    assert len(set(ids)) == len(ids), "each attempt can be told apart on the store"
    assert len({query_id.split("-")[0] for query_id in ids}) == 3, "it is the same plan that is tried again"


async def test_an_insert_of_unknown_outcome_is_asked_about_before_it_is_repeated(world):
    failing = iter([True, True, False, True, False])

    async def fail(*_):
        if next(failing, False):
            raise StoreDown("the rows are there, but who knows")

    world.store.after = fail
    await world.append(*[10] * 9)
    await (await world.worker(batch_rows=30)).drain()
    assert tuple(await world.counts()) == (90, 90)
    assert await world.batches.open_plans() == []


@pytest.mark.parametrize("step", ["batches.plan", "batches.close"])
async def test_a_transaction_whose_answer_got_lost_is_not_taken_for_another_worker(world, step):
    lost = iter([True, False, True])

    async def lose(*_):
        if next(lost, False):
            raise Retryable("committed, but the disk failed afterwards")

    world.hooks[f"after {step}"] = lose
    await world.append(*[10] * 9)
    assert await (await world.worker(batch_rows=30)).drain() == 90
    await settled(world, rows=90, received=90, stored=90)


async def test_while_the_store_is_down_no_position_moves_and_stopping_needs_no_store(world):
    down = asyncio.Event()

    async def fail(*_):
        down.set()
        raise StoreDown("gone")

    world.store.before = fail
    await world.append(*[10] * 5)
    stop = asyncio.Event()
    running = asyncio.create_task((await world.worker(batch_rows=20)).run(stop))
    await down.wait()
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert await world.batches.positions() == {}
    assert await world.backlog() == 5
    (plan,) = await world.batches.open_plans()

    world.store.before = nothing
    assert await (await world.worker(batch_rows=30)).drain() == 50
    assert tuple(await world.counts()) == (50, 50)
    assert len(world.store.inserted[0]) == plan.rows == 20, "the open plan first, as it was planned"


async def test_ids_are_saved_although_the_worker_stops_while_the_store_is_down(world):
    await world.append_raw(record([event(event_id=uuid7(), client_id=True)]))
    stop, down = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task((await world.worker()).run(stop))
    await until(lambda: stored(world, 1))

    async def fail(*_):
        down.set()
        raise StoreDown("gone")

    world.store.before = fail
    await world.append(1)
    await down.wait()
    stop.set()
    await running
    assert (world.settings.data / "recent-ids").exists()


async def test_a_crash_between_insert_and_close_is_finished_by_the_next_start(world):
    async def crash(*_):
        raise RuntimeError("killed here")

    world.store.after = crash
    await world.append(*[10] * 5)
    with pytest.raises(RuntimeError):
        await (await world.worker(batch_rows=20)).drain()
    assert len(await world.batches.open_plans()) == 1
    world.store.after = nothing
    await (await world.worker(batch_rows=20)).drain()
    assert tuple(await world.counts()) == (50, 50)
    assert await world.batches.open_plans() == []
    assert await world.backlog() == 0


# Stopping and going on


@pytest.mark.parametrize("records", [2, 5], ids=["the last batch", "others wait"])
async def test_stopping_during_an_insert_lets_it_close(world, records):
    inside, gate = asyncio.Event(), asyncio.Event()

    async def wait(*_):
        inside.set()
        await gate.wait()

    world.store.before = wait
    await world.append(*[10] * records)
    stop = asyncio.Event()
    running = asyncio.create_task((await world.worker(batch_rows=20)).run(stop))
    await inside.wait()
    stop.set()
    await asyncio.sleep(0)
    assert not running.done()
    gate.set()
    await running
    assert [len(rows) for rows in world.store.inserted] == [20]
    assert await world.batches.open_plans() == []
    assert await (await world.worker()).drain() == 10 * records - 20
    assert tuple(await world.counts()) == (10 * records, 10 * records)


async def test_after_a_clean_stop_nothing_is_repeated(world):
    for _ in range(3):
        await world.append(5, 6, 7, writer=0)
        await world.append(8, writer=1)
        assert await (await world.worker()).drain() == 26
    assert tuple(await world.counts()) == (78, 78)


async def test_one_worker_can_be_stopped_and_run_again(world):
    worker = await world.worker()
    await world.append(5)
    assert await worker.drain() == 5
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await world.append(6)
    await until(lambda: stored(world, 11))
    stop.set()
    await running
    await world.append(7)
    assert await worker.drain() == 7
    assert tuple(await world.counts()) == (18, 18)


async def test_a_running_worker_sees_what_arrives_also_in_new_shards(world):
    worker = await world.worker()
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await world.append(5)
    await until(lambda: stored(world, 5))
    if world.settings.log != "memory":
        await world.new_writer()
    await world.append(6, writer=-1)
    acknowledged = time.time()
    await until(lambda: stored(world, 11))
    await until(lambda: asyncio.sleep(0, worker.complete_through >= acknowledged))
    stop.set()
    await running
    assert tuple(await world.counts()) == (11, 11)


async def test_a_restart_does_not_split_a_visit(world):
    await world.append(2, visitor_id=7, occurred_at=NOW - 20 * MINUTE)
    await (await world.worker()).drain()
    await world.append(1, visitor_id=7, occurred_at=NOW)
    await world.append(1, visitor_id=8, occurred_at=NOW)
    await (await world.worker()).drain()
    rows = await world.store.query(
        "SELECT visitor_id, count(), uniq(session_id) FROM events GROUP BY visitor_id ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [(7, 3, 1), (8, 1, 1)]
