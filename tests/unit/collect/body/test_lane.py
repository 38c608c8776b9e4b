"""The lane: whoever used it least goes next, nobody keeps it, and nobody waits with more than a few."""

import asyncio

import pytest

from footfall.collect.body import lane
from footfall.collect.body.lane import Lane
from footfall.errors import TooMany

pytestmark = pytest.mark.anyio

ACME, OTHER = ("key", "acme", "1"), ("key", "other", "2")
STRANGER = ("site", "192.0.2.1")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


async def run(senders, seconds=1.0):
    """Who had the lane, in this order: all ask while the first has it."""
    clock, order = Clock(), []
    one = Lane(clock)

    async def ask(sender):
        async with one.turn(sender):
            order.append(sender)
            await asyncio.sleep(0)
            clock.now += seconds

    await asyncio.gather(*map(ask, senders))
    return order


async def test_of_one_kind_they_take_turns():
    order = await run([ACME, ACME, ACME, OTHER, OTHER])
    assert order == [ACME, OTHER, ACME, OTHER, ACME]


async def test_strangers_however_many_cost_a_key_one_of_them():
    strangers = [("site", f"192.0.2.{number}") for number in range(15)]
    order = await run([*strangers, ACME])
    assert order.index(ACME) == 1


async def test_use_is_forgotten_with_time():
    clock = Clock()
    one = Lane(clock)
    async with one.turn(ACME):
        clock.now += 100
    clock.now += 1000
    order = []

    async def ask(sender):
        async with one.turn(sender):
            order.append(sender)
            await asyncio.sleep(0)

    await asyncio.gather(ask(STRANGER), ask(ACME), ask(OTHER))
    assert order == [STRANGER, ACME, OTHER]


async def test_more_than_a_few_of_one_sender_do_not_wait():
    one = Lane()
    async with one.turn(OTHER):
        waiting = [asyncio.create_task(_take(one, ACME)) for _ in range(lane._MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await _take(one, ACME)
        another = asyncio.create_task(_take(one, STRANGER))
        await asyncio.sleep(0)
        assert not another.done()
    await asyncio.gather(*waiting, another)


@pytest.mark.parametrize("turns", range(4))
async def test_who_goes_away_keeps_nothing(turns):
    one = Lane()

    async def holder():
        async with one.turn(ACME):
            await asyncio.sleep(0)

    first, second = asyncio.create_task(holder()), asyncio.create_task(_take(one, OTHER))
    for _ in range(turns):
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with asyncio.timeout(5):
        await _take(one, STRANGER)


async def _take(one, sender):
    async with one.turn(sender):
        pass


async def test_strangers_fill_it_only_so_far_and_keys_come_in():
    one = Lane()
    async with one.turn(OTHER):
        strangers = [("site", f"192.0.2.{number}") for number in range(lane._MOST_STRANGERS)]
        waiting = [asyncio.create_task(_take(one, each)) for each in strangers]
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await _take(one, ("nobody", "198.51.100.1"))
        waiting.append(asyncio.create_task(_take(one, ACME)))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
