"""What was acknowledged and is gone from the log before it was stored: lost in the ledger, never nothing."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from footfall.errors import Retryable
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER
from footfall.eventlog.sqlite.ends import gone
from footfall.eventlog.sqlite.files import list_segments, list_shards, log_path, shard_directory
from footfall.eventlog.sqlite.reader import SegmentReader
from footfall.eventlog.sqlite.retention import SegmentRetention
from footfall.metrics import LOG_LOST
from footfall.model.record import Record as LogRecord
from footfall.model.record import Tally, count_events, encode
from footfall.runtime.consumer_offsets import Consumers
from footfall.settings import Settings
from footfall.worker.gone import book_gone
from tests.contract.installation import NOW, Crash, drain, event, new_world, record
from tests.e2e.serving import ROOT, environment

pytestmark = pytest.mark.anyio

KILLED = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.settings import Settings
from footfall.worker.gone import book_gone
from tests.contract.installation import event, record

async def main():
    log = await open_log(Settings(data=Path(sys.argv[1]), log_segment=int(sys.argv[4])))
    entry = lambda: Entry("key", record([event() for _ in range(5)]))
    if sys.argv[5:]:
        await log.append(entry())
        await asyncio.gather(*(log.append(entry()) for _ in range(int(sys.argv[3]))))
    else:
        for _ in range(int(sys.argv[3])):
            await log.append(entry())
    os._exit(9)

asyncio.run(main())
"""
EVENTS = 5 * 20


@pytest.fixture
def log(tmp_path):
    """The directory of a log with 20 acknowledged records of five events, whose writer was killed."""
    write(tmp_path, 20)
    return tmp_path / "log"


def write(data, records, log_segment=64 << 20, *how):
    arguments = [str(data), str(ROOT), str(records), str(log_segment), *how]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment(), check=False)
    assert done.returncode == 9


def last_segment(log):
    (shard,) = list_shards(log)
    return list_segments(shard_directory(log, shard))[-1]


def emptied(log):
    os.truncate(log_path(last_segment(log).path), 0)


def cut(log):
    path = log_path(last_segment(log).path)
    os.truncate(path, path.stat().st_size // 2)


def no_journal(log):
    log_path(last_segment(log).path).unlink()


def no_segment(log):
    path = last_segment(log).path
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def no_shard(log):
    (shard,) = list_shards(log)
    shutil.rmtree(shard_directory(log, shard))


def no_log(log):
    shutil.rmtree(log)


@pytest.mark.parametrize("harm", [emptied, cut, no_journal, no_segment, no_shard, no_log])
async def test_what_is_gone_is_lost_in_the_ledger(tmp_path, store, log, harm):
    LOG_LOST.set(0)
    harm(log)
    async with new_world("sqlite", tmp_path, store) as world:
        await world.append(7)  # the door is faster than the worker
        stored = await drain(world)
        found = await world.outcomes()
        lost = found["lost"]
        assert lost == EVENTS + 7 - stored
        assert lost == EVENTS if harm is not cut else 0 < lost < EVENTS
        assert found["received"] == EVENTS + 7
        assert LOG_LOST._value.get() == lost
        await drain(world)  # and once only
        assert await world.outcomes() == found


async def test_a_restart_within_a_day_does_not_end_the_alert(tmp_path, store, log, monkeypatch):
    no_segment(log)
    now = time.time()
    async with new_world("sqlite", tmp_path, store) as world:
        await drain(world)
    for later, events in ((0, EVENTS), (86_000, EVENTS), (86_500, 0)):
        LOG_LOST.set(0)  # another process
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        async with new_world("sqlite", tmp_path, store) as world:
            await book_gone(world.reading, world.batches, await world.batches.positions())
            assert LOG_LOST._value.get() == events


@contextmanager
def new_reader(log):
    reader = SegmentReader(log)
    yield reader
    reader.close()


def removed(segment):
    for each in segment.path.parent.glob(f"{segment.path.name}*"):
        each.unlink()


async def test_a_loss_below_one_that_was_booked_is_booked_too(tmp_path, store):
    write(tmp_path, 600, log_segment=64 << 10)
    log = tmp_path / "log"
    (shard,) = list_shards(log)
    segments = list_segments(shard_directory(log, shard))
    assert len(segments) > 3
    removed(segments[-1])
    async with new_world("sqlite", tmp_path, store) as world:
        await book_gone(world.reading, world.batches, await world.batches.positions())
        first = await world.outcomes()
        assert first["lost"] == first["received"]
        removed(segments[0])
        stored = await drain(world)
        found = await world.outcomes()
        assert found == {"received": 5 * 600, "stored": stored, "lost": 5 * 600 - stored}
        assert found["lost"] > first["lost"]


@pytest.mark.parametrize("ring", [True, False])
async def test_a_segment_gone_from_the_middle_is_lost_and_no_dead_letter(tmp_path, store, ring):
    """Without what `log-ends` knows a record counts once, since nobody knows how many events it had."""
    write(tmp_path, 600, log_segment=64 << 10)
    log = tmp_path / "log"
    (shard,) = list_shards(log)
    segments = list_segments(shard_directory(log, shard))
    assert len(segments) > 3
    records = segments[2].first - segments[1].first
    removed(segments[1])
    if not ring:
        (log.parent / "log-ends" / f"{shard:016x}").unlink()
    async with new_world("sqlite", tmp_path, store) as world:
        await drain(world)
        lost = records * (5 if ring else 1)
        stored = 5 * (600 - records)
        found = await world.outcomes()
        assert found == {"received": stored + lost, "stored": stored, "lost": lost}
        await drain(world)  # and once only
        assert await world.outcomes() == found


@pytest.mark.parametrize("position", [0, -60, -200])
async def test_a_last_commit_that_was_damaged_before_another_segment_is_dead_letters(
    tmp_path, store, position
):
    write(tmp_path, 600, log_segment=64 << 10)
    log = tmp_path / "log"
    (shard,) = list_shards(log)
    segments = list_segments(shard_directory(log, shard))
    with new_reader(log) as reader:
        last, _ = reader.end(shard, segments[0], segments[1])
    assert last == segments[1].first - 1
    content = bytearray(segments[0].path.read_bytes())
    at = content.rindex(segments[0].magic) if position == 0 else content.rindex(segments[0].magic) - position
    content[at] ^= 0xFF
    segments[0].path.write_bytes(content)
    with new_reader(log) as reader:
        records = reader.read(shard, -1, 10_000, 1 << 30)
        assert gone(log, reader, {}) == []
    assert [record.offset for record in records] == list(range(len(records)))
    assert sum(record.data is None for record in records) == 1


async def test_a_loss_that_begins_within_a_commit_is_of_what_was_not_stored(tmp_path, store):
    """One commit of 20 records, of which the worker had stored some."""
    write(tmp_path, 20, 64 << 20, "at once")
    async with new_world("sqlite", tmp_path, store) as world:
        world.hooks["before batches.plan"] = crash_at(3)
        with pytest.raises(Crash):
            await drain(world, batch_rows=10)
        world.hooks.clear()
        stored = (await world.outcomes())["stored"]
        assert 0 < stored < EVENTS
        no_log(tmp_path / "log")
        await drain(world)
        assert await world.outcomes() == {
            "received": EVENTS + 5,
            "stored": stored,
            "lost": EVENTS + 5 - stored,
        }


def crash_at(number):
    """Crash the `number`th time."""
    calls = itertools.count(1)

    async def cut(*_):
        if next(calls) == number:
            raise Crash

    return cut


async def test_what_is_stored_and_deleted_while_a_gap_is_looked_at_is_not_lost(tmp_path, store, log):
    async with new_world("sqlite", tmp_path, store) as world:
        await world.append(5, 5)  # behind the gap that the kill left
        calls = itertools.count()

        async def gone(*_):
            match next(calls):
                case 1:
                    raise Retryable("a segment is held")
                case 2:
                    for writer in world.writers:
                        await writer.retain(time.time() + 60)

        world.hooks["before log.gone"] = gone
        assert await drain(world, batch_rows=5, batch_bytes=1) == EVENTS + 10
        assert next(calls) > 2
        assert await world.outcomes() == {"received": EVENTS + 10, "stored": EVENTS + 10}


async def test_what_is_only_damaged_is_a_dead_letter_and_not_lost(tmp_path, store, log):
    path = log_path(last_segment(log).path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    async with new_world("sqlite", tmp_path, store) as world:
        await drain(world)
        assert "lost" not in await world.outcomes()


async def test_nothing_is_lost_where_all_of_it_is_there(tmp_path, store, log):
    async with new_world("sqlite", tmp_path, store) as world:
        await world.append(7)
        assert await drain(world) == EVENTS + 7
        assert await world.outcomes() == {"received": EVENTS + 7, "stored": EVENTS + 7}


async def test_what_was_stored_before_it_was_gone_is_not_lost(tmp_path, store, log):
    async with new_world("sqlite", tmp_path, store) as world:
        assert await drain(world) == EVENTS
        no_log(log)
        await drain(world)
        assert await world.outcomes() == {"received": EVENTS, "stored": EVENTS}


async def test_a_position_is_never_used_twice_after_a_loss(tmp_path, store, log):
    before = {int(path.name, 16) for path in (tmp_path / "log-ends").iterdir()}
    emptied(log)
    async with new_world("sqlite", tmp_path, store) as world:
        await world.append(1)
        (shard,) = before & set(await world.reading.shards())
        (first,) = await world.reading.read(shard, -1, 10, 1 << 20)
        assert first.offset >= 20


@pytest.mark.parametrize("count", [0, 1, 15, 16, 400])
@pytest.mark.parametrize("workspace", ["", "acme", "w" * 40])
def test_events_of_a_record_are_counted_without_reading_it(count, workspace):
    tallies = [Tally("site", "origin", 3)]
    for at in (0, 5, 200, 70_000, NOW):
        data = encode(LogRecord(1, at, workspace, "import:combined", [event()] * count, [], tallies))
        assert count_events(data) == count
    assert count_events(record([event()] * count, workspace=workspace)) == count


def test_what_is_no_record_counts_once():
    for data in (b"", b"x", b"\x98\x01", b"{}", b"\xff" * 50):
        assert count_events(data) == 1


@pytest.mark.parametrize("stored", [True, False])
async def test_the_witness_of_a_shard_goes_with_it_once_all_of_it_was_stored(tmp_path, log, stored):
    (shard,) = list_shards(log)
    consumers = Consumers(log)
    consumers.commit(WORKER, shard, 19 if stored else 4)
    if not stored:
        no_segment(log)
    retention = SegmentRetention(log, consumers, SegmentReader(log))
    retention.retain(time.time() + 1, None)
    retention.close()
    assert list_shards(log) == []
    assert (tmp_path / "log-ends" / f"{shard:016x}").exists() != stored
    reading = await open_log(Settings(data=tmp_path), shard="none")
    gone = await reading.gone({shard: 19 if stored else 4})
    await reading.close()
    assert sum(each.events for each in gone) == (0 if stored else EVENTS - 5 * 5)
