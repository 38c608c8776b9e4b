"""Whatever comes in whatever order, the rollups say what the events say."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.rollups import compaction
from tests.contract.installation import one_store
from tests.contract.sliced import DAY, END, START, new_world

SHARDS = (1, 2**64 - 1)

steps = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 40), st.sampled_from(SHARDS), st.integers(0, 5)),
    st.tuples(st.just("late"), st.integers(1, 10), st.sampled_from(SHARDS), st.just(0)),
    st.tuples(st.just("retry"), st.integers(1, 4)),
    st.tuples(st.just("insert"), st.integers(1, 3)),  # of a letter that is settled later
    st.tuples(st.just("settle")),
    st.tuples(st.just("slice"), st.sampled_from([10, 1000])),
    st.tuples(st.just("die"), st.booleans()),  # in the middle of a slice
    st.tuples(st.just("day")),
)


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def store(runner, tmp_path_factory):
    opened = one_store(tmp_path_factory.mktemp("store"))
    yield runner.run(opened.__aenter__())
    runner.run(opened.__aexit__(None, None, None))


@given(st.lists(steps, min_size=3, max_size=9), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_rollups_say_what_the_events_say(runner, store, plan, rng):
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "FAN_IN", 2)
        runner.run(live(store, Path(directory), plan, rng))


async def live(store, path, plan, rng):
    async with new_world(store, path, 1) as world:
        world.rng = rng
        dead, taken = [], []
        for name, *given_ in plan:
            if name in ("take", "late"):
                count, shard, letters = given_
                first, last = (START - 40 * DAY, START) if name == "late" else (START, END)
                dead += await world.take(
                    world.made(count, first, last), shard=shard, letters=min(letters, count)
                )
            elif name in ("retry", "insert"):
                some, dead = dead[: given_[0]], dead[given_[0] :]
                if some:
                    tried = await world.retry(some, settle=name == "retry")
                    taken += tried if name == "insert" else []
            elif name == "settle":
                await world.settle(taken)
                taken = []
            elif name == "slice":
                await world.restarted(most=given_[0]).tick()
            elif name == "die":
                await die(world, filled=given_[0])
            else:
                world.clock.at += 86_400
                await world.rollups.tick()
        await world.settle(taken)
        await world.check()
        await world.restarted().tick()
        assert await world.unsliced() == set()
        await world.check()


async def die(world, *, filled):
    rollups = world.restarted()
    await rollups._clean_up()
    parts, _ = await rollups._slicer.waiting()
    building = await rollups._builds.begin_slice({part.shard: part.upto for part in parts})
    if filled:
        await rollups._slicer.fill(building, (await rollups._builds.manifest()).zones)
