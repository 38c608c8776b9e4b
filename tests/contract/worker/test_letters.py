"""What cannot be stored is set aside, counted and tried again, and never stops the rest."""

import asyncio
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from footfall.errors import StoreDown
from footfall.metrics import DEAD_LETTERED, LOG_BACKLOG, WORKER_PAUSED
from footfall.model.ids import uuid7
from footfall.model.record import SEQ_PER_RECORD
from footfall.worker import dead_letter_rate
from tests.contract.installation import (
    broken_record,
    drain,
    event,
    nothing,
    poison,
    record,
    refusing,
    retry_all,
    stored,
    until,
    waiting,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(eager):
    return eager


# One bad event


async def test_records_that_cannot_be_read_are_dead_letters(world):
    await world.append_raw(record([event(page_url="https://acme.example/DAMAGE-ME")]))
    await world.append(3)
    await world.append_raw(b"\xc1 no record")
    await world.append(4)
    await world.writers[0].close()
    for path in world.settings.data.glob("log/*/*"):
        if b"DAMAGE-ME" in (content := path.read_bytes()):
            path.write_bytes(content.replace(b"DAMAGE-ME", b"DAMAGE-mE"))
    assert await drain(world) == 7
    assert await world.outcomes() == {"received": 9, "stored": 7, "dead_lettered": 2}
    damaged, undecodable = await world.letters()
    assert (damaged.reason, damaged.seq, damaged.size, damaged.retryable) == ("damaged", 0, 0, False)
    assert (undecodable.reason, undecodable.seq) == ("undecodable", 2 * SEQ_PER_RECORD)
    assert (undecodable.size, undecodable.retryable) == (11, True)
    assert await world.backlog() == 0


INCONSISTENT = {
    "a visit that is not there": [event(visit=9)],
    "a wrong id": [event(event_id=b"short")],
    "a wrong id of a client": [event(event_id=b"short", client_id=True)],
    "two wrong ids": [event(event_id=b"i" * 15, client_id=True), event(event_id=b"i" * 17, client_id=True)],
}


@pytest.mark.parametrize("bad", INCONSISTENT.values(), ids=INCONSISTENT)
async def test_an_inconsistent_event_does_not_cost_its_neighbours(world, bad):
    one, two = uuid7(), uuid7()
    before, after = event(event_id=one, client_id=True), event(event_id=two, client_id=True)
    await world.append(2)
    await world.append_raw(record([before, *bad, after]))
    await world.append_raw(record([after, before, before]))
    assert await drain(world) == 4
    assert await world.outcomes() == {
        "received": 7 + len(bad), "stored": 4, "dead_lettered": len(bad), "duplicate": 3
    }  # fmt: skip
    letters = await world.letters()
    places = [SEQ_PER_RECORD + 1 + index for index in range(len(bad))]
    assert [(letter.reason, letter.seq) for letter in letters] == [("unprocessable", at) for at in places]
    stored = await world.store.query(
        "SELECT seq FROM events WHERE event_id IN {ids:Array(UUID)} ORDER BY seq",
        {"ids": [str(UUID(bytes=one)), str(UUID(bytes=two))]},
    )
    assert [seq for (seq,) in stored] == [SEQ_PER_RECORD, SEQ_PER_RECORD + 1 + len(bad)]
    for letter in letters:
        await world.dead_letters.discard("acme", letter.shard, letter.seq)
    (world.settings.data / "recent-ids").unlink(missing_ok=True)
    await world.append_raw(record([before, after]))
    assert await drain(world) == 0, "the next start knows the good ids again"


@pytest.mark.parametrize(
    "data",
    [
        broken_record(),
        record([event(event_id=b"short")]),
        record([event(event_id=b"short", client_id=True)]),
    ],
    ids=["a visit that is not there", "a wrong id", "a wrong id of a client"],
)
async def test_an_inconsistent_record_is_set_aside(world, data):
    before = DEAD_LETTERED.labels("unprocessable")._value.get()
    ids = [uuid7() for _ in range(3)]
    mine = record([event(event_id=one, client_id=True) for one in ids])
    await world.append_raw(mine)
    await world.append_raw(data)
    await world.append_raw(mine)
    assert await drain(world) == 3
    assert await world.outcomes() == {"received": 7, "stored": 3, "dead_lettered": 1, "duplicate": 3}
    (letter,) = await world.letters()
    assert (letter.reason, letter.seq) == ("unprocessable", SEQ_PER_RECORD)
    assert DEAD_LETTERED.labels("unprocessable")._value.get() == before + 1
    await retry_all(world)
    assert await drain(world) == 0
    (letter,) = await world.letters()
    assert (letter.status, letter.attempts) == ("kept", 2)
    assert await world.outcomes() == {"received": 7, "stored": 3, "dead_lettered": 1, "duplicate": 3}


async def test_one_poison_event_among_ten_thousand(world, fix):
    sizes = [4000, 4000]
    await world.append(*sizes)
    await world.append_raw(
        record([event() for _ in range(777)] + [poison()] + [event() for _ in range(1222)])
    )
    assert await drain(world) == 9999
    assert tuple(await world.counts()) == (9999, 9999)
    assert await world.outcomes() == {"received": 10_000, "stored": 9999, "dead_lettered": 1}
    (letter,) = await world.letters()
    assert (letter.seq, letter.reason, letter.detail) == (
        2 * SEQ_PER_RECORD + 777,
        "unprocessable",
        "ValueError",
    )

    await retry_all(world)
    await drain(world)
    assert await world.outcomes() == {"received": 10_000, "stored": 9999, "dead_lettered": 1}, "no fix yet"

    fix()
    await drain(world)
    assert (await world.letters())[0].status == "kept", "one failure ends a retry"
    await retry_all(world)
    await drain(world)
    assert tuple(await world.counts()) == (10_000, 10_000)
    assert await world.outcomes() == {"received": 10_000, "stored": 10_000}
    assert await world.letters() == []
    rows = await world.store.query(
        "SELECT shard, seq, browser, country_code FROM events WHERE page_path = '/poison'"
    )
    assert [tuple(row) for row in rows] == [(letter.shard, letter.seq, "Chrome", "DE")]


async def test_rows_that_the_store_refuses_are_found_and_set_aside(world):
    ids = [uuid7() for _ in range(1000)]
    for start in range(0, 1000, 100):
        await world.append_raw(record([event(event_id=i, client_id=True) for i in ids[start : start + 100]]))
    bad = [0, 3 * SEQ_PER_RECORD + 50, 9 * SEQ_PER_RECORD + 99]
    world.store.before = refusing(world, *bad)
    assert await drain(world) == 997
    assert tuple(await world.counts()) == (997, 997)
    assert [(one.seq, one.reason) for one in await world.letters()] == [
        (seq, "refused_by_store") for seq in bad
    ]
    assert await world.outcomes() == {"received": 1000, "stored": 997, "dead_lettered": 3}

    await retry_all(world, "refused_by_store")
    await drain(world)
    assert [(one.status, one.attempts) for one in await world.letters()] == [("kept", 2)] * 3

    world.store.before = nothing
    await retry_all(world, "refused_by_store")
    await drain(world)
    assert tuple(await world.counts()) == (1000, 1000)
    assert await world.outcomes() == {"received": 1000, "stored": 1000}


async def test_a_copy_of_a_refused_event_is_stored_though_it_was_prepared_before_that_was_known(world):
    one, both = uuid7(), asyncio.Event()
    for _ in range(2):
        await world.append_raw(record([event(event_id=one, client_id=True)]))
    worker = await world.worker(batch_rows=1)
    prepare, refuse = worker._prepared, refusing(world, 0)

    async def prepared(batch, pending=()):
        found = await prepare(batch, pending)
        if pending:  # the other one is being inserted
            assert found.rows.num_rows == 0
            both.set()
        return found

    async def before(rows, query_id):
        await both.wait()
        await refuse(rows, query_id)

    worker._prepared, world.store.before = prepared, before
    assert await worker.drain() == 1
    assert await world.outcomes() == {"received": 2, "stored": 1, "dead_lettered": 1}


async def test_a_store_that_fails_while_a_refused_row_is_looked_for(world, monkeypatch):
    await world.append(64)
    refuse, down, calls = refusing(world, 13), False, 0
    query = world.store._store.query

    async def sometimes(*arguments, **named):
        nonlocal down
        down = not down
        if down and "seq BETWEEN" in arguments[0]:
            raise StoreDown("busy")
        return await query(*arguments, **named)

    async def before(rows, query_id):
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise StoreDown("busy")
        await refuse(rows, query_id)

    world.store.before = before
    monkeypatch.setattr(world.store, "query", sometimes, raising=False)
    assert await drain(world) == 63
    monkeypatch.undo()
    assert tuple(await world.counts()) == (63, 63)
    assert await world.outcomes() == {"received": 64, "stored": 63, "dead_lettered": 1}


# Too many of them


@pytest.fixture
def ten(monkeypatch):
    """Ten dead letters are enough for a pause; of a hundred, each would be tried again on its own."""
    monkeypatch.setattr(dead_letter_rate, "AT_LEAST", 10)


async def test_it_pauses_when_too_much_cannot_be_stored_and_goes_on_after_the_fix(world, fix, ten):
    await world.append(30)
    await world.append_raw(record([poison() for _ in range(9)]))
    stop = asyncio.Event()
    running = asyncio.create_task((await world.worker()).run(stop))
    await until(lambda: stored(world, 30))
    assert WORKER_PAUSED._value.get() == 0, "nine are no deploy gone wrong"
    stop.set()
    await running
    await world.append(30)
    await world.append_raw(record([poison() for _ in range(10)]))
    stop = asyncio.Event()
    running = asyncio.create_task((await world.worker()).run(stop))
    await until(lambda: asyncio.sleep(0, WORKER_PAUSED._value.get() == 1))
    assert tuple(await world.counts()) == (30, 30)
    assert await world.outcomes() == {"received": 39, "stored": 30, "dead_lettered": 9}
    assert await world.backlog() == 2
    assert await world.batches.open_plans() == []
    fix()
    await until(lambda: waiting(world, 0))
    # The fix may have come while the batch was being looked through; what failed before it is a letter.
    await retry_all(world)
    await until(lambda: stored(world, 79))
    stop.set()
    await running
    assert WORKER_PAUSED._value.get() == 0
    assert await world.outcomes() == {"received": 79, "stored": 79}


async def test_below_a_fifth_it_goes_on(world, fix):
    await world.append(4000)
    await world.append_raw(record([poison() for _ in range(1000)]))
    assert await drain(world) == 4000
    assert await world.outcomes() == {"received": 5000, "stored": 4000, "dead_lettered": 1000}


async def test_a_pause_can_be_stopped(world, fix, ten):
    await world.append_raw(record([poison() for _ in range(10)]))
    stop = asyncio.Event()
    running = asyncio.create_task((await world.worker()).run(stop))
    await until(lambda: asyncio.sleep(0, WORKER_PAUSED._value.get() == 1))
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert await world.outcomes() == {}
    assert await world.letters() == []


async def test_it_pauses_when_the_store_refuses_too_much(world, ten):
    refused = range(5, 25)
    world.store.before = refusing(world, *refused)
    await world.append(30)
    running = asyncio.create_task((await world.worker()).drain())
    await until(lambda: asyncio.sleep(0, WORKER_PAUSED._value.get() == 1))
    assert await world.letters() == []
    assert await world.batches.positions() == {}
    world.store.before = nothing
    await running
    assert WORKER_PAUSED._value.get() == 0
    await retry_all(world, "refused_by_store")
    await drain(world)
    assert tuple(await world.counts()) == (30, 30)
    assert await world.outcomes() == {"received": 30, "stored": 30}


# Under load


async def test_under_load_letters_are_retried_and_the_backlog_is_measured(world, fix):
    await world.append_raw(record([poison()]))
    await drain(world)
    fix()
    await retry_all(world)
    LOG_BACKLOG.set(-1)
    await world.append(*[10] * 12)
    seen = []

    async def look(*_):
        seen.append((LOG_BACKLOG._value.get(), len(await world.letters())))
        await asyncio.sleep(0.05)  # an insert takes longer than reading and preparing

    world.store.before = look
    await drain(world, batch_rows=10)
    assert await world.letters() == []
    assert len({backlog for backlog, _ in seen}) > 3
    assert tuple(await world.counts()) == (121, 121)


async def test_a_batch_of_dead_letters_is_one_line_of_the_log(world, fix):
    await world.append_raw(record([poison() for _ in range(50)] + [event() for _ in range(500)]))
    await world.append_raw(b"\xc1 no record")
    with capture_logs() as said:
        assert await drain(world) == 500
    (line,) = [line for line in said if line["event"] == "dead letters"]
    assert (line["unprocessable"], line["undecodable"]) == (50, 1)
    assert len(line["first"]) == 3
