"""While the log refuses or fails: what waits stays, what is lost is booked, nothing ends."""

import asyncio
import shutil
import threading
import time
from collections import Counter

import pytest
from structlog.testing import capture_logs

from footfall.collect import clicks as module
from footfall.collect import tally as tally_module
from footfall.collect.append import LogFailed
from footfall.errors import Invalid, LogFull, Misconfigured
from footfall.eventlog import open_log
from footfall.eventlog.sqlite.writer import Shard
from footfall.model.ids import format_event_id
from footfall.model.reasons import Reason
from footfall.model.record import decode
from footfall.runtime.background import troubles
from footfall.settings import load
from footfall.state import losses
from footfall.state.ledger import HOUR, Ledger
from footfall.state.losses import Loss, Reserve, book_losses
from footfall.state.tables import open_state
from tests.contract.door import open_door
from tests.contract.test_door_events import PAGE, FullLog

pytestmark = pytest.mark.anyio

BROWSER = {
    "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "referer": "https://www.example.org/blog/2026/11/a-page-with-a-link-in-it-that-people-like/",
    "accept-language": "de-DE",
}
LONG = "https://example.com/" + "x" * 8130  # 8,192 are allowed


class Gate:
    """The real log, behind something that fails as it is told."""

    def __init__(self, log):
        self.log = log
        self.error = None

    def __getattr__(self, name):
        return getattr(self.log, name)

    async def append(self, entry):
        if self.error:
            raise self.error
        await self.log.append(entry)


class Strict(FullLog):
    """A log in which a record has at most `most` bytes."""

    def __init__(self, most):
        super().__init__()
        self.full = False
        self.most = most

    async def append(self, entry):
        if len(entry.data) > self.most:
            raise Invalid(f"a log record has at most {self.most} bytes")
        await super().append(entry)


async def gate(tmp_path, **settings):
    return Gate(await open_log(load(data=tmp_path, **settings)))


async def until(condition):
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.01)


async def click(rig, code, count, **headers):
    return [await rig.http.get(f"/{code}", headers=headers) for _ in range(count)]


def ids(answers):
    return Counter(answer.headers["footfall-event"] for answer in answers)


async def logged(rig):
    return Counter(format_event_id(event.event_id) for event in await rig.events())


def tallied(records):
    return Counter(
        {(t.site_id, t.reason): t.count for record in records for t in record.tallies if "click" in t.reason}
    )


async def test_thousands_of_clicks_to_a_long_target_wait_for_a_full_log_and_later_ones_too(tmp_path):
    log = await gate(tmp_path)
    async with open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
        await rig.tenants.create_link("default", LONG, code="long")
        log.error = LogFull("the disk is full")
        waiting = await click(rig, "long", 3000, **BROWSER)
        log.error = None
        await until(lambda: _has(rig, 3000))
        after = await click(rig, "long", 3)
        await until(lambda: _has(rig, 3003))
        assert await logged(rig) == ids(waiting + after)
        assert not troubles()


async def _has(rig, count):
    return len(await rig.events()) >= count


async def test_headers_that_double_in_the_log_do_not_stop_it(tmp_path):
    log = await gate(tmp_path)
    headers = {"referer": b"\xe9" * 2048, "user-agent": b"\xe9" * 1000}
    async with open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
        await rig.tenants.create_link("default", LONG, code="long")
        log.error = LogFull("the disk is full")
        waiting = await click(rig, "long", 1500, **headers)
        log.error = None
        await until(lambda: _has(rig, 1500))
        assert await logged(rig) == ids(waiting)


async def test_what_is_too_large_for_one_record_becomes_several(tmp_path):
    log = Strict(100_000)
    async with open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
        await rig.tenants.create_link("default", LONG, code="long")
        log.full = True
        waiting = []
        for number in range(50):
            waiting += await click(rig, "long", 1, **{"user-agent": f"UA{number}"})
        log.full = False
    records = [decode(entry.data) for entry in log.entries]
    found = {format_event_id(event.event_id): record for record in records for event in record.events}
    assert ids(waiting) == Counter(found.keys())
    assert len(records) > 4
    agents = [record.visits[event.visit].user_agent for record in records for event in record.events]
    assert agents == [f"UA{number}" for number in range(50)]  # each has its own visit


async def test_a_click_that_no_record_can_hold_is_booked_as_lost_and_its_neighbours_are_logged(tmp_path):
    log = Strict(5000)
    async with open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
        await rig.tenants.create_link("default", LONG, code="long")
        await rig.tenants.create_link("default", "https://example.com/", code="short")
        log.full = True
        await click(rig, "short", 3)
        lost = await click(rig, "long", 2)
        await click(rig, "short", 2)
        log.full = False
    records = [decode(entry.data) for entry in log.entries]
    codes = Counter(event.short_code for record in records for event in record.events)
    assert codes == {"short": 5}
    assert tallied(records) == {("", "click_too_large"): 2}
    assert {answer.headers["footfall-logged"] for answer in lost} == {"pending"}


FAILURES = [
    RuntimeError("odd"),
    OSError(5, "Input/output error"),
    Misconfigured("opened for reading only"),
    asyncio.InvalidStateError(),
]


@pytest.mark.parametrize("error", FAILURES)
async def test_whatever_the_log_raises_clicks_stay_and_go_on(tmp_path, error):
    log = await gate(tmp_path)
    async with open_door(tmp_path, eventlog=log, redirect_cap=0.01) as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        log.error = error
        answers = await click(rig, "page", 3)
        assert {answer.headers["footfall-logged"] for answer in answers} == {"pending"}
        log.error = None
        await until(lambda: _has(rig, 3))
        assert await logged(rig) == ids(answers)


@pytest.mark.parametrize("error", FAILURES)
async def test_whatever_the_log_raises_events_are_refused_in_words_and_the_refusals_are_counted(
    tmp_path, error
):
    log = await gate(tmp_path)
    async with open_door(tmp_path, eventlog=log) as rig:
        site = await rig.tenants.create_site("default", "Mail")
        log.error = error
        answer = await rig.post([PAGE, PAGE])
        pixel = await rig.http.get("/v1/pixel.gif", params={"site_id": site.id})
        await asyncio.sleep(0)
        log.error = None
        again = await rig.post([PAGE, PAGE])
        await until(lambda: _tallied(rig, "log_full", 3))
    assert (answer.status_code, again.status_code) == (503, 202)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" in answer.headers
    assert (pixel.status_code, pixel.headers["footfall-logged"]) == (200, "no")


async def _tallied(rig, reason, count):
    tallies = [tally for record in await rig.records() for tally in record.tallies]
    return sum(tally.count for tally in tallies if tally.reason == reason) == count


async def test_refusals_are_kept_whatever_the_log_raises(tmp_path):
    log = await gate(tmp_path)
    async with open_door(tmp_path, eventlog=log) as rig:
        log.error = RuntimeError("odd")
        for _ in range(3):
            await rig.http.post("/v1/events", json=[PAGE])  # without a key
        with pytest.raises(LogFailed):
            await rig.door.tallies._write()
        log.error = None
        await until(lambda: _tallied(rig, "no_key", 3))


async def test_events_too_large_for_a_record_are_refused_with_413_and_counted(tmp_path):
    log = Strict(1000)
    async with open_door(tmp_path, eventlog=log) as rig:
        answer = await rig.post([PAGE | {"properties": {"text": "x" * 900}}] * 2)
        one = await rig.post([PAGE])
    assert (answer.status_code, one.status_code) == (413, 202)
    assert "fewer" in answer.text
    tallies = [tally for entry in log.entries for tally in decode(entry.data).tallies]
    assert [(tally.reason, tally.count) for tally in tallies] == [("too_large", 2)]


async def test_memory_is_bounded_in_bytes_and_what_is_dropped_is_booked(tmp_path):
    log = await gate(tmp_path)
    async with open_door(tmp_path, eventlog=log, redirect_mode="async", click_memory=16 << 20) as rig:
        await rig.tenants.create_link("default", LONG, code="long")
        log.error = LogFull("the disk is full")
        sent = 3500
        answers = await click(rig, "long", sent)
        assert rig.door.clicks._bytes <= 16 << 20
        log.error = None
        await until(lambda: _all_accounted(rig, sent))
        kept, records = await logged(rig), await rig.records()
    assert 1000 < len(kept) < sent
    assert kept < ids(answers)
    assert tallied(records) == {("", "click_unlogged"): sent - len(kept)}


async def _all_accounted(rig, sent):
    records = await rig.records()
    return sum(len(record.events) for record in records) + tallied(records).total() == sent


async def test_one_request_that_is_cancelled_cancels_nobody_elses(tmp_path):
    log = await gate(tmp_path)
    async with open_door(tmp_path, eventlog=log, redirect_cap=1) as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        await click(rig, "page", 1)
        release = asyncio.Event()
        append = log.log.append

        async def slow(entry):
            await release.wait()
            await append(entry)

        log.append = slow
        requests = [asyncio.create_task(rig.http.get("/page")) for _ in range(5)]
        await until(lambda: _waits(rig, 5))
        requests[0].cancel()
        await asyncio.wait({requests[0]})
        release.set()
        answers = await asyncio.gather(*requests[1:])
    assert {answer.headers["footfall-logged"] for answer in answers} == {"yes"}


async def _waits(rig, count):
    return rig.door.clicks._size == count


async def ledger_of(tmp_path):
    state = open_state(tmp_path / "state.db")
    now = int(time.time() * 1000)
    books = await Ledger(state).books("default", now - 2 * HOUR, now + 2 * HOUR)
    await state.close()
    assert not books.imbalances
    return {(line.outcome, line.reason): line.events for line in books.lines}


async def test_clicks_that_wait_at_a_stop_are_logged_if_the_log_takes_them(tmp_path):
    log = FullLog()
    async with open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        answers = await click(rig, "page", 10)
        asyncio.get_running_loop().call_later(0.3, setattr, log, "full", False)
    found = [event for entry in log.entries for event in decode(entry.data).events]
    assert Counter(format_event_id(event.event_id) for event in found) == ids(answers)
    assert list((tmp_path / "losses").iterdir()) == []


async def test_clicks_that_the_log_has_not_taken_at_a_stop_are_booked_once_by_the_next_door(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    log = FullLog()
    async with open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        await click(rig, "page", 123)
        await rig.http.get("/nothing")
    assert log.entries == []
    [left] = (tmp_path / "losses").iterdir()
    copy = tmp_path / "copy"
    shutil.copy(left, copy)

    async with open_door(tmp_path) as rig:
        await until(lambda: _booked(tmp_path))
    lost = {("received", ""): 124, ("lost", "click_stopped"): 124}
    assert await ledger_of(tmp_path) == lost
    assert not left.exists()

    # As if it had crashed after it was booked and before the file was gone.
    copy.rename(left)
    async with open_door(tmp_path):
        await until(lambda: _gone(left))
    assert await ledger_of(tmp_path) == lost


async def _booked(tmp_path):
    return bool(await ledger_of(tmp_path))


async def _gone(path):
    return not path.exists()


async def test_the_room_of_a_door_that_lives_is_left_alone_and_that_of_a_killed_one_goes(tmp_path):
    state = open_state(tmp_path / "state.db")
    living, killed = Reserve.open(tmp_path), Reserve.open(tmp_path)
    killed._kept = True  # so that the file stays
    killed.close()
    assert await book_losses(tmp_path, state) == 0
    assert [path.name for path in (tmp_path / "losses").iterdir()] == [living._path.name]
    living.keep([Loss("default", "site", 7)])
    assert await book_losses(tmp_path, state) == 0
    living.close()
    assert await book_losses(tmp_path, state) == 7
    assert await book_losses(tmp_path, state) == 0
    await state.close()


async def test_losses_of_more_sites_than_there_is_room_for_are_booked_by_workspace(tmp_path):
    state = open_state(tmp_path / "state.db")
    reserve = Reserve.open(tmp_path)
    reserve.keep([Loss("default", f"site_{n:026}", 2) for n in range(5000)])
    reserve.close()
    assert await book_losses(tmp_path, state) == 10_000
    await state.close()
    assert await ledger_of(tmp_path) == {("received", ""): 10_000, ("lost", "click_stopped"): 10_000}


async def test_a_door_starts_where_there_is_no_room_for_losses(tmp_path):
    (tmp_path / "losses").write_text("not a directory")
    async with open_door(tmp_path, redirect_cap=1) as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        [answer] = await click(rig, "page", 1)
    assert answer.headers["footfall-logged"] == "yes"


class Hung:
    """The real log on a disk that stands still from when a test says so until the log is closed.

    Then the disk takes what waits, or refuses it; and half a minute later at the latest, so that a stop that
    hangs for it comes to its end, and a test to its verdict.
    """

    def __init__(self, log, monkeypatch, outcome):
        self.log = log
        self.kept = None  # in the file of losses, when the log was to be closed
        self._goes = threading.Event()
        self._goes.set()
        self.waits = threading.Event()
        write = Shard.write

        def hang(shard, bodies):
            if not self._goes.is_set():
                self.waits.set()
                self._goes.wait()
                if outcome == "refused":
                    raise LogFull("the disk is full")
            write(shard, bodies)

        monkeypatch.setattr(Shard, "write", hang)
        for each in (module, tally_module):
            monkeypatch.setattr(each, "_GRACE", 0.05)
        monkeypatch.setattr(module, "_PATIENCE", 0.05)

    def __getattr__(self, name):
        return getattr(self.log, name)

    async def stand_still(self):
        self._goes.clear()
        asyncio.get_running_loop().call_later(30, self._goes.set)

    async def hangs(self):
        return self.waits.is_set()

    async def close(self):
        if not self._goes.is_set():
            self.kept = await asyncio.to_thread(kept_by_now, self.log._root.parent)
        self._goes.set()
        await self.log.close()


def kept_by_now(data):
    """What the next door would book if this one were killed now."""
    [path] = (data / "losses").iterdir()
    with path.open("rb") as file:
        kept = losses._read(file.fileno())
    return sum(loss.events for loss in kept.losses) if kept else 0


OUTCOMES = ["taken", "refused"]


async def in_the_log(tmp_path):
    """The records that a next door finds."""
    log = await open_log(load(data=tmp_path), shard="none")
    found = [each for shard in await log.shards() for each in await log.read(shard, -1, 100_000, 1 << 30)]
    await log.close()
    return [decode(each.data) for each in found]


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_clicks_whose_append_hangs_at_a_stop_are_lost_just_when_it_is_refused(
    tmp_path, monkeypatch, outcome
):
    log = Hung(await open_log(load(data=tmp_path)), monkeypatch, outcome)
    async with open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
        await rig.tenants.create_link("default", "https://example.com/", code="page")
        await log.stand_still()
        await click(rig, "page", 1)
        await until(log.hangs)
        await click(rig, "page", 7)
    hung = 1 if outcome == "taken" else 0
    assert sum(len(record.events) for record in await in_the_log(tmp_path)) == hung
    async with open_door(tmp_path):
        await until(lambda: _booked(tmp_path))
    assert await ledger_of(tmp_path) == {("received", ""): 8 - hung, ("lost", "click_stopped"): 8 - hung}
    assert log.kept == 7


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("when", ["before the stop", "at the stop"])
async def test_losses_whose_record_hangs_at_a_stop_are_booked_once(tmp_path, monkeypatch, outcome, when):
    log = Hung(await open_log(load(data=tmp_path)), monkeypatch, outcome)
    async with open_door(tmp_path, eventlog=log) as rig:
        await log.stand_still()
        rig.door.tallies.lose(Reason.CLICK_TOO_LARGE, 5, "default", "")
        if when == "before the stop":
            await until(log.hangs)
            rig.door.tallies.lose(Reason.CLICK_TOO_LARGE, 2, "default", "")
        else:
            rig.door.tallies.lose(Reason.CLICK_TOO_LARGE, 2, "default", "")
    logged = sum(tallied(await in_the_log(tmp_path)).values())
    if logged == 7:
        assert (outcome, when) == ("taken", "at the stop")
        assert list((tmp_path / "losses").iterdir()) == []
        return
    async with open_door(tmp_path):
        await until(lambda: _booked(tmp_path))
    assert await ledger_of(tmp_path) == {("received", ""): 7 - logged, ("lost", "click_stopped"): 7 - logged}
    assert log.kept == (2 if when == "before the stop" else 0)
    assert logged == (0 if outcome == "refused" else 5)


async def test_a_log_that_never_answers_holds_no_stop(tmp_path, monkeypatch):
    log = FullLog()

    async def hang(_):
        await asyncio.Event().wait()

    monkeypatch.setattr(log, "append", hang)
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    with capture_logs() as said:
        async with asyncio.timeout(60), open_door(tmp_path, eventlog=log, redirect_mode="async") as rig:
            await rig.tenants.create_link("default", "https://example.com/", code="page")
            await click(rig, "page", 1)
            await asyncio.sleep(0)
            await click(rig, "page", 2)
            rig.door.tallies.lose(Reason.CLICK_TOO_LARGE, 5, "default", "")
    uncertain = [each["event"] for each in said if "uncertain" in each["event"]]
    assert "clicks.uncertain" in uncertain


async def test_what_is_refused_while_another_workspaces_refusals_are_written_is_counted(tmp_path):
    log = await gate(tmp_path)
    append = log.append

    async def one_more(entry):
        log.append = append
        rig.door.tallies.refuse(Reason.NO_KEY, 1, "second", "")
        await append(entry)

    async with open_door(tmp_path, eventlog=log) as rig:
        for workspace in ("first", "second"):
            rig.door.tallies.refuse(Reason.NO_KEY, 1, workspace, "")
        log.append = one_more
        await until(lambda: _tallied(rig, "no_key", 3))
