"""What runs beside requests: it goes on whatever happens, tells once, and shows when it is in trouble."""

import ast
import asyncio
import threading
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from footfall.errors import Retryable, StoreDown
from footfall.runtime import background
from footfall.runtime.background import Loop, beside, every, thread, troubles

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


class Work:
    """Fails as it is told, then goes well; `rounds` happened."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.rounds = 0
        self.went_well = asyncio.Event()

    async def __call__(self):
        self.rounds += 1
        if self.failures:
            raise self.failures.pop(0)
        self.went_well.set()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def failures_of(name):
    return REGISTRY.get_sample_value("footfall_loop_failures_total", {"loop": name})


@pytest.mark.parametrize("error", [ValueError("odd"), OSError(5, "EIO"), Retryable("busy"), RecursionError()])
async def test_a_loop_goes_on_whatever_its_work_raises(error):
    work = Work(error, error, error, error)
    before = failures_of("some") or 0
    async with asyncio.timeout(20), every("some", 0.001, work):
        await work.went_well.wait()
    assert work.rounds >= 5
    assert failures_of("some") == before + 4


async def test_what_it_raises_is_told_once_with_a_trace_until_it_goes_well_again():
    work = Work(*(ValueError("odd") for _ in range(5)), StoreDown("gone"))
    with capture_logs() as lines:
        async with asyncio.timeout(20), every("some", 0.001, work):
            await work.went_well.wait()
            await until(lambda: any(line["event"] == "loop.recovered" for line in lines))
    told = [(line["problem"], bool(line["exc_info"])) for line in lines if line["event"] == "loop.failed"]
    assert told == [("ValueError: odd", True), ("StoreDown: gone", False)]


async def test_a_cancellation_of_what_it_waits_for_does_not_end_it():
    work = Work(asyncio.CancelledError(), asyncio.CancelledError())
    async with asyncio.timeout(20), every("some", 0.001, work):
        await work.went_well.wait()


async def test_pauses_after_failures_grow_to_a_limit_and_are_jittered():
    health = background._Health("some", 60.0, 60.0)
    pauses = [health.failed(ValueError()) for _ in range(40)]
    for number, pause in enumerate(pauses):
        longest = min(2**number, 60)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses)) == len(pauses)


async def test_a_loop_that_fails_repeatedly_is_in_trouble_until_it_goes_well():
    gate = asyncio.Event()

    async def work():
        if not gate.is_set():
            raise ValueError("odd")

    async with every("failing", 0.001, work):
        await until(lambda: troubles() == [("failing", "fails")])
        assert REGISTRY.get_sample_value("footfall_loops_in_trouble") == 1
        gate.set()
        await until(lambda: not troubles())


async def test_a_loop_that_does_not_come_round_is_in_trouble():
    gate = asyncio.Event()
    async with every("waiting", 0.001, gate.wait, slow=0.05):
        await until(lambda: troubles() == [("waiting", "stuck")])
        gate.set()
        await until(lambda: not troubles())


async def test_a_loop_that_has_ended_is_in_trouble():
    loop = Loop("ended", 60, Work())
    loop.start()
    loop._task.cancel()
    await until(lambda: troubles() == [("ended", "ended")])
    await loop.stop()
    assert not troubles()


async def test_a_stop_lets_a_round_end_where_there_is_grace_and_cancels_it_where_there_is_none():
    for grace, ends in ((10, True), (0, False)):
        began, go, ended = asyncio.Event(), asyncio.Event(), []

        async def work(began=began, go=go, ended=ended):
            began.set()
            await go.wait()
            ended.append(True)

        loop = Loop("some", 0.001, work, grace=grace)
        loop.start()
        await began.wait()
        stopping = asyncio.create_task(loop.stop())
        if grace:
            await asyncio.sleep(0)
            go.set()
        await stopping
        assert bool(ended) is ends


async def test_a_stop_does_not_wait_for_ever_for_what_swallows_its_cancellation(monkeypatch):
    monkeypatch.setattr(background, "_END", 0.01)
    monkeypatch.setattr(background, "_LONGEST_END", 0.03)
    began, go = asyncio.Event(), asyncio.Event()

    async def work():
        began.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    with capture_logs() as lines:
        async with asyncio.timeout(20), every("stubborn", 0.001, work):
            await began.wait()
    [*_, line] = lines
    assert (line["event"], line["loop"]) == ("loop.does_not_end", "stubborn")
    assert "work" in line["at"] or "wait" in line["at"]
    go.set()


async def test_a_thread_goes_on_whatever_its_work_raises():
    results = iter([ValueError("odd"), True, OSError(28, "ENOSPC"), False])

    def work():
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    started = thread("some_thread", work)
    await asyncio.to_thread(started.join, 20)
    assert not started.is_alive()
    assert next(results, "all used") == "all used"
    assert not troubles()


async def test_a_thread_that_does_not_come_round_is_in_trouble():
    gate = threading.Event()
    started = thread("blocked", lambda: not gate.wait(), slow=0.05)
    await until(lambda: troubles() == [("blocked", "stuck")])
    gate.set()
    await asyncio.to_thread(started.join, 20)
    assert not troubles()


async def test_what_is_done_once_beside_tells_what_it_raises():
    async def work():
        raise ValueError("odd")

    with capture_logs() as lines:
        task = beside("once", work())
        await asyncio.wait({task})
        await until(lambda: lines)
    assert (lines[0]["event"], lines[0]["problem"]) == ("task.failed", "ValueError: odd")


# All of the program

# What is started beside without the helper, and why that is right.
EXCEPTIONS = {
    "runtime/background.py": "the helper",
    "cli/import_files.py": "one command; it waits for each of these and passes on what they raise",
    "client/aio.py": "the client is used without the server's modules, in somebody else's program",
    "client/sync.py": "as above",
    "http/service.py": "an answer, which tells its connection what it raises",
    "verify/until_stop.py": "waited for where it is made",
    "main.py": "the worker beside the console of one command, which waits for it",
    "api/download.py": "a part of one answer, which waits for it",
    "query/engine.py": "an answer that several requests share; each of them waits for it",
    "api/disconnect.py": "a part of one answer, which waits for it",
    "store/chdb/store.py": "waited for where it is made",
    "store/chdb/readers.py": "waited for where it is made",
    "runtime/supervisor.py": "waited for where it is made",
    "worker/loop.py": "the insert beside the next batch; the loop passes on what it raises",
    "worker/dedup/restore.py": "a checkpoint that the next one, or the close, waits for",
}

STARTS = {"create_task", "ensure_future", "Thread", "Timer", "start_new_thread", "TaskGroup"}


def test_whatever_is_started_beside_goes_through_the_helper():
    found = set()
    for path in sorted((ROOT / "footfall").rglob("*.py")):
        name = path.relative_to(ROOT / "footfall").as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in STARTS:
                found.add(name)
    assert found == set(EXCEPTIONS)
