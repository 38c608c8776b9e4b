"""Letters are retried in rounds: each event once, whatever was stored meanwhile, and live events go on."""

from contextlib import suppress

import pytest

from footfall.errors import Retryable, StoreDown, TooSlow
from footfall.model.ids import uuid7
from footfall.worker import dead_letters
from tests.contract.installation import (
    NOW,
    Crash,
    crash,
    drain,
    event,
    nothing,
    poison,
    record,
    refusing,
    retry_all,
    settled,
)

pytestmark = pytest.mark.anyio

SOURCES = {"a client": {"client_id": True}, "an import": {"source": "import:bitly"}}


@pytest.fixture
def world(eager):
    return eager


async def send(world, *events, source="api", client_id=False):
    for each in events:
        each.client_id = client_id
    await world.append_raw(record(list(events), source=source))


# What was stored meanwhile


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_a_copy_that_was_stored_is_found_long_after_its_id_was_forgotten(world, fix, source):
    one = uuid7()
    await send(world, poison(event_id=one), **source)
    await drain(world)
    await send(world, event(event_id=one), **source)
    await drain(world, recent_ids_window=0.0)
    (world.settings.data / "recent-ids").unlink(missing_ok=True)
    fix()
    await retry_all(world)
    await drain(world, recent_ids_window=0.0)
    assert await world.letters() == []
    await settled(world, rows=1, received=2, stored=1, duplicate=1)


async def test_a_copy_that_was_stored_at_its_own_older_time_is_found(world, fix):
    """A key that may not say so old a time sent it first: there it counts as of its receipt."""
    one, old = uuid7(), NOW - 30 * 86_400_000
    sent = {"occurred_at": NOW, "occurred_at_original": old}
    await send(world, poison(event_id=one, client_id=True, **sent))
    await drain(world)
    await send(world, event(event_id=one, client_id=True, occurred_at=old))
    await drain(world)
    fix()
    await retry_all(world)
    await drain(world)
    assert await world.letters() == []
    await settled(world, rows=1, received=2, stored=1, duplicate=1)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_letters_with_one_id_are_one_event(world, fix, source):
    one, two = uuid7(), uuid7()
    await send(world, *(poison(event_id=each) for each in (one, two, one, one)), **source)
    await drain(world)
    fix()
    await retry_all(world)
    await drain(world)
    assert await world.letters() == []
    await settled(world, rows=2, received=4, stored=2, duplicate=2)


async def test_of_letters_with_one_id_the_next_is_tried_when_the_store_refuses_the_first(world, fix):
    one = uuid7()
    await send(world, *(poison(event_id=one) for _ in range(3)), source="import:bitly")
    await drain(world)
    fix()
    world.store.before = refusing(world, 0)
    await retry_all(world)
    await drain(world)
    (letter,) = await world.letters()
    assert (letter.seq, letter.reason, letter.status) == (0, "refused_by_store", "kept")
    assert await world.outcomes() == {"received": 3, "stored": 1, "duplicate": 1, "dead_lettered": 1}
    world.store.before = nothing
    await retry_all(world, "refused_by_store")
    await drain(world)
    await settled(world, rows=1, received=3, stored=1, duplicate=2)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_a_copy_in_a_batch_that_a_crash_left_open(world, fix, source):
    one = uuid7()
    await send(world, poison(event_id=one), event(), **source)
    await drain(world)
    await send(world, event(event_id=one), event(), **source)
    world.store.after = crash
    with pytest.raises(Crash):
        await drain(world)
    world.store.after = nothing
    fix()
    await retry_all(world)
    await drain(world)
    await settled(world, rows=3, received=4, stored=3, duplicate=1)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("restart", [False, True])
async def test_a_copy_that_waits_in_the_log_while_the_letter_is_stored(world, fix, source, restart):
    one = uuid7()
    await send(world, poison(event_id=one), **source)
    await drain(world)
    fix()
    await retry_all(world)
    if restart:
        await drain(world)
    await send(world, event(event_id=one), event(), **source)
    await drain(world)
    assert await world.letters() == []
    await settled(world, rows=2, received=3, stored=2, duplicate=1)


async def test_an_id_belongs_to_its_workspace(world, fix):
    one = uuid7()
    await world.append_raw(record([poison(event_id=one, client_id=True)]))
    await world.append_raw(record([event(event_id=one, client_id=True)], "other"))
    await drain(world)
    fix()
    await retry_all(world)
    await drain(world)
    assert await world.outcomes() == {"received": 2, "stored": 2}


# A copy that comes


@pytest.mark.parametrize("where", ["after insert", "before letters.settle", "after letters.settle"])
async def test_a_resend_waits_in_the_log_while_a_retry_is_cut_short(world, fix, where):
    one = uuid7()
    await send(world, poison(event_id=one), client_id=True)
    await drain(world)
    fix()
    await retry_all(world)
    if where == "after insert":
        world.store.after = crash
    else:
        world.hooks[where] = crash
    with pytest.raises(Crash):
        await drain(world)
    world.store.after = nothing
    await send(world, event(event_id=one), client_id=True)
    busy = iter(range(3))

    async def fail(*_):
        if next(busy, None) is not None:
            raise Retryable("the database is busy")

    world.hooks = {"before letters.take": fail}
    await drain(world)
    await drain(world)
    await settled(world, rows=1, received=2, stored=1, duplicate=1)


async def test_a_resend_in_the_batch_that_is_prepared_while_letters_wait_for_room(world, fix):
    """The batch has a letter of its own, for which there is no room before another one was retried."""
    one = uuid7()
    await send(world, poison(event_id=one), client_id=True)
    await drain(world)
    world.limits = {"max_letters": 1}
    (world.settings.data / "recent-ids").unlink(missing_ok=True)
    await send(world, event(event_id=one, visit=9), event(event_id=one), client_id=True)
    fix()
    await retry_all(world)
    await drain(world)
    assert await world.outcomes() == {"received": 3, "stored": 1, "duplicate": 1, "dead_lettered": 1}
    assert tuple(await world.counts()) == (1, 1)


# Rounds


async def test_the_letters_of_a_round_are_one_insert_and_one_transaction(world, fix):
    await send(world, *(poison() for _ in range(45)))
    await send(world, *(poison() for _ in range(45)))
    await drain(world)
    fix()
    settles = []

    async def look(results, _):
        settles.append(len(results))

    world.hooks["before letters.settle"] = look
    world.store.inserted.clear()
    await retry_all(world)
    await drain(world)
    assert [len(rows) for rows in world.store.inserted] == [90]
    assert [count for count in settles if count] == [90]
    await settled(world, rows=90, received=90, stored=90)


async def test_live_events_are_stored_between_rounds(world, fix, monkeypatch):
    monkeypatch.setattr(dead_letters, "_MOST", 10)
    await send(world, *(poison() for _ in range(50)))
    await drain(world)
    fix()
    await retry_all(world)
    await world.append(*[1] * 5)
    live = []

    async def look(rows, _):
        live.append(min(rows["seq"].to_pylist()) >= 4096)

    world.store.before = look
    await drain(world, batch_rows=1)
    assert await world.letters() == []
    kinds = "".join("live " if each else "letters " for each in live)
    assert kinds.count("letters") == 5
    assert "letters letters" not in kinds, "a round holds up one batch at most"


async def test_letters_that_fail_do_not_hold_back_the_others_of_their_round(world, fix):
    await send(world, *(poison() for _ in range(4)), event(visit=9), event(event_id=b"short"))
    await send(world, *(poison() for _ in range(4)))
    await drain(world)
    fix()
    world.store.before = refusing(world, 2)
    await retry_all(world)
    await drain(world)
    assert [(one.seq, one.reason, one.attempts) for one in await world.letters()] == [
        (2, "refused_by_store", 2),
        (4, "unprocessable", 2),
        (5, "unprocessable", 2),
    ]
    assert await world.outcomes() == {"received": 10, "stored": 7, "dead_lettered": 3}


async def test_an_insert_of_letters_whose_outcome_is_not_known(world, fix):
    await send(world, *(poison() for _ in range(20)))
    await drain(world)
    fix()
    failing = iter([True, True, False])

    async def fail(*_):
        if next(failing, False):
            raise StoreDown("the rows are there, but who knows")

    world.store.after = fail
    await retry_all(world)
    await drain(world)
    await settled(world, rows=20, received=20, stored=20)


@pytest.mark.parametrize("error", [TooSlow("too slow"), StoreDown("busy")], ids=["too slow", "busy"])
async def test_live_events_go_on_while_the_store_cannot_say_which_ids_it_has(world, fix, monkeypatch, error):
    await send(world, poison())
    await drain(world)
    fix()
    await retry_all(world)
    query = world.store._store.query

    async def fail(*arguments, **named):
        if "event_id IN" in arguments[0]:
            raise error
        return await query(*arguments, **named)

    monkeypatch.setattr(world.store, "query", fail, raising=False)
    await world.append(5)
    assert await drain(world) == 5
    monkeypatch.undo()
    assert len(await world.letters()) == 1
    world.hooks.clear()
    await drain(world)
    assert await world.letters() == []
    await settled(world, rows=6, received=6, stored=6)


async def test_crashes_at_every_step_of_rounds_one_after_the_other(world, fix):
    ids = [uuid7() for _ in range(30)]
    await send(world, *(poison(event_id=each) for each in ids), client_id=True)
    await drain(world)
    await send(world, *(event(event_id=each) for each in ids[:10]), client_id=True)
    await drain(world)
    fix()
    steps = ("before letters.take", "after letters.take", "before insert", "after insert",
             "before letters.settle", "after letters.settle")  # fmt: skip
    for step in steps * 2:
        await retry_all(world)
        world.store.before = crash if step == "before insert" else nothing
        world.store.after = crash if step == "after insert" else nothing
        world.hooks = {step: crash}
        with suppress(Crash):
            await drain(world)
        world.hooks.clear()
    world.store.before = world.store.after = nothing
    await drain(world)
    await send(world, *(event(event_id=each) for each in ids), client_id=True)
    await drain(world)
    await settled(world, rows=30, received=70, stored=30, duplicate=40)
