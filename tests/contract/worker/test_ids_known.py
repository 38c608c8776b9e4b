"""How far back the ids reached is in the books: `verify` knows which first copies age may have taken."""

import asyncio
from uuid import UUID

import pytest

from footfall.model.ids import uuid7
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.ids_known import known_since
from footfall.state.ledger import HOUR, hour_of
from footfall.state.retention import Deleted, RetentionState
from footfall.state.rollups.manifest import ArchivedSessions
from footfall.verify.findings import FIRSTS_UNKNOWN
from footfall.verify.verifier import Verifier
from tests.contract.installation import drain, poison, retry_all, settled
from tests.contract.worker.test_restored_ids import DAY, made, send

pytestmark = pytest.mark.anyio

ALL = 0, 1 << 60


@pytest.fixture
def world(eager):
    return eager


async def age_takes(world, before):
    """Retention deletes what was received before (ms)."""
    kept = ArchivedSessions(before, 202001, 0, ())
    await RetentionState(world.database).delete_raw({"": Deleted(before, before)}, kept)
    delete = (
        "ALTER TABLE events DELETE WHERE toUnixTimestamp64Milli(received_at) < "
        f"{before} SETTINGS mutations_sync = 2"
    )
    await asyncio.to_thread(world.store._handles.commands.command, delete)


async def verified(world, clock):
    """The checks that fail, and the notes, of the hour that it is."""
    hour = hour_of(int(clock() * 1000))
    result = await Verifier(world.store, world.reading, world.database).run(hour, hour + HOUR)
    return [each.check for each in result.findings], result.notes


async def test_a_first_copy_that_age_took_long_before_its_id_was_forgotten_is_no_loss(world, clock):
    one = uuid7()
    await send(world, clock, one)
    await drain(world)
    clock.passed += 100 * DAY
    await send(world, clock, uuid7())
    await drain(world)
    await age_takes(world, int((clock() - 90 * DAY) * 1000))
    clock.passed += 2 * DAY
    await send(world, clock, one)
    await drain(world)
    assert await world.outcomes() == {"received": 3, "stored": 2, "duplicate": 1}
    assert await verified(world, clock) == ([], [FIRSTS_UNKNOWN])


@pytest.mark.parametrize("behind", [1, 3, 40])
async def test_a_clock_that_was_behind_for_a_while_hides_nothing_of_the_log(world, clock, behind):
    """The search by times ends in the middle of what came while it was behind."""
    one = uuid7()
    for days in (0, -behind, behind):
        clock.passed += days * DAY
        for _ in range(40 if days < 0 else 5):
            await send(world, clock, uuid7())
    await send(world, clock, one)
    await send(world, clock, one)
    await drain(world)
    assert await verified(world, clock) == ([], [])
    clock.passed -= behind * DAY
    assert await verified(world, clock) == ([], [])
    clock.passed += behind * DAY
    delete = "ALTER TABLE events DELETE WHERE event_id = toUUID('{}') SETTINGS mutations_sync = 2"
    await asyncio.to_thread(world.store._handles.commands.command, delete.format(UUID(bytes=one)))
    assert set((await verified(world, clock))[0]) == {"stored", "missing", "not_a_duplicate"}


async def test_once_such_ids_are_forgotten_a_loss_booked_as_a_duplicate_is_found(world, clock):
    few = {"recent_ids": 64}
    await send(world, clock, uuid7())
    await drain(world, **few)
    clock.passed += 100 * DAY
    await age_takes(world, int((clock() - 90 * DAY) * 1000))
    for _ in range(100):
        await send(world, clock, uuid7())
    await drain(world, **few, batch_rows=10)
    clock.passed += 2 * HOUR / 1000
    lost = uuid7()
    await send(world, clock, lost)
    await send(world, clock, lost)
    await drain(world, **few)
    assert await verified(world, clock) == ([], [])
    await age_takes(world, int((clock() - 80 * DAY) * 1000))
    delete = f"ALTER TABLE events DELETE WHERE event_id = '{UUID(bytes=lost)}' SETTINGS mutations_sync = 2"
    await asyncio.to_thread(world.store._handles.commands.command, delete)
    checks, notes = await verified(world, clock)
    assert "not_a_duplicate" in checks
    assert notes == []


async def test_of_several_batches_of_an_hour_the_oldest_id_is_noted(world, clock):
    first = clock()
    await send(world, clock, uuid7())
    await drain(world)
    clock.passed += 3 * DAY
    for _ in range(2):
        await send(world, clock, uuid7())
        await drain(world)
    known = await known_since(world.database, *ALL)
    assert len(known) == 2
    assert {*known.values()} == {int(first * 1000)}


async def test_what_a_checkpoint_brings_back_reaches_as_far_as_before(world, clock):
    first = clock()
    await send(world, clock, uuid7())
    await drain(world)
    for _ in range(2):  # each drain is another worker
        clock.passed += DAY
        await send(world, clock, uuid7())
        await drain(world)
    assert {*(await known_since(world.database, *ALL)).values()} == {int(first * 1000)}


async def test_a_letter_that_is_retried_makes_its_id_as_old_as_its_event(world, clock, fix):
    one, first = uuid7(), clock()
    data = made(clock, poison(event_id=one, client_id=True))
    await world.append_raw(data)
    await drain(world)
    clock.passed += 2 * DAY
    fix()
    await retry_all(world)
    await drain(world)
    await send(world, clock, one)
    await drain(world)
    await settled(world, rows=1, received=2, stored=1, duplicate=1)
    known = await known_since(world.database, *ALL)
    assert known[hour_of(int(clock() * 1000))] == int(first * 1000)


async def test_a_letter_that_turns_out_to_be_a_duplicate_may_be_one_of_whatever_was_asked_for(
    world,
    clock,
    fix,
):
    one, first = uuid7(), clock()
    await world.append_raw(made(clock, poison(event_id=one, client_id=True)))
    await drain(world)
    clock.passed += DAY
    await send(world, clock, one)
    await drain(world)
    fix()
    await retry_all(world)
    await drain(world)
    await settled(world, rows=1, received=2, stored=1, duplicate=1)
    assert await DeadLetters(world.database).size() == (0, 0)
    settings = world.settings
    reach = settings.recent_ids_window + settings.max_past
    known = await known_since(world.database, *ALL)
    assert known[hour_of(int(first * 1000))] <= int((first - reach) * 1000) + 1000
