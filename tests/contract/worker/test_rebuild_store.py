"""The store made anew of what the log holds: each event once, and the rest is lost in the ledger."""

import shutil

import pytest

from footfall.eventlog.sqlite.files import list_segments, shard_directory
from footfall.model.ids import uuid7
from footfall.model.record import Record, SenderContext, Tally, encode
from footfall.rebuild.store import rebuild
from tests.contract.installation import (
    NOW,
    Crash,
    crash,
    drain,
    event,
    fault,
    new_world,
    nothing,
    poison,
    record,
    settled,
)
from tests.contract.worker.test_rebuild import adjusted

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path, store):
    async with new_world("sqlite", tmp_path, store) as world:
        yield world


async def lose_the_store(world):
    """It is empty, and the books are made to fit."""
    world.store._store._handles.commands.command("TRUNCATE TABLE events")
    shutil.rmtree(world.settings.data / "recent-ids", ignore_errors=True)
    return await rebuild(world.reading, world.database)


async def forget_records_of(world, writer):
    """The log has that shard no more: it was stored, and retention took it."""
    (shard,) = [each for each in await world.reading.shards() if each == writer]
    for segment in list_segments(shard_directory(world.settings.data / "log", shard)):
        for path in segment.path.parent.glob(f"{segment.path.name}*"):
            path.unlink()


async def test_times_that_were_set_otherwise_count_once(world):
    """Those that the log still has are received again, those that it has no more are lost."""
    await world.append_raw(record([event(occurred_at_original=1), event()]))
    await drain(world)
    before = await world.outcomes()
    await lose_the_store(world)
    await drain(world)
    await settled(world, rows=2, **before)
    assert await adjusted(world) == 1
    for shard in await world.reading.shards():
        await forget_records_of(world, shard)
    done = await lose_the_store(world)
    assert done.lost == 2
    assert await world.outcomes() == {"received": 2, "lost": 2}


async def test_all_that_the_log_has_is_stored_again_once(world):
    twice = uuid7()
    await world.append(3, 4, writer=0)
    await world.append_raw(record([event(event_id=twice, client_id=True), event()]))
    await drain(world)
    await world.append_raw(record([event(event_id=twice, client_id=True), event()]))
    tallies = [Tally("site", "origin", 3), Tally("site", "duplicate", 2)]
    await world.append_raw(encode(Record(1, NOW, "acme", "api", [event()], [SenderContext()], tallies)))
    await drain(world)
    before = await world.outcomes()
    done = await lose_the_store(world)
    assert (done.waiting, done.lost) == (17, 0)
    assert await world.outcomes() == {}
    assert await world.backlog() == 5  # retention spares it
    assert await drain(world) == 11
    await settled(world, rows=11, **before)


async def test_what_the_log_has_no_more_is_lost_and_nothing_is_so_twice(world):
    await world.append(3, 4, writer=0)
    await world.append(5, writer=1)
    await drain(world)
    stored = await world.store.query("SELECT shard, count() FROM events GROUP BY shard")
    (shard,) = [shard for shard, count in stored if count == 5]
    await forget_records_of(world, shard)
    assert (await lose_the_store(world)).lost == 5
    assert await world.outcomes() == {"received": 5, "lost": 5}
    assert (await lose_the_store(world)).lost == 0
    await world.append(2, writer=0)
    await drain(world)
    await drain(world)
    await settled(world, rows=9, received=14, stored=9, lost=5)


async def test_what_was_stored_and_is_gone_from_the_end_of_the_log_is_lost_once(world):
    await world.append(3, writer=0)
    await drain(world)
    (shard,) = await world.batches.positions()
    await world.reopen_writers()
    for writer in range(3):
        await world.append(5, writer=writer)
    await drain(world)
    segments = list_segments(shard_directory(world.settings.data / "log", shard))
    assert len(segments) == 2
    for path in segments[1].path.parent.glob(f"{segments[1].path.name}*"):
        path.unlink()
    assert (await lose_the_store(world)).lost == 5
    await drain(world)
    await settled(world, rows=13, received=18, stored=13, lost=5)


async def test_what_goes_before_it_is_read_again_is_lost_as_well(world):
    await world.append(3, 4, writer=0)
    await world.append(5, writer=1)
    await drain(world)
    stored = await world.store.query("SELECT shard, count() FROM events GROUP BY shard")
    (shard,) = [shard for shard, count in stored if count == 5]
    assert (await lose_the_store(world)).waiting == 12
    await forget_records_of(world, shard)
    await drain(world)
    await drain(world)
    await settled(world, rows=7, received=12, stored=7, lost=5)


async def test_letters_of_what_is_read_again_are_made_again_or_not_needed(world):
    await world.append_raw(record([event(), poison()]))
    with fault():
        await drain(world)
    assert await world.outcomes() == {"received": 2, "stored": 1, "dead_lettered": 1}
    await lose_the_store(world)
    with fault():
        await drain(world)
    await settled(world, rows=1, received=2, stored=1, dead_lettered=1)
    await lose_the_store(world)
    await drain(world)
    await settled(world, rows=2, received=2, stored=2)


async def test_letters_that_the_log_has_no_more_stay(world):
    await world.append_raw(record([event(), poison()]))
    with fault():
        await drain(world)
    (shard,) = await world.batches.positions()
    await forget_records_of(world, shard)
    await lose_the_store(world)
    assert await world.outcomes() == {"received": 2, "lost": 1, "dead_lettered": 1}


async def test_a_batch_that_was_open_is_read_again(world):
    await world.append(3)
    await drain(world)
    await world.append(4)
    world.store.after = crash
    with pytest.raises(Crash):
        await drain(world)
    world.store.after = nothing
    await lose_the_store(world)
    await drain(world)
    await settled(world, rows=7, received=7, stored=7)
