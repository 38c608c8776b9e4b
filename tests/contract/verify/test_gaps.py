"""`verify` over a log with a gap of offsets (a door was killed) and files with the times of a copy."""

import os

import pytest

from footfall.eventlog import open_log
from footfall.eventlog.sqlite.files import GAP
from footfall.metrics import LOG_DAMAGED
from footfall.settings import Settings
from footfall.state.ledger import HOUR
from footfall.verify import log_records
from footfall.verify.verifier import Verifier
from tests.contract.verified import END, NOW, event

pytestmark = pytest.mark.anyio

THEN = NOW - 48 * HOUR


async def killed(world, tmp_path):
    """The door was killed, and another one goes on with its shard behind a gap."""
    shard = world.shard
    await world.log.close()
    os.truncate(tmp_path / "log" / f"{shard:016x}" / "lock", 0)
    world.log = await open_log(Settings(data=tmp_path))
    assert world.shard == shard
    world.verifier = Verifier(world.store, world.log, world.database)


@pytest.fixture
async def gap(world, tmp_path):
    """Three records before a gap, two behind it two days ago, of which one event is lost as a duplicate."""
    for _ in range(3):
        await world.append(event(), at=THEN - 2 * HOUR)
    await killed(world, tmp_path)
    for _ in range(2):
        last = await world.append(event(client_id=True), event(), at=THEN)
    assert last > GAP
    await world.append(event())
    await world.take(duplicates=[(last, 0)])
    yield world
    await world.log.close()


@pytest.mark.parametrize("end", [THEN // HOUR * HOUR + HOUR, END])
async def test_nothing_is_read_within_a_gap_and_what_is_behind_it_is_compared(gap, end):
    before = LOG_DAMAGED._value.get()
    start = THEN // HOUR * HOUR
    assert await gap.found(start=start, end=end) == [("error", "not_a_duplicate", "shop", 0, 1)]
    assert LOG_DAMAGED._value.get() == before


@pytest.mark.parametrize("after", [3, GAP // 2, GAP - 10, GAP])
async def test_a_gap_is_no_damage_wherever_one_reads_from(gap, after):
    (first,) = await gap.log.read(gap.shard, after, 1, 1)
    assert first.offset > GAP
    assert first.data is not None


async def test_a_segment_that_cannot_be_read_does_not_end_the_reading(world, tmp_path, monkeypatch):
    """It bears the time of its file, which is that of a copy."""
    monkeypatch.setattr(log_records, "_CHUNK_RECORDS", 1)
    await world.append(event(), at=THEN)
    await world.log.close()
    (segment,) = (tmp_path / "log").glob("*/*.db")
    size = segment.stat().st_size
    world.log = await open_log(Settings(data=tmp_path))
    world.verifier = Verifier(world.store, world.log, world.database)
    last = await world.append(event(client_id=True), event(), at=THEN)
    await world.take(duplicates=[(last, 0)])
    with segment.open("r+b") as file:
        file.write(bytes(size))
    found = await world.found(start=THEN // HOUR * HOUR, end=THEN // HOUR * HOUR + HOUR)
    assert ("error", "not_a_duplicate", "shop", 0, 1) in found
    await world.log.close()


@pytest.mark.parametrize("ahead", [0, 366 * 24 * 3_600_000, 2 * 3_600_000])
async def test_a_clock_that_was_ahead_for_a_moment_hides_nothing_behind_it(world, ahead):
    await world.append(event())
    await world.append(event(), at=NOW + ahead)
    lost = await world.append(event(client_id=True), event(client_id=True))
    await world.take(duplicates=[(lost, 1)])
    assert await world.found() == [("error", "not_a_duplicate", "shop", 0, 1)]
