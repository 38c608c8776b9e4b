"""Clocks that jump: the log, the salts and the days that were seen, against real files."""

import asyncio

import pytest
import sqlalchemy as sa

from footfall import components
from footfall.errors import Retryable
from footfall.eventlog.port import WORKER, Entry
from footfall.settings import load
from footfall.state.days_seen import DaysSeen
from footfall.state.salts import Salts
from footfall.state.tables import open_state, salts

pytestmark = pytest.mark.anyio

DAY = 86400.0
NOON = 20_000 * DAY + DAY / 2


class Clock:
    def __init__(self):
        self.true, self.ahead = NOON, 0.0

    def wall(self):
        return self.true + self.ahead

    def elapsed(self):
        return self.true


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def database(tmp_path):
    database = open_state(tmp_path / "state.db")
    yield database
    await database.close()


async def pass_by(clock, days, hours):
    for _ in range(hours):
        clock.true += 3600
        await days.now()


async def test_what_one_process_saw_another_knows(clock, database):
    first = DaysSeen(database, clock.wall, clock.elapsed)
    assert await first.now() == 0
    await pass_by(clock, first, 48)
    assert await first.now() == clock.true
    assert await DaysSeen(database, clock.wall, clock.elapsed).now() == clock.true
    clock.ahead = 365 * DAY
    began = DaysSeen(database, clock.wall, clock.elapsed)
    assert await began.now() <= clock.true
    assert await first.now() <= clock.true
    await pass_by(clock, first, 13)  # over its midnight
    assert await first.now() <= clock.true
    clock.ahead = 0
    await pass_by(clock, first, 30)
    assert await began.now() == await first.now() == clock.true


async def test_starts_under_a_wrong_clock_that_runs_ahead_between_them_believe_nothing(clock, database):
    await pass_by(clock, DaysSeen(database, clock.wall, clock.elapsed, "one"), 48)
    clock.ahead = 365 * DAY
    for _ in range(5):  # in truth minutes apart, by the clock a day
        assert await DaysSeen(database, clock.wall, clock.elapsed, "one").now() <= clock.true
        clock.true += 120
        clock.ahead += 1.1 * DAY
    clock.ahead = 0
    days = DaysSeen(database, clock.wall, clock.elapsed, "one")
    await pass_by(clock, days, 30)
    assert await days.now() == clock.true


async def test_a_machine_that_is_started_every_morning_believes_its_days(clock, database):
    for day in range(12):
        clock.true += DAY * (3 if day % 5 == 0 else 1)  # weekends
        days = DaysSeen(database, clock.wall, lambda: clock.true - 10**9, f"morning {day}")
        await pass_by(clock, days, 8)
        clock.true -= 8 * 3600
    assert await days.now() > clock.true - 4 * DAY


async def test_on_a_full_disk_what_was_believed_before_still_is(clock, database, monkeypatch):
    days = DaysSeen(database, clock.wall, clock.elapsed)
    await pass_by(clock, days, 48)
    before = await days.now()

    async def full(_):
        raise Retryable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(database, "run", full)
        await pass_by(clock, days, 48)
        assert before - DAY < await days.now() <= before
    await pass_by(clock, days, 26)
    assert await days.now() == clock.true


async def test_salts_of_days_that_did_not_pass_stay_and_those_of_false_days_go(clock, database):
    days, kept = DaysSeen(database, clock.wall, clock.elapsed), Salts(database)

    async def refresh():
        await kept.refresh(clock.wall(), await days.now())

    async def stored():
        return {row.day: row.salt for row in await database.read(lambda c: c.execute(sa.select(salts)).all())}

    for _ in range(24 * 5):
        clock.true += 3600
        await refresh()
    today = int(clock.true // DAY)
    real = await stored()
    assert set(real) == {today - 2, today - 1, today, today + 1}  # destroyed on time
    for ahead in (100 * DAY, 365 * DAY, -30 * DAY):
        clock.ahead = ahead
        await refresh()
        clock.true += 60
        await refresh()
        clock.ahead = 0
        assert not kept.are_current(clock.true)
        await refresh()
        assert kept.are_current(clock.true)
        assert (await stored()).items() >= real.items()
    for _ in range(24 * 4):
        clock.true += 3600
        await refresh()
    today = int(clock.true // DAY)
    assert set(await stored()) == {today - 2, today - 1, today, today + 1}


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_that_is_a_year_ahead_does_not_delete_the_week_of_the_log(
    clock, tmp_path, monkeypatch, restarted
):
    """As the process runs it."""
    monkeypatch.setattr(components, "_RETAIN_EVERY", 0.001)
    monkeypatch.setattr("time.time", clock.wall)
    monkeypatch.setattr(DaysSeen.__init__, "__defaults__", (clock.wall, clock.elapsed, None), raising=True)
    settings = load(data=tmp_path, log_segment=1 << 16)

    async def rounds(log, count):
        real, done = type(log).retain, asyncio.Event()
        left = count

        async def retain(older_than):
            nonlocal left
            await real(log, older_than)
            left -= 1
            if not left:
                done.set()

        monkeypatch.setattr(log, "retain", retain, raising=False)
        await done.wait()

    async with components.with_eventlog(settings, "claim") as log:
        for _ in range(40):
            await log.append(Entry("key", b"x" * 8192))
        await log.commit(WORKER, log.shard, 39)
        assert [each.offset for each in await log.read(log.shard, -1, 100, 1 << 30)] == [*range(40)]
        clock.ahead = 365 * DAY
        if not restarted:
            await rounds(log, 3)
            assert len(await log.read(log.shard, -1, 100, 1 << 30)) == 40
    if restarted:
        async with components.with_eventlog(settings, "claim") as log:
            await rounds(log, 3)
    async with components.with_eventlog(load(data=tmp_path), "none") as log:
        [shard] = [each for each in await log.shards() if each]
        assert len(await log.read(shard, -1, 100, 1 << 30)) == 40
