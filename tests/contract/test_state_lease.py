"""Leases: one worker at a time, and what a transaction of the one before comes to."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE

import msgspec
import pytest

from footfall.database import Database, place_of
from footfall.errors import Conflict
from footfall.settings import Settings
from footfall.state.batches import Batches, Closing
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.lease import Lease
from footfall.state.ledger import HOUR, Ledger, LedgerCount
from footfall.state.tables import open_state
from tests.contract.test_state import plan
from tests.databases import variables

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(places: Settings):
    database = open_state(place_of(places, "state"))
    yield database
    await database.close()


async def test_a_lease_is_refused_naming_its_holder_until_it_expires(database: Database):
    now = 1000.0
    lease = Lease(database, clock=lambda: now)
    one = await lease.acquire("worker", "one", 10)
    with pytest.raises(Conflict, match="held by one"):
        await lease.acquire("worker", "two", 10)
    assert (await lease.acquire("audit", "two", 10)).number == 1

    now = 1005.0
    await lease.renew(one, 10)
    now = 1014.0
    with pytest.raises(Conflict, match="held by one"):
        await lease.acquire("worker", "two", 10)
    now = 1015.0
    two = await lease.acquire("worker", "two", 10)
    assert two.number == one.number + 1
    with pytest.raises(Conflict, match="taken over by two"):
        await lease.renew(one, 10)
    await lease.release(one)  # is no longer its to give up
    with pytest.raises(Conflict, match="held by two"):
        await lease.acquire("worker", "three", 10)
    await lease.release(two)
    assert (await lease.acquire("worker", "three", 10)).number == two.number + 1


async def test_who_holds_a_lease_knows_for_how_long_at_least(database: Database):
    lease = Lease(database)
    fence = await lease.acquire("worker", "one", 60)
    assert lease.holds(fence)
    assert not lease.holds(fence, margin=61)
    await lease.renew(fence, 120)
    assert lease.holds(fence, margin=61)
    await lease.release(fence)
    assert not lease.holds(fence)


async def test_a_worker_that_was_replaced_can_neither_plan_nor_close_nor_settle(database: Database):
    now = 1000.0
    lease = Lease(database, clock=lambda: now)
    fence = await lease.acquire("worker", "one", 10)
    late = Batches(database, fence)
    planned, next_one = plan((1, 0, 6)), plan((1, 7, 9))
    await late.plan(planned)
    now = 1010.0
    await late.plan(next_one)  # nobody has taken the lease
    batches = Batches(database, await lease.acquire("worker", "two", 10))

    counts = Closing([LedgerCount("w", "s", HOUR, "received", 1), LedgerCount("w", "s", HOUR, "stored", 1)])
    with pytest.raises(Conflict, match="taken over by two"):
        await late.close(planned, counts)
    with pytest.raises(Conflict, match="taken over by two"):
        await late.plan(plan((1, 10, 12)))
    with pytest.raises(Conflict, match="taken over by two"):
        await DeadLetters(database, fence).settle([])
    assert await batches.open_plans() == [planned, next_one]
    assert (await Ledger(database).books("w", 0, 2 * HOUR)).lines == []
    await batches.close(planned, counts)
    assert await batches.positions() == {1: 6}


# A worker in a process of its own: says what it did, then does what it is told, line by line.
WORKER = """
import asyncio, os, sys, msgspec
from footfall.database import place_of
from footfall.errors import Conflict
from footfall.settings import load
from footfall.state.batches import Batches, Closing, BatchPlan
from footfall.state.lease import Lease, this_process
from footfall.state.tables import open_state

async def main():
    database = open_state(place_of(load(), "state"))
    lease, fence = Lease(database), None
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        try:
            if word == "acquire":
                fence = await lease.acquire("worker", this_process(), float(rest))
            elif word == "release":
                await lease.release(fence)
            else:
                plan = msgspec.json.decode(rest, type=BatchPlan)
                batches = Batches(database, fence)
                await (batches.plan(plan) if word == "plan" else batches.close(plan, Closing()))
            print("done", fence.number, flush=True)
        except Conflict as error:
            print("conflict", error, flush=True)

asyncio.run(main())
"""


class WorkerProcess:
    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    @classmethod
    async def start(cls, places: Settings) -> "WorkerProcess":
        env = variables(places)
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", WORKER, env=env, stdin=PIPE, stdout=PIPE
            )
        )

    async def __call__(self, *words: str) -> str:
        assert self.child.stdin
        assert self.child.stdout
        self.child.stdin.write(" ".join(words).encode() + b"\n")
        return (await self.child.stdout.readline()).decode().strip()

    async def end(self, number: int) -> None:
        self.child.send_signal(number)
        await self.child.wait()


async def test_of_two_workers_one_works_and_a_dead_one_is_replaced_at_once(places: Settings):
    one, two = await WorkerProcess.start(places), await WorkerProcess.start(places)
    body = msgspec.json.encode(plan((1, 0, 6))).decode()
    try:
        assert await one("acquire", "600") == "done 1"
        refusal = await two("acquire", "600")
        assert refusal.startswith("conflict")
        assert f" {one.child.pid} " in refusal
        assert await one("plan", body) == "done 1"
        # Nobody waits 600 s for a process that is known to be gone.
        await one.end(signal.SIGKILL)
        assert await two("acquire", "600") == "done 2"
        assert await two("close", body) == "done 2"
    finally:
        for worker in (one, two):
            if worker.child.returncode is None:
                await worker.end(signal.SIGKILL)


async def test_a_worker_that_slept_through_its_lease_is_stopped(places: Settings):
    one, two = await WorkerProcess.start(places), await WorkerProcess.start(places)
    first, second = (msgspec.json.encode(plan((1, at, at))).decode() for at in (0, 1))
    try:
        assert await one("acquire", "0.2") == "done 1"
        assert await one("plan", first) == "done 1"
        one.child.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 20
        while (answer := await two("acquire", "600")) != "done 2":
            assert answer.startswith("conflict")
            assert time.monotonic() < deadline
        one.child.send_signal(signal.SIGCONT)
        assert "taken over" in await one("close", first)
        assert "taken over" in await one("plan", second)
        assert await two("close", first) == "done 2"
    finally:
        for worker in (one, two):
            await worker.end(signal.SIGKILL)


# ------------------------------------------------------------------------------------ salts
