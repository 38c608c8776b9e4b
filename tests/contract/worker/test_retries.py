"""Dead letters that are tried again, and crashes around them."""

from contextlib import suppress

import pytest

from footfall.model.ids import uuid7
from footfall.query.engine import Engine
from footfall.query.language.periods import Period
from footfall.query.language.question import Question
from footfall.state.rollups.row_counts import RollupState
from tests.contract.installation import (
    MINUTE,
    NOW,
    Crash,
    crash,
    drain,
    event,
    nothing,
    poison,
    record,
    retry_all,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(eager):
    return eager


async def test_a_crash_while_a_batch_with_dead_letters_closes(world, fix):
    for where in ("before batches.close", "after batches.close"):
        await world.append(50)
        await world.append_raw(record([poison(), event()]))
        world.hooks[where] = crash
        with pytest.raises(Crash):
            await drain(world)
        world.hooks.clear()
    await drain(world)
    assert tuple(await world.counts()) == (102, 102)
    assert await world.outcomes() == {"received": 104, "stored": 102, "dead_lettered": 2}


@pytest.mark.parametrize(
    "where", ["before insert", "after insert", "before letters.settle", "after letters.settle"]
)
async def test_a_retry_that_a_crash_cut_short_stores_nothing_twice(world, fix, where):
    await world.append(5)
    one = uuid7()
    await world.append_raw(record([poison(event_id=one, client_id=True)]))
    await drain(world)
    fix()
    await retry_all(world)
    if where == "before insert":
        world.store.before = crash
    elif where == "after insert":
        world.store.after = crash
    else:
        world.hooks[where] = crash
    with pytest.raises(Crash):
        await drain(world)
    world.store.before = world.store.after = nothing
    world.hooks.clear()
    await drain(world)
    assert tuple(await world.counts()) == (6, 6)
    assert await world.outcomes() == {"received": 6, "stored": 6}
    assert await world.letters() == []
    await world.append_raw(record([poison(event_id=one, client_id=True)]))
    await drain(world)
    assert tuple(await world.counts()) == (6, 6), "the letter's id is known now"
    assert await world.outcomes() == {"received": 7, "stored": 6, "duplicate": 1}


@pytest.mark.parametrize("crashes", [True, False])
async def test_the_id_of_a_letter_that_was_stored_late_is_known_after_a_restart(world, fix, crashes):
    one = uuid7()
    await world.append_raw(
        record([poison(event_id=one, client_id=True), event(event_id=uuid7(), client_id=True)])
    )
    await drain(world)
    assert (world.settings.data / "recent-ids").exists(), "its positions cover the letter, which is not in it"
    fix()
    await retry_all(world)
    if crashes:
        await world.append(1)
        world.hooks["before batches.plan"] = crash  # after the retry, and no clean stop
    with suppress(Crash):
        await drain(world)
    world.hooks.clear()
    await drain(world)
    assert await world.letters() == []
    await world.append_raw(record([poison(event_id=one, client_id=True)]))
    await drain(world)
    assert await world.outcomes() == {"received": 3 + crashes, "stored": 2 + crashes, "duplicate": 1}


async def test_a_letter_whose_copy_was_stored_meanwhile_is_a_duplicate(world, fix):
    one = uuid7()
    await world.append_raw(record([poison(event_id=one, client_id=True)]))
    await drain(world)
    await world.append_raw(record([event(event_id=one, client_id=True)]))
    await drain(world)
    assert await world.outcomes() == {"received": 2, "stored": 1, "dead_lettered": 1}
    fix()
    await retry_all(world)
    await drain(world)
    assert tuple(await world.counts()) == (1, 1)
    assert await world.outcomes() == {"received": 2, "stored": 1, "duplicate": 1}


async def test_what_a_crashed_attempt_stored_is_no_duplicate_whatever_was_learnt_since(world, fix):
    one = uuid7()
    await world.append_raw(record([poison(event_id=one, client_id=True)]))
    await drain(world)
    (letter,) = await world.letters()
    await world.append_raw(record([event(event_id=one, client_id=True), event(event_id=one, client_id=True)]))
    world.hooks["before batches.close"] = crash
    with pytest.raises(Crash):
        await drain(world)
    world.hooks.clear()
    # A discarded letter is in the log and in no list of letters: its id is read like any other.
    await world.dead_letters.discard("acme", letter.shard, letter.seq)
    (world.settings.data / "recent-ids").unlink(missing_ok=True)
    await drain(world)
    assert tuple(await world.counts()) == (1, 1)
    assert await world.outcomes() == {"received": 3, "stored": 1, "duplicate": 1, "dropped": 1}


@pytest.mark.parametrize("over", [False, True], ids=["now", "a range that is over"])
async def test_what_a_retry_stores_is_in_the_next_answer_though_the_same_was_asked_before(world, fix, over):
    """It is not sliced yet, nor are any rollups made; the letter's event is the first of all, too."""
    engine = Engine(world.store, RollupState(world.database))
    at = NOW - 60 * MINUTE if over else NOW
    period = Period(at - 10 * MINUTE, at + 10 * MINUTE, "UTC")
    question = Question(workspace_id="acme", period=period, metrics=("events",))

    async def answers():
        return (await engine.find(question, 10)).rows, await engine.first_event("acme")

    first = at - 5 * MINUTE
    await world.append_raw(record([event(occurred_at=at), poison(occurred_at=first), event(occurred_at=at)]))
    await drain(world)
    assert await answers() == ([(2,)], at)
    fix()
    await retry_all(world)
    await drain(world)
    assert await answers() == ([(3,)], first)
