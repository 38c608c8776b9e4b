"""Damaged files of the SQLite log: what can be read is delivered, the rest is named, nothing hangs."""

import asyncio
import random
import shutil
import time
from pathlib import Path

import pytest

from footfall.eventlog import open_log
from footfall.eventlog.port import Entry, EventLog, StoredRecord
from footfall.settings import Settings, load

pytestmark = pytest.mark.anyio

ALL = 1 << 40
GROUP = 20  # records per commit at most, so one damaged header costs at most these


def at(path: Path) -> Settings:
    return load(data=path, log_segment=1 << 17)


def body(number: int) -> bytes:
    return random.Random(number).randbytes(300 + number * 37 % 2500)


async def append(log: EventLog, start: int, count: int) -> None:
    for first in range(start, start + count, GROUP):
        await asyncio.gather(*(log.append(Entry("", body(number))) for number in range(first, first + GROUP)))


@pytest.fixture
async def closed(tmp_path) -> Path:
    """The data directory of a log that was closed: three sealed segments, 200 records."""
    log = await open_log(at(tmp_path / "closed"))
    await append(log, 0, 200)
    await log.close()
    return tmp_path / "closed"


@pytest.fixture
async def killed(tmp_path) -> Path:
    """The files as a killed writer leaves them: the last 60 records are in a write-ahead log only."""
    log = await open_log(at(tmp_path / "living"))
    await append(log, 0, 60)
    shutil.copytree(tmp_path / "living", tmp_path / "killed")
    await log.close()
    return tmp_path / "killed"


def files(data: Path, pattern: str) -> list[Path]:
    return sorted(path for path in data.glob(f"log/*/{pattern}") if path.stat().st_size)


def flip(path: Path, position: int, bit: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1 << bit
    path.write_bytes(damaged)


async def delivered(data: Path, mode="none") -> list[StoredRecord]:
    """All records, read in pieces as a worker does; the reader must come to an end."""
    log = await open_log(at(data), shard=mode)
    try:
        (shard,) = await log.shards()
        stored: list[StoredRecord] = []
        deadline = time.monotonic() + 30
        while piece := await log.read(shard, stored[-1].offset if stored else -1, 50, ALL):
            stored += piece
            assert time.monotonic() < deadline
        return stored
    finally:
        await log.close()


def check(stored: list[StoredRecord], count: int, most_damaged: int) -> None:
    """Every offset once and in order, intact or named as damaged."""
    assert [record.offset for record in stored] == list(range(count))
    intact = [record for record in stored if record.data is not None]
    assert all(record.data == body(record.offset) for record in intact)
    assert len(intact) >= count - most_damaged


def positions(path: Path, rounds: int) -> list[int]:
    """Places that hurt most (headers of the database and of its first pages), then random ones."""
    chance = random.Random(rounds)
    headers = [*range(16, 32), 52, 56, 100, 103, 108, 16384, 16387, 16389, 16392, 16393, 2 * 16384]
    size = path.stat().st_size
    return [place for place in headers if place < size] + [chance.randrange(size) for _ in range(rounds)]


async def test_a_flipped_byte_costs_at_most_its_commit(closed, tmp_path):
    for index, segment in enumerate(files(closed, "*.db")):
        for place in positions(segment, 12):
            copy = tmp_path / "copy"
            shutil.copytree(closed, copy)
            flip(files(copy, "*.db")[index], place, place % 8)
            check(await delivered(copy), 200, GROUP)
            shutil.rmtree(copy)


async def test_a_segment_without_a_readable_page_does_not_hide_the_others(closed):
    segments = files(closed, "*.db")
    first = int(segments[1].name[:16], 16)
    following = int(segments[2].name[:16], 16)
    segments[1].write_bytes(bytes(segments[1].stat().st_size))
    stored = await delivered(closed)
    check(stored, 200, following - first)
    assert {record.offset for record in stored if record.data is None} == set(range(first, following))


async def test_records_that_a_damaged_page_hides_without_an_error_are_found(tmp_path):
    """The number of rows in the last leaf page of the first segment is one too low."""
    for start in (0, 60):
        log = await open_log(at(tmp_path))
        for number in range(start, start + 60):
            await log.append(Entry("", body(number)))
        await log.close()
    segment = files(tmp_path, "*.db")[0]
    data = bytearray(segment.read_bytes())
    leaf = max(start for start in range(16384, len(data), 16384) if data[start] == 0x0D)
    assert data[leaf + 4] > 1
    data[leaf + 4] -= 1
    segment.write_bytes(data)
    check(await delivered(tmp_path), 120, 0)


async def test_a_flipped_byte_in_a_killed_writers_log_costs_at_most_its_commit(killed, tmp_path):
    (wal,) = files(killed, "*-wal")
    places = [
        *range(32),
        *range(32, 56),
        *(random.Random(1).randrange(wal.stat().st_size) for _ in range(20)),
    ]
    for place in places:
        copy = tmp_path / "copy"
        shutil.copytree(killed, copy)
        flip(files(copy, "*-wal")[0], place, place % 8)
        # The next owner of the shard restores what SQLite's recovery gives up.
        log = await open_log(at(copy))
        await append(log, 60, GROUP)
        await log.close()
        stored = await delivered(copy)
        check([record for record in stored if record.offset < 60], 60, GROUP)
        new = [record.data for record in stored if record.offset >= 60]
        assert new == [body(number) for number in range(60, 60 + GROUP)]
        shutil.rmtree(copy)


async def test_a_torn_tail_costs_only_what_was_torn_off(killed, tmp_path):
    (wal,) = files(killed, "*-wal")
    for lost in (1, 100, 16_408, 16_409, 60_000, wal.stat().st_size - 40, wal.stat().st_size):
        copy = tmp_path / "copy"
        shutil.copytree(killed, copy)
        torn = files(copy, "*-wal")[0]
        with torn.open("r+b") as file:
            file.truncate(wal.stat().st_size - lost)
        stored = await delivered(copy) if lost < 60_000 else await delivered(copy, "claim")
        assert [record.data for record in stored] == [body(number) for number in range(len(stored))]
        if lost <= 16_408:
            assert len(stored) == 60 - GROUP, "the commits before the torn one are there"
        shutil.rmtree(copy)


@pytest.mark.parametrize("kept", [0, 0.5])
async def test_positions_a_consumer_may_have_read_are_not_given_to_other_records(killed, kept):
    (wal,) = files(killed, "*-wal")
    with wal.open("r+b") as file:
        file.truncate(int(wal.stat().st_size * kept))
    log = await open_log(at(killed))
    await append(log, 100, GROUP)
    (shard,) = await log.shards()
    stored = await log.read(shard, 59, ALL, ALL)
    await log.close()
    assert [record.data for record in stored] == [body(number) for number in range(100, 120)]


async def test_a_damaged_log_can_be_written_and_retained(closed):
    for segment in files(closed, "*.db"):
        flip(segment, 18, 0)
        flip(segment, 16384, 3)
    log = await open_log(at(closed))
    await append(log, 200, GROUP)
    (shard,) = await log.shards()
    stored = await log.read(shard, -1, ALL, ALL)
    assert [record.data for record in stored] == [body(number) for number in range(200 + GROUP)]
    assert (await log.backlog("worker")).records == 200 + GROUP
    await log.commit("worker", shard, stored[-1].offset)
    assert await log.retain(time.time() + 60) == 200
    assert [record.data for record in await log.read(shard, -1, ALL, ALL)] == [
        body(number) for number in range(200, 200 + GROUP)
    ]
    await log.close()


async def test_a_flipped_byte_in_a_position_releases_nothing(closed):
    log = await open_log(at(closed), shard="none")
    (shard,) = await log.shards()
    await log.commit("worker", shard, 10)
    (position,) = closed.glob("log/consumers/worker/*")
    for place in range(position.stat().st_size):
        for bit in range(7):
            whole = position.read_bytes()
            flip(position, place, bit)
            assert (await log.backlog("worker")).records >= 200 - 11
            position.write_bytes(whole)
    position.write_text("10")  # as versions without a checksum wrote it
    assert (await log.backlog("worker")).records == 200 - 11
    await log.close()
