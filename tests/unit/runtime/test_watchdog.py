"""How long the loop was held: what a callback took, not what other processes took."""

import asyncio
import time

import pytest

from footfall.metrics import LOOP_HOLDS, LOOP_LONGEST_HOLD
from footfall.runtime.watchdog import watched

pytestmark = pytest.mark.anyio


def hold_for(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def beats(watchdog):
    """Returns when the loop has beaten since."""
    due = watchdog._due
    async with asyncio.timeout(20):
        while watchdog._due == due:
            await asyncio.sleep(0.001)


async def test_a_hold_is_measured_counted_and_told_with_its_place(capfd):
    before = LOOP_HOLDS._value.get()
    async with watched(beat=0.002, limit=0.05) as watchdog:
        await beats(watchdog)
        hold_for(0.3)
        await beats(watchdog)
        assert 0.25 < watchdog.longest < 20
        assert LOOP_LONGEST_HOLD._value.get() == watchdog.longest
        assert LOOP_HOLDS._value.get() == before + 1
        told = capfd.readouterr()
        assert "loop.held" in told.out + told.err
        assert "hold_for" in told.out + told.err
        watchdog.forget()
        hold_for(0.1)
        await beats(watchdog)
        assert watchdog.longest > 0.05
        told = capfd.readouterr()
        assert "loop.held" not in told.out + told.err  # not twice in ten seconds


async def test_what_others_do_with_the_processors_is_no_hold():
    async with watched(beat=0.002) as watchdog:
        await beats(watchdog)
        time.sleep(0.3)  # noqa: ASYNC251 -- as if the machine had been given to somebody else
        await beats(watchdog)
        assert watchdog.longest < 0.2
