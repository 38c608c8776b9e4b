"""Which ids a start knows: by the time of the log, of all shards together, and only of what is stored."""

import asyncio
import itertools

import pytest

from footfall.errors import Retryable
from footfall.metrics import ID_CONFLICTS
from footfall.model.ids import uuid7
from footfall.model.record import Record, SenderContext, encode
from tests.contract.installation import drain, event, poison, record, retry_all, settled

pytestmark = pytest.mark.anyio

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def world(eager):
    return eager


async def send(world, clock, *ids, writer=0, source="api"):
    await world.append_raw(
        made(clock, *[event(event_id=one, client_id=True) for one in ids], source=source), writer=writer
    )


def made(clock, *events, source="api"):
    return encode(Record(1, int(clock() * 1000), "acme", source, list(events), [SenderContext()]))


def lose_checkpoint(world):
    (world.settings.data / "recent-ids").unlink(missing_ok=True)


async def test_a_worker_that_was_down_for_days_knows_what_the_log_was_about(world, clock):
    one = uuid7()
    await send(world, clock, one)
    await drain(world, recent_ids_window=DAY)
    lose_checkpoint(world)
    clock.passed += 300
    await send(world, clock, one, uuid7())
    clock.passed += 3 * DAY
    await drain(world, recent_ids_window=DAY)
    await settled(world, rows=2, received=3, stored=2, duplicate=1)


async def test_what_a_worker_that_is_up_to_date_reads_is_no_older_than_the_window(world, clock):
    one = uuid7()
    await send(world, clock, one)
    await drain(world, recent_ids_window=DAY)
    lose_checkpoint(world)
    clock.passed += 2 * DAY
    await send(world, clock, uuid7())
    await drain(world, recent_ids_window=DAY)
    lose_checkpoint(world)
    await send(world, clock, one)
    await drain(world, recent_ids_window=DAY)
    assert (await world.counts())[0] == 3, "after the window it is counted again"


async def test_of_several_doors_the_newest_ids_are_remembered(world, clock):
    """More ids than the limit, from doors that were busy at the same times."""
    hours = []
    for _ in range(20):
        hours.append([[uuid7() for _ in range(10)] for _ in range(3)])
        for writer, ids in enumerate(hours[-1]):
            await send(world, clock, *ids, writer=writer)
        clock.passed += HOUR
    limit = {"recent_ids": 320, "recent_ids_window": 2 * DAY}
    assert await drain(world, **limit) == 600
    lose_checkpoint(world)
    for writer in range(3):
        for ids in [ids for hour in hours[-10:] for ids in hour]:
            await send(world, clock, *ids, writer=writer)
    assert await drain(world, **limit) == 0, "the newest 300 of 600 are known"


@pytest.mark.parametrize("checkpoint", ["older", "lost"])
async def test_what_waits_behind_them_hides_no_record_that_a_full_log_deleted(world, clock, checkpoint):
    path = world.settings.data / "recent-ids"
    await send(world, clock, uuid7())
    await drain(world)
    saved = path.read_bytes()
    ids = [uuid7() for _ in range(5)]
    await send(world, clock, *ids)
    await drain(world)
    path.unlink() if checkpoint == "lost" else path.write_bytes(saved)
    await world.reopen_writers()
    assert sum([await writer.retain(clock() + 60) for writer in world.writers]) == 2
    for writer in range(3):  # whichever goes on with that shard
        await world.append(*[1] * 20, writer=writer)
    await send(world, clock, *ids)
    await drain(world)
    await settled(world, rows=66, received=71, stored=66, duplicate=5)


@pytest.mark.parametrize("checkpoint", ["older", "lost"])
async def test_ids_of_records_that_a_full_log_deleted_early_are_known_after_a_kill(world, clock, checkpoint):
    before, ids = [uuid7() for _ in range(20)], [uuid7() for _ in range(20)]
    path = world.settings.data / "recent-ids"
    await send(world, clock, *before)
    await drain(world)
    saved = path.read_bytes()
    clock.passed += 30
    await send(world, clock, *ids)
    await drain(world)
    await world.reopen_writers()
    await world.append(1)
    await drain(world)
    path.unlink() if checkpoint == "lost" else path.write_bytes(saved)
    assert sum([await writer.retain(clock() + 60) for writer in world.writers]) == 2
    conflicts = ID_CONFLICTS._value.get()
    await send(world, clock, *before, *ids)
    await drain(world)
    await settled(world, rows=41, received=81, stored=41, duplicate=40)
    assert ID_CONFLICTS._value.get() == conflicts, "of what was deleted nobody knows another payload"


async def test_ids_that_the_door_made_take_no_room_from_those_that_clients_sent(world, clock):
    ids = [uuid7(int(clock() * 1000) - 40) for _ in range(100)]
    await send(world, clock, *ids)
    made = int(clock() * 1000) + 1000
    for _ in range(5):
        events = [event(event_id=uuid7(made)) for _ in range(100)]
        await world.append_raw(encode(Record(1, made, "acme", "api", events, [SenderContext()])))
    await drain(world, recent_ids=320)
    await world.reopen_writers()
    await world.append(1)
    await drain(world, recent_ids=320)
    lose_checkpoint(world)
    assert sum([await writer.retain(clock() + 60) for writer in world.writers]) == 6
    await send(world, clock, *ids)
    await drain(world, recent_ids=320)
    await settled(world, rows=601, received=701, stored=601, duplicate=100)


@pytest.mark.parametrize("reads", range(10))
async def test_ids_of_records_that_a_full_log_deletes_while_they_are_restored_are_known(world, clock, reads):
    ids = [uuid7() for _ in range(20)]
    await send(world, clock, *ids)
    await drain(world)
    await world.reopen_writers()
    await world.append(1)
    await drain(world)
    lose_checkpoint(world)
    await send(world, clock, *ids)
    calls = itertools.count()

    async def trim(*_):
        if next(calls) == reads:
            for writer in world.writers:
                await writer.retain(clock() + 60)

    world.hooks["before log.read"] = trim
    await drain(world)
    await settled(world, rows=21, received=41, stored=21, duplicate=20)


@pytest.mark.parametrize("before", [{"recent_ids_window": HOUR}, {"recent_ids": 70}])
async def test_a_window_that_was_made_longer_is_filled_from_the_log(world, clock, before):
    ids = [uuid7() for _ in range(20)]
    await send(world, clock, *ids)
    await drain(world, **before)
    clock.passed += 3 * HOUR
    for _ in range(20):
        await send(world, clock, *[uuid7() for _ in range(5)])
        await drain(world, **before)
        clock.passed += 60
    await send(world, clock, *ids)
    await drain(world)
    await settled(world, rows=120, received=140, stored=120, duplicate=20)


async def test_a_log_that_cannot_be_read_now_is_waited_for(world, clock, monkeypatch):
    ids = [uuid7() for _ in range(20)]
    await send(world, clock, *ids)
    await send(world, clock, uuid7(), writer=1)
    await drain(world)
    lose_checkpoint(world)
    await send(world, clock, *ids)
    failures = iter(range(5))

    async def fail(*_):
        if next(failures, None) is not None:
            raise Retryable("a segment is held")

    world.hooks["before log.read"] = fail
    await drain(world)
    await settled(world, rows=21, received=41, stored=21, duplicate=20)


@pytest.mark.parametrize("checkpoint", ["kept", "lost"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_discarded_letters_id_is_unknown_before_and_after_a_restart(world, fix, checkpoint, when):
    one, two = uuid7(), uuid7()
    await world.append_raw(
        record([event(event_id=two, client_id=True), poison(event_id=one, client_id=True)])
    )
    worker = await world.worker()
    await worker.drain()
    (letter,) = await world.letters()
    await world.dead_letters.discard("acme", letter.shard, letter.seq)
    await world.append_raw(record([event(event_id=each, client_id=True) for each in (one, two)]))
    if checkpoint == "lost":
        lose_checkpoint(world)
    if when == "after":
        worker = await world.worker()
    await worker.drain()
    await settled(world, rows=2, received=4, stored=2, duplicate=1, dropped=1)


async def test_the_id_of_a_letter_that_was_stored_is_known_though_the_checkpoint_was_written_before(
    world, fix
):
    one = uuid7()
    await world.append_raw(record([poison(event_id=one, client_id=True), event(client_id=True)]))
    await drain(world)
    fix()
    await retry_all(world)
    await drain(world)
    lose_checkpoint(world)
    await world.append_raw(record([event(event_id=one, client_id=True)]))
    await drain(world)
    await settled(world, rows=2, received=3, stored=2, duplicate=1)


@pytest.mark.parametrize("deleted", [False, True], ids=["in the log", "deleted by a full log"])
@pytest.mark.parametrize("days", [3, -3, 400])
async def test_ids_since_the_checkpoint_are_known_after_a_kill_whatever_the_clock_said(
    world, clock, days, deleted
):
    """It is wrong for a while in which they come (back), or from just after that on (ahead)."""
    path = world.settings.data / "recent-ids"
    await send(world, clock, uuid7())
    await drain(world)
    saved = path.read_bytes()
    ids = [uuid7() for _ in range(5)]
    clock.passed += min(days, 0) * DAY
    await send(world, clock, *ids)
    await drain(world)
    clock.passed += abs(days) * DAY
    await send(world, clock, uuid7())
    await drain(world)
    if deleted:
        await world.reopen_writers()
        assert sum([await writer.retain(clock() + 500 * DAY) for writer in world.writers]) == 3
    path.write_bytes(saved)
    await send(world, clock, *ids, writer=1)
    await drain(world)
    await settled(world, rows=7, received=12, stored=7, duplicate=5)


async def test_without_a_checkpoint_what_came_behind_something_young_is_young(world, clock):
    """The clock is days behind for a while."""
    await send(world, clock, uuid7())
    clock.passed -= 3 * DAY
    ids = [uuid7() for _ in range(5)]
    await send(world, clock, *ids)
    clock.passed += 3 * DAY
    await send(world, clock, uuid7())
    await drain(world)
    lose_checkpoint(world)
    await send(world, clock, *ids)
    await drain(world)
    await settled(world, rows=7, received=12, stored=7, duplicate=5)


@pytest.mark.parametrize("known_by", ["the worker", "the checkpoint", "the log", "the store"])
async def test_a_crowd_without_a_key_makes_nobody_forget_the_ids_that_came_with_one(world, clock, known_by):
    few, ids = {"recent_ids": 64, "batch_rows": 20}, [uuid7() for _ in range(30)]
    await send(world, clock, *ids)
    clock.passed += 60
    for _ in range(20):
        await send(world, clock, *(uuid7() for _ in range(10)), source="beacon")
    worker = await world.worker(**few)
    await worker.drain()
    if known_by in ("the log", "the store"):
        lose_checkpoint(world)
    if known_by == "the store":
        await world.reopen_writers()
        assert sum([await writer.retain(clock() + DAY) for writer in world.writers])
    if known_by != "the worker":
        worker = await world.worker(**few)
    await send(world, clock, *ids, writer=1)
    await worker.drain()
    await settled(world, rows=230, received=260, stored=230, duplicate=30)


async def test_an_id_without_a_key_is_known_as_one_after_a_restart_too(world, clock):
    ids = [uuid7() for _ in range(5)]
    await send(world, clock, *ids, source="beacon")
    await drain(world)
    for lose in (False, True):
        if lose:
            lose_checkpoint(world)
        await send(world, clock, *ids, source="beacon")
        await drain(world)
    await settled(world, rows=5, received=15, stored=5, duplicate=10)


@pytest.mark.parametrize("source", ["api", "beacon", "import:bitly"])
@pytest.mark.parametrize("days", [0, 5])
async def test_a_letter_that_was_stored_lately_is_known_without_a_checkpoint_whenever_it_came(
    world, clock, fix, source, days
):
    """Its twin waits in the log, or came within the window after it was stored."""
    one = uuid7()
    twin = {"event_id": one, "client_id": not source.startswith("import")}
    await world.append_raw(made(clock, poison(**twin), source=source))
    await drain(world)
    clock.passed += days * DAY
    await send(world, clock, uuid7())
    fix()
    await retry_all(world)
    await drain(world)
    assert await world.letters() == []
    lose_checkpoint(world)
    await world.append_raw(made(clock, event(**twin), source=source))
    await drain(world)
    await settled(world, rows=2, received=3, stored=2, duplicate=1)


async def test_a_letter_whose_row_is_gone_since_is_not_known(world, clock, fix):
    """Who imports a line again once its event was deleted has it counted again."""
    twin = {"event_id": uuid7(), "client_id": False}
    await world.append_raw(made(clock, poison(**twin), source="import:bitly"))
    await drain(world)
    fix()
    await retry_all(world)
    await drain(world)
    delete = "ALTER TABLE events DELETE WHERE 1 SETTINGS mutations_sync = 2"
    await asyncio.to_thread(world.store._handles.commands.command, delete)
    lose_checkpoint(world)
    await world.append_raw(made(clock, event(**twin), source="import:bitly"))
    await drain(world)
    await settled(world, rows=1, received=2, stored=2)
