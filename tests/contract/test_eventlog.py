"""The promises of the EventLog port; every adapter runs this suite."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from footfall.errors import Invalid, LogFull, Misconfigured
from footfall.eventlog import BACKENDS, open_log
from footfall.eventlog.port import Entry, EventLog, StoredRecord
from footfall.settings import Settings, load

pytestmark = pytest.mark.anyio

ALL = 1 << 40


@pytest.fixture(params=sorted(BACKENDS))
def settings(request, tmp_path) -> Settings:
    # Small segments, so that every test crosses their borders.
    small = {"log_segment": 1 << 16, "log_max": 8 << 20}
    if request.param == "postgres":
        small["log_database"] = request.getfixturevalue("postgres").database()
    if request.param == "kafka":
        broker = request.getfixturevalue("kafka")
        small |= {"kafka_brokers": broker.brokers, "kafka_topic": broker.topic(), "kafka_partitions": 1}
    return load(data=tmp_path / "data", log=request.param, **small)


outliving = pytest.mark.parametrize("settings", sorted(BACKENDS.keys() - {"memory"}), indirect=True)
"""Of promises about another process, or the next one: the memory log makes none of them."""


own_shards = pytest.mark.parametrize("settings", ["postgres", "sqlite"], indirect=True)
"""Of promises about logs in which each writer has a shard of its own."""

limited = pytest.mark.parametrize("settings", sorted(BACKENDS.keys() - {"kafka"}), indirect=True)
"""Of promises about `log_max`. How large a topic may be, its brokers say."""


@asynccontextmanager
async def opened(settings, shard="claim") -> AsyncIterator[EventLog]:
    log = await open_log(settings, shard=shard)
    try:
        yield log
    finally:
        await log.close()


async def append(log: EventLog, *bodies: bytes) -> None:
    await asyncio.gather(*(log.append(Entry("key", body)) for body in bodies))


async def everything(log: EventLog) -> list[tuple[int, StoredRecord]]:
    return [(shard, stored) for shard in await log.shards() for stored in await log.read(shard, -1, ALL, ALL)]


async def only_shard(log: EventLog) -> int:
    (shard,) = await log.shards()
    return shard


def body(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(8, "big") * (size // 8)


async def test_records_come_back_in_order_with_their_bytes_and_time(settings):
    async with opened(settings) as log:
        before = time.time()
        for number in range(100):
            await append(log, body(number))
        stored = await log.read(await only_shard(log), -1, ALL, ALL)
    assert [record.data for record in stored] == [body(number) for number in range(100)]
    offsets = [record.offset for record in stored]
    assert offsets == sorted(set(offsets))
    assert offsets[0] >= 0
    assert all(before - 1 <= record.appended_at <= time.time() + 1 for record in stored)


async def test_a_shard_id_is_a_64_bit_number_but_not_zero(settings):
    async with opened(settings) as log:
        await append(log, b"x")
        assert 0 < await only_shard(log) < 1 << 64


async def test_concurrent_appends_are_each_stored_once(settings):
    bodies = [body(number) for number in range(2000)]
    async with opened(settings) as log:
        await append(log, *bodies)
        stored = await everything(log)
    assert sorted(record.data for _, record in stored) == bodies


@pytest.mark.parametrize("size", [0, 1, 4095, 16_000, 70_000, 3 << 20])
async def test_any_bytes_of_any_size_come_back(settings, size):
    data = os.urandom(size)
    async with opened(settings) as log:
        await append(log, b"before", data, b"after")
        assert [record.data for _, record in await everything(log)] == [b"before", data, b"after"]


async def test_reading_goes_on_after_an_offset_and_stops_at_a_limit(settings):
    async with opened(settings) as log:
        await append(log, *(body(number) for number in range(500)))
        shard = await only_shard(log)
        whole = await log.read(shard, -1, ALL, ALL)
        for limit in (1, 7, 499):
            after, pieces = -1, []
            while piece := await log.read(shard, after, limit, ALL):
                assert len(piece) <= limit
                pieces += piece
                after = piece[-1].offset
            assert pieces == list(whole)
        assert list(await log.read(shard, whole[250].offset, 3, ALL)) == list(whole[251:254])


async def test_max_bytes_bounds_an_answer_but_one_record_always_comes(settings):
    async with opened(settings) as log:
        await append(log, *(body(number) for number in range(100)))
        shard = await only_shard(log)
        assert len(await log.read(shard, -1, ALL, 1)) == 1
        assert 10 <= len(await log.read(shard, -1, ALL, 10_000)) <= 11


async def test_nothing_new_and_unknown_shards_read_as_empty(settings):
    async with opened(settings) as log:
        await append(log, b"x")
        shard = await only_shard(log)
        (stored,) = await log.read(shard, -1, ALL, ALL)
        assert list(await log.read(shard, stored.offset, ALL, ALL)) == []
        assert list(await log.read(shard, stored.offset + 1_000_000, ALL, ALL)) == []
        assert list(await log.read(shard ^ 1, -1, ALL, ALL)) == []


async def test_a_reader_sees_what_is_appended_meanwhile(settings):
    async with opened(settings) as log:
        await append(log, b"first")
        shard = await only_shard(log)
        after = -1
        for number in range(100):
            await append(log, body(number))
            while piece := await log.read(shard, after, ALL, ALL):
                after = piece[-1].offset
            assert [record.data for record in await log.read(shard, after - 1, ALL, ALL)] == [body(number)]


async def test_cancelling_the_wait_does_not_cancel_the_append(settings):
    async with opened(settings) as log:
        waits = [asyncio.create_task(log.append(Entry("key", body(number)))) for number in range(50)]
        await asyncio.sleep(0)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await append(log, b"later")
        stored = [record.data for _, record in await everything(log)]
    assert stored == [*(body(number) for number in range(50)), b"later"]


async def test_what_is_begun_with_is_as_it_was_read_and_may_be_begun_with_again(settings):
    async with opened(settings) as log:
        await append(log, *(body(number) for number in range(200)))
        shard = await only_shard(log)
        before = await log.read(shard, -1, ALL, ALL)
        first, last = before[0].offset, before[-1].offset
        assert await log.begin(shard, first, first + 9)
        assert await log.begin(shard, first + 10, last)
        assert await log.begin(shard, first, first + 9)
        assert await log.read(shard, -1, ALL, ALL) == before


@outliving
async def test_close_makes_durable_what_was_accepted(settings):
    log = await open_log(settings)
    waits = [asyncio.create_task(log.append(Entry("key", body(number)))) for number in range(1000)]
    await asyncio.sleep(0)
    await log.close()
    await asyncio.gather(*waits)
    async with opened(settings, "none") as log:
        assert len(await everything(log)) == 1000


async def test_a_closed_log_refuses_and_may_be_closed_again(settings):
    log = await open_log(settings)
    await append(log, b"x")
    await log.close()
    await log.close()
    with pytest.raises(LogFull):
        await append(log, b"y")


async def test_a_log_opened_to_read_does_not_write(settings):
    async with opened(settings, "none") as log:
        assert list(await log.shards()) == []
        with pytest.raises(Misconfigured):
            await append(log, b"x")


@outliving
async def test_positions_stay_and_go_on_when_the_log_is_opened_again(settings):
    known: list[tuple[int, StoredRecord]] = []
    for start in range(5):
        async with opened(settings) as log:
            assert await everything(log) == known
            await append(log, *(body(start * 100 + number) for number in range(100)))
            known = await everything(log)
    assert len({shard for shard, _ in known}) == 1
    assert [record.data for _, record in known] == [body(number) for number in range(500)]
    offsets = [record.offset for _, record in known]
    assert offsets == sorted(set(offsets))


@own_shards
async def test_two_writers_have_two_shards_and_one_reader_sees_both(settings):
    async with opened(settings) as one, opened(settings) as two, opened(settings, "none") as reader:
        await append(one, b"one")
        await append(two, b"two")
        stored = await everything(reader)
        assert len({shard for shard, _ in stored}) == 2
        assert {record.data for _, record in stored} == {b"one", b"two"}
    async with opened(settings) as again:
        await append(again, b"three")
        assert len(await again.shards()) == 2


async def test_backlog_counts_what_a_consumer_has_not_committed(settings):
    async with opened(settings) as log:
        assert await log.backlog("worker") == (0, 0.0, 0.0)
        assert (await log.backlog("worker")).oldest_age == 0
        await append(log, *(body(number) for number in range(200)))
        shard = await only_shard(log)
        stored = await log.read(shard, -1, ALL, ALL)
        times = stored[0].appended_at, stored[-1].appended_at
        assert await log.backlog("worker") == (200, *times)
        assert (await log.backlog("worker")).records == 200
        assert 0 <= (await log.backlog("worker")).oldest_age < 60
        await log.commit("worker", shard, stored[149].offset)
        await log.commit("archive", shard, stored[9].offset)
        assert (await log.backlog("worker")).records == 50
        assert (await log.backlog("archive")).records == 190
        await log.commit("worker", shard, stored[0].offset)
        assert (await log.backlog("worker")).records == 50, "a commit is never taken back"
        await log.commit("worker", shard, stored[-1].offset)
        assert await log.backlog("worker") == (0, 0.0, 0.0)


@outliving
async def test_backlog_outlives_a_restart(settings):
    async with opened(settings) as log:
        await append(log, *(body(number) for number in range(200)))
        shard = await only_shard(log)
        await log.commit("worker", shard, (await log.read(shard, -1, ALL, ALL))[49].offset)
    async with opened(settings) as log:
        await append(log, b"x")
        assert (await log.backlog("worker")).records == 151


async def fill(log: EventLog, count: int = 600) -> tuple[int, list[StoredRecord]]:
    for start in range(0, count, 20):
        await append(log, *(body(start + number) for number in range(20)))
    shard = await only_shard(log)
    return shard, list(await log.read(shard, -1, ALL, ALL))


async def test_retention_deletes_only_what_every_consumer_committed(settings):
    async with opened(settings) as log:
        shard, stored = await fill(log)
        future = time.time() + 60
        assert await log.retain(future) == 0, "no consumer is known: somebody may still come"
        await log.commit("worker", shard, stored[-1].offset)
        await log.commit("archive", shard, stored[300].offset)
        assert await log.retain(stored[0].appended_at - 60) == 0, "nothing is that old"
        deleted = await log.retain(future)
        assert 200 <= deleted <= 301
        assert list(await log.read(shard, -1, ALL, ALL)) == stored[deleted:]
        assert (await log.backlog("archive")).records == 299
        await log.drop_consumer("archive")
        deleted += await log.retain(future)
        assert deleted >= 500
        assert list(await log.read(shard, -1, ALL, ALL)) == stored[deleted:]
        await log.drop_consumer("worker")
        assert await log.retain(future) == 0


@own_shards
async def test_a_shard_without_a_writer_is_cleaned_by_another_log(settings):
    future = time.time() + 60
    async with opened(settings) as kept:
        gone = await open_log(settings)
        await append(kept, b"kept")
        (mine,) = [shard for shard, _ in await everything(kept)]
        await append(gone, b"gone")
        (other,) = set(await kept.shards()) - {mine}
        for shard in (mine, other):
            await kept.commit("worker", shard, 1000)
        assert await kept.retain(future) == 0, "both are being written"
        await gone.close()
        await kept.commit("archive", mine, 1000)
        assert await kept.retain(future) == 0, "the archive has not committed the other shard"
        await kept.commit("archive", other, 1000)
        assert await kept.retain(future) == 1
        assert list(await kept.shards()) == [mine]
        assert [stored.data for _, stored in await everything(kept)] == [b"kept"]


async def test_positions_are_not_used_again_after_everything_was_deleted(settings):
    async with opened(settings) as log:
        shard, stored = await fill(log)
        await log.commit("worker", shard, stored[-1].offset)
        await log.retain(time.time() + 60)
        await append(log, b"new")
        assert (await log.read(shard, stored[-1].offset, ALL, ALL))[0].data == b"new"


@outliving
async def test_a_name_that_is_no_name_is_refused(settings):
    async with opened(settings) as log:
        with pytest.raises(Invalid, match="consumer"):
            await log.commit("../escape", 1, 1)


async def append_until_refused(log: EventLog) -> int:
    for number in range(10_000):
        try:
            await append(log, body(number))
        except LogFull:
            return number
    return 10_000


async def append_once_there_is_room(log: EventLog) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return await append(log, b"again")
        except LogFull:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@limited
async def test_a_full_log_refuses_and_keeps_nothing_of_what_it_refused(settings):
    small = settings.model_copy(update={"log_max": 1 << 20})
    async with opened(small) as log:
        accepted = await append_until_refused(log)
        assert 100 < accepted < 2000
        shard = await only_shard(log)
        stored = await log.read(shard, -1, ALL, ALL)
        assert [record.data for record in stored] == [body(number) for number in range(accepted)]
        # What the only consumer has committed makes room, however young it is.
        await log.commit("worker", shard, stored[-1].offset)
        await append_once_there_is_room(log)
        assert (await log.read(shard, stored[-1].offset, ALL, ALL))[-1].data == b"again"


@own_shards
async def test_what_is_committed_makes_room_in_the_shard_of_a_door_that_is_gone(settings):
    """Whichever of the two shards is written from now on: the other one has more than is allowed."""
    async with opened(settings) as log, opened(settings) as other:
        for number in range(1000):
            await append(log, body(number))
            await append(other, body(number))
    small = settings.model_copy(update={"log_max": 1 << 20})
    async with opened(small) as log:
        assert await append_until_refused(log) < 10_000
        for shard in await log.shards():
            records = await log.read(shard, -1, ALL, ALL)
            await log.commit("worker", shard, records[-1].offset)
        await append_once_there_is_room(log)


@outliving
async def test_a_queue_that_is_full_refuses_at_once(settings):
    async with opened(settings) as log:
        waits = [asyncio.create_task(log.append(Entry("key", bytes(1 << 20)))) for _ in range(40)]
        results = await asyncio.gather(*waits, return_exceptions=True)
        refused = [result for result in results if result is not None]
        assert refused
        assert all(isinstance(result, LogFull) for result in refused)
        assert len(await everything(log)) == 40 - len(refused)
