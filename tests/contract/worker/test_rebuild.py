"""The books made anew of what the store and the log hold: nothing twice, nothing without an outcome."""

import pytest

from footfall.errors import Invalid
from footfall.model.ids import uuid7
from footfall.model.record import Record, SenderContext, Tally, encode
from footfall.rebuild.state import REASON, rebuild
from footfall.stamps import committed_offsets
from footfall.state.batches import Batches
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.ledger import ADJUSTED, Ledger
from footfall.state.tables import open_state
from tests.contract.installation import NOW, Crash, drain, event, new_world, record, retry_all, settled

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path, store):
    async with new_world("sqlite", tmp_path, store) as world:
        yield world


async def lose_the_books(world):
    """A new, empty state database, filled from the rest."""
    await world.database.close()
    world.database = open_state(world.settings.data / "new.db")
    world.batches, world.dead_letters = Batches(world.database), DeadLetters(world.database)
    world.fence = None
    committed = committed_offsets(world.settings.data / "log")
    return await rebuild(world.store, world.reading, world.database, committed)


async def test_it_says_what_the_lost_one_said(world):
    twice = uuid7()
    await world.append(3, 4, writer=0)
    await world.append(5, writer=1)
    await world.append_raw(record([event(event_id=twice, client_id=True), event()]))
    await drain(world)
    await world.append_raw(record([event(event_id=twice, client_id=True), event()]))
    tallies = [Tally("site", "origin", 3), Tally("site", "duplicate", 2)]
    await world.append_raw(encode(Record(1, NOW, "acme", "api", [event()], [SenderContext()], tallies)))
    await drain(world)
    before = await world.outcomes()
    assert before == {"received": 22, "stored": 16, "duplicate": 3, "rejected": 3}
    done = await lose_the_books(world)
    assert (done.stored, done.letters) == (16, 0)
    assert await world.outcomes() == before
    await drain(world)
    await settled(world, rows=16, **before)


async def adjusted(world):
    """How many of the events received had their time set otherwise, by the ledger."""
    lines = (await Ledger(world.database).books("acme", 0, 1 << 62)).lines
    return sum(line.events for line in lines if (line.outcome, line.reason) == ("received", ADJUSTED))


async def test_how_many_times_were_set_otherwise_is_known_again(world):
    await world.append_raw(
        record([event(occurred_at_original=1), event(), event(occurred_at_original=NOW - 1)])
    )
    await drain(world)
    before = await world.outcomes()
    assert (before["received"], await adjusted(world)) == (3, 2)
    await lose_the_books(world)
    assert (await world.outcomes(), await adjusted(world)) == (before, 2)


async def test_what_the_worker_released_in_the_log_is_known_to_who_compares_the_parts(world):
    await world.append(3, 4, writer=0)
    await world.append(5, writer=1)
    await drain(world)
    closed = await world.batches.positions()
    assert len(closed) == 2
    assert committed_offsets(world.settings.data / "log") == closed


async def test_what_comes_after_is_stored_once_and_known_ids_are_known(world):
    twice = uuid7()
    await world.append_raw(record([event(event_id=twice, client_id=True)]))
    await drain(world)
    await lose_the_books(world)
    await world.append(6)
    await world.append_raw(record([event(event_id=twice, client_id=True)]))
    assert await drain(world) == 6
    await settled(world, rows=7, received=8, stored=7, duplicate=1)


async def test_a_batch_that_was_cut_short_is_made_up_for_by_a_retry(world):
    await world.append(3, 3)

    async def cut_short(rows, query_id):
        await world.store._store.insert(rows.slice(4, 2), query_id + "-part")
        raise Crash

    world.store.before = cut_short
    with pytest.raises(Crash):
        await drain(world)
    world.store.before = lambda *_: ready()
    done = await lose_the_books(world)
    assert (done.stored, done.letters) == (2, 4)
    assert await world.outcomes() == {"received": 6, "stored": 2, "dead_lettered": 4}
    await retry_all(world, REASON)
    await drain(world)
    await settled(world, rows=6, received=6, stored=6)


async def ready():
    pass


async def test_books_that_only_the_lost_one_could_tell_are_refused(world):
    await world.append(3)
    await drain(world)
    command = world.store._handles.commands.command
    command("INSERT INTO rollups (build, at) VALUES (7, toDateTime('2020-01-01', 'UTC'))")
    try:
        with pytest.raises(Invalid, match="from one backup"):
            await lose_the_books(world)
    finally:
        command("TRUNCATE TABLE rollups")
