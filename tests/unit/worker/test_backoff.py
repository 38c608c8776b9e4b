"""Pauses, and the circuit breaker before the store."""

import asyncio

import pytest

from footfall.errors import Retryable, StoreDown
from footfall.metrics import STORE_UP
from footfall.worker import backoff as module
from footfall.worker.backoff import Backoff, Breaker, StopRequested

pytestmark = pytest.mark.anyio


@pytest.fixture
def pauses(monkeypatch):
    """What would have been waited."""
    waited = []

    async def wait(event, seconds):
        waited.append(seconds)
        return event.is_set()

    monkeypatch.setattr(module, "set_within", wait)
    return waited


class Store:
    """One that answers its pings as it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def ping(self):
        if not self.answers.pop(0):
            raise StoreDown("no")


async def test_pauses_grow_to_a_limit_and_are_jittered(pauses):
    patience = Backoff(asyncio.Event())
    for failures in range(1, 30):
        await patience.pause(failures)
    for number, seconds in enumerate(pauses):
        longest = min(0.1 * 2**number, 10)
        assert longest / 2 <= seconds <= longest
    assert len(set(pauses)) == len(pauses)


async def test_a_stop_ends_a_pause_at_once():
    stop = asyncio.Event()
    pausing = asyncio.create_task(Backoff(stop).pause(100))
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(StopRequested):
        async with asyncio.timeout(4):
            await pausing


async def test_what_may_succeed_later_is_called_until_it_does(pauses):
    failures = [Retryable("busy"), StoreDown("down")]

    async def call():
        if failures:
            raise failures.pop(0)
        return 7

    assert await Backoff(asyncio.Event()).until_done(call) == 7
    assert len(pauses) == 2


async def test_other_errors_are_not_tried_again(pauses):
    async def call():
        raise KeyError

    with pytest.raises(KeyError):
        await Backoff(asyncio.Event()).until_done(call)
    assert pauses == []


async def test_what_succeeds_is_called_even_when_stopped(pauses):
    stop = asyncio.Event()
    stop.set()
    calls = 0

    async def call():
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Retryable("busy")

    await Backoff(stop).until_done(call)
    with pytest.raises(StopRequested):
        await Backoff(stop).until_done(call)


async def test_the_breaker_opens_at_the_third_failure_and_only_probes_until_one_is_answered(pauses):
    store = Store(False, False, True, True)
    breaker = Breaker(store, Backoff(asyncio.Event()))
    down = StoreDown("no")
    await breaker.failed(down)
    await breaker.failed(down)
    assert len(store.answers) == 4, "closed: no probe yet"
    assert STORE_UP._value.get() == 1
    await breaker.failed(down)
    assert store.answers == [True], "two probes failed, one was answered"
    assert STORE_UP._value.get() == 0, "half open until an attempt succeeds"
    await breaker.failed(down)
    assert store.answers == [], "one failure opens it again"
    breaker.succeeded()
    assert STORE_UP._value.get() == 1
    await breaker.failed(down)
    assert STORE_UP._value.get() == 1, "it counts from the start again"


async def test_a_stop_ends_the_waiting_for_a_store():
    stop = asyncio.Event()
    breaker = Breaker(Store(*[False] * 50), Backoff(stop))
    waiting = asyncio.create_task(breaker.failed(StoreDown("no")))
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(StopRequested):
        async with asyncio.timeout(4):
            await waiting


@pytest.mark.parametrize("steps", range(4))
async def test_who_is_cancelled_just_when_the_event_is_set_learns_of_it(steps):
    event = asyncio.Event()
    waiting = asyncio.create_task(module.set_within(event, 10))
    for _ in range(3):
        await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting
