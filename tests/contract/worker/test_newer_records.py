"""Records of a newer format, and bytes that are no record: kept whole, and no reason to go on blindly."""

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from footfall.metrics import WORKER_NEWER, WORKER_PAUSED
from footfall.model import record as model
from footfall.model.ids import uuid7
from footfall.model.record import SEQ_PER_RECORD
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.worker import dead_letter_rate
from tests.contract.installation import (
    Crash,
    crash,
    drain,
    event,
    record,
    until,
)

pytestmark = pytest.mark.anyio

NEWER = 9
SET_ASIDE = {"newer_records": "set_aside"}


@pytest.fixture
def world(eager):
    return eager


def newer(*ids, tallies=(), odd=False):
    """A record of a version to come; `odd`: with a field that this version cannot make sense of."""
    made = msgspec.msgpack.decode(record([event(event_id=one, client_id=True, site_id="s") for one in ids]))
    made[0] = NEWER
    made[6] = [[*tally] for tally in tallies]
    if odd:
        for each in made[4]:
            each[2] = "now"
    return msgspec.msgpack.encode([*made, {"unheard": "of"}])


@pytest.fixture
def upgrade(monkeypatch):
    """Call it to have a program that reads such records."""
    return lambda: monkeypatch.setattr(model, "FORMAT_VERSION", NEWER)


async def pauses(gauge):
    return gauge._value.get() == 1


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("number", [1, 3])
async def test_the_worker_waits_at_the_first_record_of_a_newer_version(world, upgrade, odd, number):
    ids = [uuid7() for _ in range(number)]
    await world.append(2)
    for one in ids:
        await world.append_raw(newer(one, odd=odd))
    await world.append(3)
    stop = asyncio.Event()
    with capture_logs() as said:
        task = asyncio.create_task((await world.worker()).run(stop))
        await until(lambda: pauses(WORKER_NEWER))
        stop.set()
        await task
    (line,) = [line for line in said if line["event"] == "the worker pauses"]
    assert (line["format"], line["record"]) == (NEWER, f"{world.writers[0].shard:016x}-1")
    assert "upgrade" in line["why"]
    assert await world.letters() == []
    assert await world.backlog() == 2 + number
    upgrade()
    if not odd:
        assert await drain(world) == 5 + number
        assert await world.letters() == []
        assert WORKER_NEWER._value.get() == 0


async def test_a_batch_that_a_newer_version_left_open_waits_too(world, upgrade, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(model, "FORMAT_VERSION", NEWER)
        await world.append_raw(newer(uuid7(), uuid7()))
        world.hooks["before batches.close"] = crash
        with pytest.raises(Crash):
            await drain(world)
        world.hooks.clear()
    stop = asyncio.Event()
    task = asyncio.create_task((await world.worker()).run(stop))
    await until(lambda: pauses(WORKER_NEWER))
    stop.set()
    await task
    assert await world.letters() == []
    assert len(await world.batches.open_plans()) == 1
    upgrade()
    await drain(world)
    assert await world.outcomes() == {"received": 2, "stored": 2}


async def test_set_aside_it_is_kept_whole_and_stored_after_the_upgrade(world, upgrade):
    ids = [uuid7() for _ in range(3)]
    await world.append(2)
    await world.append_raw(newer(*ids, tallies=[("s", "too_old", 4)]))
    await world.append(2)
    assert await drain(world, **SET_ASIDE) == 4
    (letter,) = await world.letters()
    assert (letter.reason, letter.retryable, letter.seq) == ("newer_format", True, SEQ_PER_RECORD)
    assert await world.outcomes() == {"received": 5, "stored": 4, "dead_lettered": 1}
    await world.dead_letters.retry_all(DEFAULT_WORKSPACE, "newer_format")
    await drain(world, **SET_ASIDE)
    (letter,) = await world.letters()
    assert (letter.status, letter.attempts, letter.reason) == ("kept", 2, "newer_format")

    upgrade()
    (world.settings.data / "recent-ids").unlink(missing_ok=True)
    await world.append_raw(record([event(event_id=ids[1], client_id=True)]))
    await drain(world)
    assert (await world.outcomes())["stored"] == 5, "the first of them that could be stored"
    await world.dead_letters.retry_all(DEFAULT_WORKSPACE, "newer_format")
    await drain(world)
    await drain(world)
    assert await world.letters() == []
    assert await world.outcomes() == {"received": 12, "stored": 7, "duplicate": 1, "rejected": 4}
    assert tuple(await world.counts()) == (7, 7)
    await world.append_raw(record([event(event_id=one, client_id=True) for one in ids]))
    await drain(world)
    assert tuple(await world.counts()) == (7, 7), "their ids are known"


async def test_crashes_at_every_step_while_set_aside_records_are_stored(world, upgrade):
    await world.append_raw(newer(*(uuid7() for _ in range(7))))
    await world.append_raw(newer(*(uuid7() for _ in range(7))))
    await drain(world, **SET_ASIDE)
    upgrade()
    await world.dead_letters.retry_all(DEFAULT_WORKSPACE, "newer_format")
    for step in ("before letters.unfold", "after letters.unfold", "before letters.settle"):
        world.hooks = {step: crash}
        with pytest.raises(Crash):
            await drain(world)
    world.hooks.clear()
    await drain(world)
    await drain(world)
    assert await world.letters() == []
    assert await world.outcomes() == {"received": 14, "stored": 14}
    assert tuple(await world.counts()) == (14, 14)


@pytest.mark.parametrize("discarded", [False, True], ids=["kept", "discarded"])
async def test_the_ids_of_a_record_that_was_set_aside_are_not_known(world, upgrade, discarded):
    ids = [uuid7() for _ in range(3)]
    await world.append_raw(newer(*ids))
    await drain(world, **SET_ASIDE)
    (letter,) = await world.letters()
    if discarded:
        await world.dead_letters.discard(DEFAULT_WORKSPACE, letter.shard, letter.seq)
    upgrade()
    (world.settings.data / "recent-ids").unlink(missing_ok=True)
    await world.append_raw(record([event(event_id=one, client_id=True) for one in ids]))
    assert await drain(world) == 3


async def test_bytes_that_are_no_record_are_kept_too(world):
    await world.append_raw(b"\xc1 no record")
    await drain(world)
    await world.dead_letters.retry_all(DEFAULT_WORKSPACE, "undecodable")
    await drain(world)
    (letter,) = await world.letters()
    assert (letter.status, letter.attempts, letter.reason) == ("kept", 2, "undecodable")
    whole = await world.dead_letters.show(DEFAULT_WORKSPACE, letter.shard, letter.seq)
    assert whole.payload == b"\xc1 no record"


async def test_records_that_cannot_be_read_weigh_what_they_hold(world, monkeypatch):
    """Nine records of a hundred events each beside a thousand good events are no small share."""
    monkeypatch.setattr(dead_letter_rate, "AT_LEAST", 100)
    await world.append(1000)
    bad = msgspec.msgpack.decode(record([event() for _ in range(100)]))
    bad[1] = "no time"
    for _ in range(9):
        await world.append_raw(msgspec.msgpack.encode(bad))
    stop = asyncio.Event()
    task = asyncio.create_task((await world.worker()).run(stop))
    await until(lambda: pauses(WORKER_PAUSED))
    stop.set()
    await task
    assert await world.letters() == []
