"""Work once a day, and ranges as people write them."""

from datetime import UTC, date, datetime

import pytest
from prometheus_client import REGISTRY

from footfall.errors import Invalid
from footfall.runtime.daily import Daily
from footfall.state.ranges import resolve

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self, text):
        self.set(text)

    def set(self, text):
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    def __call__(self):
        return self.now


async def test_each_day_is_done_once_and_missed_ones_are_made_up_for(tmp_path):
    clock, days = Clock("2026-11-20T12:00"), []

    async def work(day):
        days.append(day)

    def daily():
        return Daily("test", tmp_path / "done.json", work, clock)

    job = daily()
    for _ in range(3):
        await job.tick()
    assert days == [date(2026, 11, 19)]
    await daily().tick()  # another process
    clock.set("2026-11-21T00:05")  # some of yesterday may be in flight
    await job.tick()
    assert len(days) == 1
    clock.set("2026-11-23T00:20")
    for _ in range(5):
        await daily().tick()
    assert days[1:] == [date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)]
    clock.set("2026-12-31T12:00")
    for _ in range(20):
        await job.tick()
    assert len(days) == 4 + 7
    assert days[-1] == date(2026, 12, 30)
    clock.set("2027-12-31T12:00")  # a clock that is wrong for a minute
    await job.tick()
    clock.set("2027-01-01T12:00")
    await job.tick()
    assert days[-1] == date(2026, 12, 31)
    clock.set("2026-12-31T23:59")
    await job.tick()
    assert job.due() is None


async def test_a_failure_is_tried_again_after_a_pause_and_a_damaged_file_is_none(tmp_path):
    clock, attempts = Clock("2026-11-20T12:00"), []

    async def work(day):
        attempts.append(day)
        raise RuntimeError("no")

    job = Daily("test", tmp_path / "done.json", work, clock)
    await job.tick()
    await job.tick()
    assert len(attempts) == 1
    assert job.due() == date(2026, 11, 19)
    (tmp_path / "done.json").write_text("{")
    assert job.due() == date(2026, 11, 19)


async def test_on_a_full_disk_the_work_is_done_once_and_remembered_when_there_is_room(tmp_path):
    clock, days = Clock("2026-11-20T12:00"), []

    async def work(day):
        days.append(day)

    directory = tmp_path / "away"  # as a disk that takes nothing
    job = Daily("test", directory / "done.json", work, clock)
    for _ in range(3):
        await job.tick()
    assert days == [date(2026, 11, 19)]
    directory.mkdir()
    await job.tick()
    await Daily("test", directory / "done.json", work, clock).tick()
    assert len(days) == 1
    clock.set("2026-11-21T12:00")
    await job.tick()
    assert len(days) == 2


async def test_what_has_failed_for_two_days_is_overdue(tmp_path):
    clock, fails = Clock("2026-11-20T12:00"), False

    async def work(_):
        if fails:
            raise RuntimeError("no")

    def overdue():
        return REGISTRY.get_sample_value("footfall_nightly_overdue", {"job": "test"})

    job = Daily("test", tmp_path / "done.json", work, clock)
    await job.tick()
    assert overdue() == 0
    fails = True
    clock.set("2026-11-21T12:00")
    await job.tick()
    assert overdue() == 0
    clock.set("2026-11-22T12:00")
    job = Daily("test", tmp_path / "done.json", work, clock)
    assert overdue() == 0  # it may make up for them
    await job.tick()
    assert overdue() == 1
    fails = False
    job = Daily("test", tmp_path / "done.json", work, clock)
    await job.tick()
    await job.tick()
    assert overdue() == 0


# Ranges as people write them

AT = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, ("2026-11-20T00", "2026-11-21T11")),
        ("2026-11-20", "2026-11-20", ("2026-11-20T00", "2026-11-21T00")),
        ("2026-11-20T05:30", "2026-11-20T06:30", ("2026-11-20T05", "2026-11-20T07")),
        ("2026-11-20T05:00+02:00", "2026-11-20T06:00 02:00", ("2026-11-20T03", "2026-11-20T04")),
    ],
)
async def test_ranges(start, end, expected):
    assert resolve(start, end, AT) == tuple(ms(text) for text in expected)


@pytest.mark.parametrize(
    ("start", "end"), [("x", None), ("2026-11-22", None), ("1950-01-01", None), (None, "9999")]
)
async def test_wrong_ranges(start, end):
    with pytest.raises(Invalid) as error:
        resolve(start, end, AT)
    assert error.value.field in ("start", "end")
