"""At the limit of dead letters the worker waits, and whatever makes room lets it go on."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from footfall.metrics import WORKER_FULL
from tests.contract.installation import (
    Crash,
    crash,
    drain,
    event,
    nothing,
    poison,
    record,
    refusing,
    retry_all,
    stored,
    until,
    waiting,
)

pytestmark = pytest.mark.anyio

UNMENDABLE = {"visit": 9}


@pytest.fixture
def world(eager):
    eager.limits = {"max_letters": 5}
    return eager


@pytest.fixture
async def full(world, fix):
    """Five letters, which is all there may be, and a program that can store them by now."""
    await world.append_raw(record([poison() for _ in range(5)]))
    await drain(world)
    fix()


@asynccontextmanager
async def running(world):
    stop = asyncio.Event()
    task = asyncio.create_task((await world.worker()).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def waits():
    return WORKER_FULL._value.get() == 1


@pytest.mark.parametrize("crashes", [False, True], ids=["runs", "was killed"])
async def test_letters_that_are_due_make_room(world, full, crashes):
    await world.append_raw(record([event(**UNMENDABLE), event()]))
    if crashes:
        world.limits, limits = (
            {},
            world.limits,
        )  # an open batch with letters, as the store's refusals make one
        world.hooks["before batches.close"] = crash
        with pytest.raises(Crash):
            await drain(world)
        world.limits = limits
        world.hooks.clear()
    await retry_all(world)
    async with running(world):
        await until(lambda: stored(world, 6))
        await until(lambda: waiting(world, 0))
    assert len(await world.letters()) == 1
    assert await world.outcomes() == {"received": 7, "stored": 6, "dead_lettered": 1}


@pytest.mark.parametrize("way", ["retry", "discard", "discard all"])
async def test_it_waits_before_the_plan_and_says_what_to_do_and_that_is_enough(world, full, way):
    await world.append_raw(record([event(**UNMENDABLE), event()]))
    with capture_logs() as said:
        async with running(world):
            await until(waits)
            assert await world.batches.open_plans() == []
            assert await world.outcomes() == {"received": 5, "dead_lettered": 5}
            if way == "retry":
                await retry_all(world)
            elif way == "discard all":
                assert await world.dead_letters.discard_all("acme", "unprocessable") == 5
            else:
                (letter, *_) = await world.letters()
                await world.dead_letters.discard("acme", letter.shard, letter.seq)
            await until(lambda: waiting(world, 0))
    (line,) = [line for line in said if line["event"] == "the worker pauses"]
    assert line["letters"] == 5
    assert "retry or discard" in line["why"]
    assert WORKER_FULL._value.get() == 0


async def test_what_needs_no_letters_is_stored_at_the_limit(world, full):
    await world.append(3)
    assert await drain(world) == 3


async def test_what_the_store_refuses_is_kept_beyond_the_limit_and_then_all_waits(world, full):
    await world.append(4)
    world.store.before = refusing(world, 4096, 4098)
    assert await drain(world) == 2
    world.store.before = nothing
    assert len(await world.letters()) == 7
    await world.append(3)
    async with running(world):
        await until(waits)
        assert tuple(await world.counts()) == (2, 2)
        await retry_all(world)
        await until(lambda: stored(world, 10))
    assert await world.outcomes() == {"received": 12, "stored": 10, "dead_lettered": 2}


async def test_crashes_at_the_limit_add_no_letters(world, full):
    for step in ("before batches.plan", "after batches.plan", "before batches.close", "after batches.close"):
        await world.append(2)
        await world.append_raw(record([event(**UNMENDABLE)]))
        world.hooks = {step: crash}
        stop = asyncio.Event()
        task = asyncio.create_task((await world.worker(batch_rows=2)).run(stop))
        await asyncio.wait([task, asyncio.create_task(until(waits))], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        with suppress(Crash):
            await task
        world.hooks.clear()
        assert len(await world.letters()) == 5
    for letter in await world.letters():
        await world.dead_letters.discard("acme", letter.shard, letter.seq)
    await drain(world)
    assert await world.outcomes() == {"received": 17, "stored": 8, "dead_lettered": 4, "dropped": 5}
