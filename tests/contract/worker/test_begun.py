"""`overflow = "drop_oldest"` never takes what the worker has begun with, whatever the settings of either."""

import asyncio
import fcntl
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from footfall.errors import LogFull
from footfall.eventlog.port import Entry
from footfall.eventlog.sqlite import overflow, retention
from footfall.model.reasons import Reason
from footfall.model.record import decode
from footfall.state.ledger import HOUR, hour_of
from footfall.verify.verifier import Verifier
from tests.contract.installation import NOW, Crash, crash, drain, event, record, until

pytestmark = pytest.mark.anyio

EVENTS = 20  # in a record
HOUR_BEFORE = hour_of(NOW) - HOUR
LOG_MAX = 8 << 20
ALL = 1 << 60
PAGE = "https://example.com/" + "x" * 200
# A batch of the worker is all that the log holds; a door that is set up otherwise thinks it is a mouthful.
WORKER = {"batch_bytes": 1 << 26, "batch_rows": 1_000_000}
DOOR = {"overflow": "drop_oldest", "log_max": LOG_MAX, "batch_bytes": 1 << 16}


@pytest.fixture
async def world(eager, monkeypatch):
    """Its writer drops the oldest events from a full log."""
    monkeypatch.setattr(retention, "_LOOK_EVERY", 0.0)
    for writer in eager.writers:
        await writer.close()
    eager.settings = eager.settings.model_copy(update=DOOR)
    eager.writers = []
    await eager.new_writer()
    return eager


async def append(world, size):
    """Records of so many bytes together."""
    while size > 0:
        # A few to a commit: of the largest one the log spares four, too.
        bodies = [record([event(page_url=PAGE) for _ in range(EVENTS)]) for _ in range(10)]
        await asyncio.gather(*(world.writers[0].append(Entry("key", body)) for body in bodies))
        size -= sum(map(len, bodies))


async def in_log(world):
    """The offset of each record, and whether its events were dropped."""
    stored = await world.reading.read(world.writers[0].shard, -1, ALL, ALL)
    return {
        each.offset: any(tally.reason == Reason.OVERFLOW for tally in decode(each.data).tallies)
        for each in stored
    }


async def dropped(world, first=-1, last=ALL):
    """The offsets between these whose events were dropped."""
    return [offset for offset, gone in (await in_log(world)).items() if gone and first <= offset <= last]


async def is_right(world):
    """Every event has one outcome, and books, rows and log agree on which; some were dropped."""
    outcomes = await world.outcomes()
    assert outcomes["received"] == outcomes["stored"] + outcomes["dropped"]
    assert tuple(await world.counts()) == (outcomes["stored"],) * 2
    assert outcomes["dropped"] == len(await dropped(world)) * EVENTS > 0
    assert await world.batches.open_plans() == []
    found = await Verifier(world.store, world.reading, world.database).run(
        HOUR_BEFORE, HOUR_BEFORE + 4 * HOUR
    )
    assert found.findings == []


@pytest.mark.parametrize("instant", ["after batches.plan", "before batches.close"])
async def test_a_batch_that_a_crash_left_open_is_never_dropped(world, instant):
    await append(world, 3 << 20)
    *_, last = await in_log(world)
    world.hooks[instant] = crash
    with pytest.raises(Crash):
        await drain(world, **WORKER)
    world.hooks.clear()
    await append(world, 3 * LOG_MAX)
    assert not await dropped(world, last=last)
    await drain(world, **WORKER)
    await is_right(world)


async def test_what_was_dropped_after_it_was_read_is_not_stored(world):
    await append(world, 6 << 20)  # more than is read at once
    world.hooks["after log.read"] = filling(world)
    await drain(world, **WORKER)
    await is_right(world)


def filling(world):
    """Once the worker has read a good part for the first time, the log is filled three times over."""

    async def fill(shard, _after, limit, _size):
        if shard == world.writers[0].shard and limit > 1:
            world.hooks.clear()
            await append(world, 3 * LOG_MAX)

    return fill


async def test_what_it_begins_with_while_it_is_being_dropped_is_kept(world, monkeypatch):
    await append(world, 3 << 20)
    shard = world.writers[0].shard
    first, *_, last = await in_log(world)
    shorten = overflow.without_events

    def begun_meanwhile(data):
        monkeypatch.setattr(overflow, "without_events", shorten)
        assert asyncio.run_coroutine_threadsafe(world.reading.begin(shard, first, last), loop).result()
        return shorten(data)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(overflow, "without_events", begun_meanwhile)
    await append(world, 2 * LOG_MAX)
    assert overflow.without_events is shorten
    assert not await dropped(world, last=last)
    assert await dropped(world)


async def test_what_was_dropped_is_to_be_read_again_and_what_lies_behind_is_not(world):
    await append(world, 3 * LOG_MAX)
    shard = world.writers[0].shard
    first, *_, last = await dropped(world)
    assert not await world.reading.begin(shard, first, first + 10)
    assert not await world.reading.begin(shard, first + 5, last)
    assert await world.reading.begin(shard, last + 1, last + 10)


async def held(path):
    """Another process is at the note, and stands still."""
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def damaged(path):
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    yield
    if path.read_bytes() == bytes(len(content)):
        path.write_bytes(content)


async def cut_off(path):
    content = path.read_bytes()
    path.write_bytes(content[:7])
    yield
    path.write_bytes(content)


@pytest.mark.parametrize("trouble", [held, damaged, cut_off])
async def test_where_nobody_knows_what_it_has_begun_with_the_log_refuses_instead(world, trouble):
    await append(world, 3 << 20)
    world.hooks["before batches.close"] = crash
    with pytest.raises(Crash):
        await drain(world, **WORKER)
    world.hooks.clear()
    (note,) = world.settings.data.glob("log/*/begun")
    async with asynccontextmanager(trouble)(note):
        with pytest.raises(LogFull):
            await append(world, 3 * LOG_MAX)
        assert not await dropped(world)
    await append(world, LOG_MAX)
    await drain(world, **WORKER)
    await is_right(world)


async def test_the_worker_waits_for_a_note_that_is_held_and_makes_a_damaged_one_anew(world):
    await append(world, 3 << 20)
    await drain(world)
    (note,) = world.settings.data.glob("log/*/begun")
    await append(world, 1 << 20)
    with note.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        working = asyncio.create_task(drain(world))
        with capture_logs() as said:
            await until(lambda: tried_again(said))
        assert not working.done()
    await working
    note.write_bytes(b"\0" * 20)
    await append(world, 1 << 20)
    await drain(world, **WORKER)
    await append(world, 3 * LOG_MAX)
    await drain(world, **WORKER)
    await is_right(world)


async def tried_again(said):
    return any(each["event"] == "trying again" for each in said)
