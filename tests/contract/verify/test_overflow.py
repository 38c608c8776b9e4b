"""`overflow = "drop_oldest"`: a full log gives up the oldest events, and the books say how many."""

import asyncio
from collections import Counter

import pytest

from footfall.errors import LogFull
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry
from footfall.eventlog.sqlite import retention
from footfall.model.record import Record, SenderContext, Tally, decode, encode
from footfall.settings import Settings
from footfall.state.ledger import Ledger, received
from footfall.state.tables import open_state
from footfall.verify.verifier import Verifier
from footfall.worker.open import open_worker
from tests.contract.verified import END, NOW, START, event

pytestmark = pytest.mark.anyio

EVENTS = 20  # in a record
ALL = 1 << 60
LOG_MAX = 8 << 20


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "_LOOK_EVERY", 0.0)
    return Settings(
        data=tmp_path, overflow="drop_oldest", log_max=LOG_MAX, batch_bytes=1 << 16, batch_age=0.01
    )


def record(site="shop", **fields):
    events = [
        event(site if index % 2 else "blog", page_url="https://example.com/" + "x" * 200, **fields)
        for index in range(EVENTS)
    ]
    return Record(1, NOW, "acme", "api", events, [SenderContext("agent")], [Tally("shop", "origin", 1)])


async def append(log, *records):
    for start in range(0, len(records), 100):
        group = records[start : start + 100]
        await asyncio.gather(*(log.append(Entry("key", encode(each))) for each in group))


async def fill(log, count=4500):
    """Much more than the log may hold."""
    sent = [record() for _ in range(count)]
    assert sum(len(encode(each)) for each in sent) > 3 * LOG_MAX
    await append(log, *sent)
    return sent


async def everything(log):
    (shard,) = await log.shards()
    return await log.read(shard, -1, ALL, ALL)


async def test_the_newest_are_kept_and_every_position_stays(settings):
    log = await open_log(settings)
    sent = await fill(log)
    stored = await everything(log)
    assert [each.offset for each in stored] == list(range(len(sent)))
    kept = [index for index, each in enumerate(stored) if decode(each.data).events]
    assert 0 < len(kept) < len(sent) / 2
    assert kept[-1] == len(sent) - 1
    assert all(decode(stored[index].data) == sent[index] for index in kept)
    # What a worker may have begun with stays too: two batches of it.
    assert sum(len(encode(sent[index])) for index in kept if index < len(sent) / 4) >= 2 * (1 << 16)
    for index in set(range(len(sent))) - set(kept):
        shrunk = decode(stored[index].data)
        assert (shrunk.received_at, shrunk.workspace_id) == (NOW, "acme")
        assert received(shrunk) == {
            ("shop", "received", ""): 11, ("blog", "received", ""): 10, ("shop", "rejected", "origin"): 1,
            ("shop", "dropped", "overflow"): 10, ("blog", "dropped", "overflow"): 10,
        }  # fmt: skip
    await log.close()
    again = await open_log(settings)
    assert await everything(again) == stored
    await fill(again)
    assert [each.offset for each in await everything(again)] == list(range(2 * len(sent)))
    await again.close()


@pytest.mark.parametrize("segment", [1 << 16, 1 << 20])
async def test_what_the_worker_may_have_read_is_spared_wherever_segments_end(settings, segment):
    log = await open_log(settings.model_copy(update={"log_segment": segment}))
    sent = [record() for _ in range(4500)]
    await append(log, *sent[:600])
    (shard,) = await log.shards()
    borders = sorted(int(path.name[:16], 16) for path in settings.data.glob("log/*/*.db"))
    committed = borders[1] - 10  # nearly all of the oldest segment
    await log.commit("worker", shard, committed)
    await append(log, *sent[600:])
    behind = await log.read(shard, committed, ALL, ALL)
    whole = [bool(decode(each.data).events) for each in behind]
    assert not all(whole)
    # One batch closed but not committed, one on its way to the store, and twice as much read.
    assert sum(len(each.data) for each in behind[: whole.index(False)]) >= 4 * settings.batch_bytes
    await log.close()


async def test_the_books_say_what_was_dropped_and_the_rest_is_stored(settings, engine):
    await asyncio.to_thread(engine._handles.commands.command, "TRUNCATE TABLE events")
    state = open_state(settings.data / "state.db")
    writing, reading = await open_log(settings), await open_log(settings, shard="none")
    await append(writing, record())
    async with open_worker(reading, engine, state, settings) as worker:
        assert await worker.drain() == EVENTS
    sent = 1 + len(await fill(writing))
    async with open_worker(reading, engine, state, settings) as worker:
        stored = EVENTS + await worker.drain()
    lines = Counter()
    books = await Ledger(state).books("acme", START, END)
    for line in books.lines:
        lines[line.outcome, line.reason] += line.events
    assert books.imbalances == []
    assert lines["received", ""] == sent * (EVENTS + 1)
    assert lines["rejected", "origin"] == sent
    assert lines["stored", ""] == stored
    assert lines["dropped", "overflow"] == sent * EVENTS - stored > 0
    ((rows, ids),) = await engine.query("SELECT count(), uniqExact(shard, seq) FROM events")
    assert rows == ids == stored
    result = await Verifier(engine, reading, state).run(START, END)
    assert (result.findings, result.notes) == ([], [])
    await writing.close()
    await reading.close()
    await state.close()


async def test_what_is_stored_makes_room_first(settings):
    log = await open_log(settings)
    sent = await fill(log)
    (shard,) = await log.shards()
    before = {each.offset for each in await everything(log) if decode(each.data).events}
    await log.commit(WORKER, shard, len(sent) - 1)
    await append(log, *(record() for _ in range(200)))
    after = [each for each in await everything(log) if each.offset >= len(sent)]
    assert len(after) == 200
    assert all(decode(each.data).events for each in after)
    assert before
    await log.close()


async def test_a_log_of_nothing_but_counts_refuses(settings):
    """Even the counts take room: then there is nothing left to give up."""
    log = await open_log(settings.model_copy(update={"log_max": 1 << 20}))
    small = encode(Record(1, NOW, "acme", "api", [event()], [], []))

    async def append_for_ever():
        while True:
            await asyncio.gather(*(log.append(Entry("key", small)) for _ in range(500)))

    with pytest.raises(LogFull):
        await append_for_ever()
    await log.close()


async def test_a_crash_while_a_segment_is_written_anew_changes_nothing(settings):
    log = await open_log(settings)
    await fill(log)
    stored = await everything(log)
    await log.close()
    (directory,) = (path.parent for path in settings.data.rglob("lock"))
    (directory / "draft").write_bytes(b"half a segment")
    log = await open_log(settings)
    assert await everything(log) == stored
    assert not (directory / "draft").exists() or (directory / "draft").read_bytes()[:6] == b"SQLite"
    await append(log, record())
    await log.close()


async def test_by_default_nothing_is_dropped(settings):
    log = await open_log(settings.model_copy(update={"overflow": "refuse"}))
    with pytest.raises(LogFull):
        await fill(log)
    assert all(decode(each.data).events for each in await everything(log))
    await log.close()
