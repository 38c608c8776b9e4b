"""Every event counts once: whatever an attempt did, wherever a worker died, however often it came."""

import asyncio
from contextlib import suppress

import pytest

from footfall.errors import StoreDown
from footfall.metrics import ENRICH_SECONDS, ID_CONFLICTS
from footfall.model.ids import uuid7
from tests.contract.installation import (
    Crash,
    crash,
    drain,
    event,
    nothing,
    record,
    settled,
    until,
)
from tests.contract.test_store_parts import breaking

pytestmark = pytest.mark.anyio


async def send(world, *ids, workspace="acme", **fields):
    """One record with these ids of a client's."""
    events = [event(event_id=one, client_id=True, **fields) for one in ids]
    await world.append_raw(record(events, workspace))


# An attempt that did not say what it did


@pytest.mark.parametrize("part", [0, 7, 20], ids=["nothing", "a part", "everything"])
async def test_an_insert_that_failed_is_finished_whatever_it_stored(world, part):
    failing = iter([True, True, False, True, False])

    async def fail(rows, query_id):
        if next(failing, False):
            await world.store._store.insert(rows.slice(0, part), query_id + "-part")
            raise StoreDown("the rows are there, but who knows")

    world.store.before = fail
    await world.append(*[10] * 9)
    await (await world.worker(batch_rows=20)).drain()
    await settled(world, rows=90, received=90, stored=90)


@pytest.mark.parametrize("fail", [False, True], ids=["answered OK", "failed"])
async def test_rows_of_a_part_that_was_not_written_whole_are_inserted_again(world, fail):
    await world.append(*[10] * 9)
    breaking(world.store._store, "primary.cidx", fail=fail)
    assert await (await world.worker(batch_rows=50)).drain() == 90
    await world.store.settle()
    await settled(world, rows=90, received=90, stored=90)


async def test_a_part_from_anywhere_in_the_batch_of_several_shards(world):
    async def fail(rows, query_id):
        world.store.before = nothing
        await world.store._store.insert(rows.filter([n % 3 == 1 for n in range(rows.num_rows)]), query_id)
        raise StoreDown("some")

    world.store.before = fail
    for writer in range(3):
        await world.append(10, 10, writer=writer)
    await (await world.worker()).drain()
    await settled(world, rows=60, received=60, stored=60)
    assert sum(map(len, world.store.inserted)) == 40, "only what was missing"


async def test_a_worker_that_is_stopped_without_a_store_and_run_again_knows_nothing_it_did_not_store(world):
    async def fail(*_):
        stop.set()
        raise StoreDown("gone")

    stop = asyncio.Event()
    world.store.before = fail
    await send(world, *[uuid7() for _ in range(10)])
    worker = await world.worker()
    await worker.run(stop)
    assert len(await world.batches.open_plans()) == 1
    world.store.before = nothing
    await worker.drain()
    await settled(world, rows=10, received=10, stored=10)


# A crash


CRASHES = [
    "before batches.plan",
    "after batches.plan",
    "before insert",
    "in insert",
    "after insert",
    "before batches.close",
    "after batches.close",
    "before log.commit",
    "after log.commit",
]


async def test_what_a_crash_left_uncommitted_does_not_wait_for_a_further_record(world):
    world.hooks["before log.commit"] = crash
    await world.append(10)
    with pytest.raises(Crash):
        await drain(world)
    assert await world.backlog() == 1
    world.hooks.clear()
    await drain(world)
    await settled(world, rows=10, received=10, stored=10)


@pytest.mark.parametrize(("how", "checkpoint"), [("raised", True), ("cancelled", False)])
@pytest.mark.parametrize("where", CRASHES)
async def test_a_crash_at_any_step_loses_and_doubles_nothing(world, where, how, checkpoint):
    reached = asyncio.Event()

    async def die(rows=None, query_id="", *_):
        if where == "in insert":
            await world.store._store.insert(rows.slice(5, 7), query_id + "-part")
        if how == "raised":
            raise Crash
        reached.set()
        await asyncio.Event().wait()

    resent = [uuid7() for _ in range(30)]
    await send(world, *resent[:10])
    await (await world.worker()).drain()
    if where in ("before insert", "in insert"):
        world.store.before = die
    elif where == "after insert":
        world.store.after = die
    else:
        world.hooks[where] = die
    await send(world, *resent[10:20])
    await send(world, *resent[5:15])  # in the batch that dies
    await send(world, *resent[20:])  # in the next one
    working = asyncio.create_task((await world.worker(batch_rows=20)).drain())
    if how == "cancelled":
        await reached.wait()
        while not working.done():
            working.cancel()
            await asyncio.sleep(0.001)
    with pytest.raises((Crash, asyncio.CancelledError)):
        await working

    world.hooks.clear()
    world.store.before = world.store.after = nothing
    if not checkpoint:
        (world.settings.data / "recent-ids").unlink(missing_ok=True)
    await (await world.worker(batch_rows=20)).drain()
    await settled(world, rows=30, received=40, stored=30, duplicate=10)
    await send(world, *resent)
    await (await world.worker()).drain()
    await settled(world, rows=30, received=70, stored=30, duplicate=40)


async def test_crashes_at_every_step_one_after_the_other(world):
    for number, where in enumerate(CRASHES * 2):
        world.store.before = crash if where.endswith(" insert") and not where.startswith("after") else nothing
        world.store.after = crash if where == "after insert" else nothing
        world.hooks = {where: crash}
        await world.append(7, writer=number)
        with suppress(Crash):
            await (await world.worker(batch_rows=10)).drain()
    world.hooks.clear()
    world.store.before = world.store.after = nothing
    await (await world.worker()).drain()
    await settled(world, rows=world.appended, received=world.appended, stored=world.appended)


async def test_a_replayed_batch_does_not_take_its_own_rows_for_duplicates(world):
    world.store.after = crash
    ids = [uuid7() for _ in range(10)]
    await send(world, *ids)
    for _ in range(3):
        with suppress(Crash):
            await (await world.worker()).drain()
    world.store.after = nothing
    await (await world.worker()).drain()
    await settled(world, rows=10, received=10, stored=10)
    assert world.store.inserted == [], "the first attempt had stored it all"


# Clients that send again


def prepared_batches():
    samples = (sample for metric in ENRICH_SECONDS.collect() for sample in metric.samples)
    return next(sample.value for sample in samples if sample.name.endswith("_count"))


@pytest.fixture
def conflicts():
    before = ID_CONFLICTS._value.get()
    return lambda: ID_CONFLICTS._value.get() - before


async def test_an_id_twice_in_one_batch_counts_once(world, conflicts):
    one, two = uuid7(), uuid7()
    await send(world, one, two, one)
    await send(world, two)
    await (await world.worker()).drain()
    await settled(world, rows=2, received=4, stored=2, duplicate=2)
    assert conflicts() == 0


async def test_an_id_again_while_its_first_copy_is_being_inserted(world):
    ids = [uuid7() for _ in range(20)]
    gate = asyncio.Event()
    world.store.before = lambda *_: gate.wait()
    await send(world, *ids)
    await send(world, *ids)
    before = prepared_batches()
    draining = asyncio.create_task((await world.worker(batch_rows=20)).drain())
    await until(lambda: asyncio.sleep(0, prepared_batches() - before >= 2))
    assert tuple(await world.counts()) == (0, 0)
    gate.set()
    await draining
    await settled(world, rows=20, received=40, stored=20, duplicate=20)


@pytest.mark.parametrize("checkpoint", ["kept", "lost", "damaged", "old"])
async def test_an_id_again_after_a_restart(world, checkpoint):
    path = world.settings.data / "recent-ids"
    ids = [uuid7() for _ in range(20)]
    await send(world, *ids[:10])
    await (await world.worker()).drain()
    old = path.read_bytes()
    await send(world, *ids[10:])
    await (await world.worker()).drain()
    assert path.read_bytes() != old
    if checkpoint == "lost":
        path.unlink()
    elif checkpoint == "damaged":
        path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    elif checkpoint == "old":
        path.write_bytes(old)
    await send(world, *ids, uuid7())
    await (await world.worker()).drain()
    await settled(world, rows=21, received=41, stored=21, duplicate=20)


async def test_an_id_in_another_workspace_is_another_id(world):
    ids = [uuid7() for _ in range(5)]
    await send(world, *ids, workspace="acme")
    await send(world, *ids, workspace="other")
    await (await world.worker()).drain()
    assert tuple(await world.counts()) == (10, 5)
    await send(world, *ids, workspace="other")
    await (await world.worker()).drain()
    assert tuple(await world.counts()) == (10, 5)
    assert await world.outcomes() == {"received": 15, "stored": 10, "duplicate": 5}


async def test_of_an_id_with_two_payloads_the_first_counts_and_the_conflict_is_shown(world, conflicts):
    one = uuid7()
    await send(world, one, page_url="https://acme.example/first")
    await send(world, one, page_url="https://acme.example/second")
    await (await world.worker()).drain()
    await send(world, one, page_url="https://acme.example/third")
    await (await world.worker()).drain()
    await settled(world, rows=1, received=3, stored=1, duplicate=2)
    assert [tuple(r) for r in await world.store.query("SELECT page_url FROM events")] == [
        ("https://acme.example/first",)
    ]
    assert conflicts() == 2


async def test_ids_made_at_the_door_are_not_looked_at(world):
    one = uuid7()
    await world.append_raw(record([event(event_id=one)]))
    await world.append_raw(record([event(event_id=one)]))
    await (await world.worker()).drain()
    assert (await world.counts())[0] == 2
    assert await world.outcomes() == {"received": 2, "stored": 2}
