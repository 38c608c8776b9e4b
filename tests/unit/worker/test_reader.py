"""Reading the log on, and cutting what was read into batches."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from footfall.eventlog import open_log
from footfall.eventlog.port import Entry, EventLog
from footfall.model.record import RawEvent, Record, SenderContext, encode
from footfall.settings import Settings
from footfall.worker import reader as reader_module
from footfall.worker.reader import BatchReader, RecordBatch, read_again

pytestmark = pytest.mark.anyio


def record(events: int, mark: str = "") -> bytes:
    event = RawEvent(event_id=b"i" * 16, event_type="click", occurred_at=1, page_url=mark)
    return encode(Record(1, 5, "acme", "api", [event] * events, [SenderContext()]))


async def append(log: EventLog, *records: bytes) -> None:
    for data in records:
        await log.append(Entry("key", data))


def rows(batch: RecordBatch) -> list[int]:
    return [len(placed.record.events) if placed.record else -1 for placed in batch.records]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, batch_rows=100, batch_age=60)


@pytest.fixture
async def log(settings: Settings):
    """A log in memory, which has one shard."""
    log = await open_log(settings.model_copy(update={"log": "memory"}))
    yield log
    await log.close()


async def test_a_batch_has_at_most_the_rows_of_the_settings_and_leaves_the_rest(log, settings):
    await append(log, *[record(30)] * 5)
    reader = BatchReader(log, {}, settings)
    assert await reader.read_on() == 150
    assert reader.full
    assert rows(reader.cut()) == [30, 30, 30]
    assert reader.waiting
    assert not reader.full
    assert rows(reader.cut()) == [30, 30]
    assert not reader.waiting


async def test_a_record_larger_than_a_batch_is_a_batch_of_its_own(log, settings):
    await append(log, record(10), record(250), record(10))
    reader = BatchReader(log, {}, settings)
    await reader.read_on()
    assert [rows(reader.cut()) for _ in range(3)] == [[10], [250], [10]]


async def test_a_batch_is_cut_by_bytes_too(log, settings):
    data = record(20, "x" * 2000)
    await append(log, *[data] * 4)
    reader = BatchReader(log, {}, settings.model_copy(update={"batch_rows": 10**6, "batch_bytes": 65536}))
    await reader.read_on()
    assert len(data) * 2 > 65536
    assert reader.full
    assert rows(reader.cut()) == [20]


async def test_what_is_not_full_waits_until_its_age(log, settings):
    await append(log, record(10))
    young, old = (
        BatchReader(log, {}, settings),
        BatchReader(log, {}, settings.model_copy(update={"batch_age": 1e-6})),
    )
    await young.read_on()
    await old.read_on()
    assert (young.full, young.ripe) == (False, False)
    assert (old.full, old.ripe) == (False, True)
    old.cut()
    assert not old.ripe


async def test_records_without_events_fill_batches_too(log, settings):
    await append(log, *[record(0)] * 100)
    reader = BatchReader(log, {}, settings)
    await reader.read_on()
    assert reader.full


async def test_nothing_more_is_read_while_a_batch_is_full(log, settings):
    reader = BatchReader(log, {}, settings)
    await append(log, record(100))
    await reader.read_on()
    await append(log, record(100))
    assert await reader.read_on() == 0
    assert rows(reader.cut()) == [100]
    assert await reader.read_on() == 100


async def test_a_record_that_is_none_stands_among_its_neighbours_with_the_reason(log, settings):
    await append(log, record(1), b"\xc1 no record", record(2), b"", record(3)[:-4], record(4))
    reader = BatchReader(log, {}, settings)
    await reader.read_on()
    batch = reader.cut()
    assert rows(batch) == [1, -1, 2, -1, -1, 4]
    assert [placed.reason for placed in batch.records] == [
        "",
        "undecodable",
        "",
        "undecodable",
        "undecodable",
        "",
    ]
    assert batch.records[1].data == b"\xc1 no record"
    (part,) = batch.ranges
    assert (part.first_offset, part.last_offset) == (0, 5)
    assert (part.first_seq, part.last_seq) == (0, 5 * 4096 + 4095)


async def test_reading_goes_on_behind_the_given_positions(log, settings):
    await append(log, record(1), record(2), record(3))
    reader = BatchReader(log, {log.shard: 1}, settings)
    await reader.read_on()
    assert rows(reader.cut()) == [3]


async def test_a_planned_batch_can_be_read_again(log, settings, monkeypatch):
    monkeypatch.setattr(reader_module, "_CHUNK_RECORDS", 2)
    await append(log, *[record(n) for n in range(1, 8)])
    reader = BatchReader(log, {log.shard: 0}, settings)
    for _ in range(3):
        await reader.read_on()
    batch = reader.cut()
    assert await read_again(log, batch.ranges) == batch
    assert rows(batch) == [2, 3, 4, 5, 6, 7]


class TestShards:
    """A sqlite log has a shard per writer."""

    @pytest.fixture
    async def logs(self, settings: Settings):
        logs = [await open_log(settings) for _ in range(2)]
        logs.append(await open_log(settings, shard="none"))
        yield logs
        for log in logs:
            await log.close()

    async def test_all_shards_are_read_also_those_born_later(self, logs: Sequence[EventLog], settings):
        one, two, reading = logs
        reader = BatchReader(reading, {}, settings)
        assert await reader.read_on() == 0
        await append(one, record(1))
        await reader.read_on()
        await append(two, record(2))
        await append(one, record(3))
        await reader.read_on()
        batch = reader.cut()
        assert sorted(rows(batch)) == [1, 2, 3]
        assert {part.shard for part in batch.ranges} == {one.shard, two.shard}
        for part in batch.ranges:
            mine = [placed.offset for placed in batch.records if placed.shard == part.shard]
            assert mine == sorted(mine)
            assert (part.first_offset, part.last_offset) == (mine[0], mine[-1])

    async def test_no_shard_waits_for_the_end_of_another(self, logs, settings, monkeypatch):
        monkeypatch.setattr(reader_module, "_CHUNK_RECORDS", 2)
        one, two, reading = logs
        await append(one, *[record(50)] * 12)
        await append(two, *[record(50)] * 12)
        reader = BatchReader(reading, {}, settings)
        seen: list[int] = []
        for _ in range(6):
            await reader.read_on()
            seen += {part.shard for part in reader.cut().ranges}
        assert min(seen.count(one.shard), seen.count(two.shard)) >= 2

    async def test_a_damaged_record_among_good_ones(self, logs, settings: Settings):
        one, _, reading = logs
        await append(one, record(1), record(2, "DAMAGE-ME"), record(3))
        await one.close()
        for path in settings.data.glob("log/*/*"):
            content = path.read_bytes()
            if b"DAMAGE-ME" in content:
                path.write_bytes(content.replace(b"DAMAGE-ME", b"DAMAGE-mE"))
        reader = BatchReader(reading, {}, settings)
        await reader.read_on()
        batch = reader.cut()
        assert rows(batch) == [1, -1, 3]
        assert [placed.reason for placed in batch.records] == ["", "damaged", ""]
        assert batch.records[1].data is None

    async def test_complete_through_is_what_is_closed_in_every_shard(self, logs, settings):
        one, two, reading = logs
        start = time.time()
        reader = BatchReader(reading, {}, settings)
        assert reader.complete_through == 0
        await reader.read_on()
        known = reader.complete_through
        assert start <= known <= time.time()

        await append(one, record(1))
        await append(two, record(1))
        for _ in range(2):
            await reader.read_on()
            assert reader.complete_through == known, "what was read since is not stored"
        batch = reader.cut()
        reader.done(batch)
        assert reader.complete_through == min(placed.appended_at for placed in batch.records)
        now = time.time()
        await reader.read_on()
        assert reader.complete_through >= now

        await append(two, record(1))
        await reader.read_on()
        late = reader.complete_through
        await reader.read_on()
        assert reader.complete_through == late, "one record is read and not stored"
