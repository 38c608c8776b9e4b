"""What is noted as outgoing, in the transaction that stores it."""

import uuid

import pytest

from footfall.errors import Conflict
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.dead_letters.letters import DeadLetters, Settled
from footfall.state.outgoing import Outgoing, OutgoingRange
from footfall.state.tables import open_state
from tests.contract.books import letter

pytestmark = pytest.mark.anyio
SHARD = 2**64 - 1


@pytest.fixture
async def database(tmp_path):
    database = open_state(tmp_path / "state.db")
    yield database
    await database.close()


def plan(first, last):
    part = SeqRange(SHARD, first, last, first * 4096, last * 4096 + 4095)
    return BatchPlan(uuid.uuid4().hex, (part,), 1, 0, 0, 1)


async def test_what_is_closed_goes_out_once_it_is_closed_and_until_it_is_out(database):
    batches, outgoing = Batches(database, goes_out=True), Outgoing(database)
    one, two = plan(0, 1), plan(2, 3)
    for each in (one, two):
        await batches.plan(each)
    assert await outgoing.next(10) == []
    for each in (one, one, two):  # again, as when its outcome is unknown
        await batches.close(each, Closing())
    waiting = [OutgoingRange(SHARD, 0, 8191), OutgoingRange(SHARD, 8192, 16383)]
    assert await outgoing.next(10) == waiting
    assert await outgoing.next(1) == waiting[:1]
    await outgoing.done(waiting[:1])
    assert await outgoing.next(10) == waiting[1:]


async def test_what_is_not_closed_does_not_go_out(database):
    with pytest.raises(Conflict):
        await Batches(database, goes_out=True).close(plan(0, 1), Closing())
    assert await Outgoing(database).next(10) == []


async def test_without_a_topic_nothing_is_noted(database):
    batches, one = Batches(database), plan(0, 1)
    await batches.plan(one)
    await batches.close(one, Closing())
    assert await Outgoing(database).next(10) == []


async def test_a_letter_that_is_stored_at_last_goes_out(database):
    batches, one = Batches(database, goes_out=True), plan(0, 1)
    dead = [letter("default", shard=SHARD, seq=seq) for seq in (5, 6)]
    await batches.plan(one)
    await batches.close(one, Closing(dead_letters=dead))
    outgoing = Outgoing(database)
    await outgoing.done(await outgoing.next(10))
    letters = DeadLetters(database, goes_out=True)
    for each in dead:
        await letters.retry(each.workspace_id, each.shard, each.seq)
    taken = await letters.take()
    await letters.settle([Settled(taken[0], "stored"), Settled(taken[1], "duplicate")])
    assert await outgoing.next(10) == [OutgoingRange(SHARD, 5, 5)]
