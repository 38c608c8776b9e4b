"""A stop that does not come to its end says what it waits for, and is ended."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, signal, threading
from concurrent.futures import ThreadPoolExecutor
from footfall.runtime import stopping

original = stopping.watch
stopping.watch = lambda loop: original(loop, {deadline}, 0.2)

async def waits_for_ever():
    {body}

async def main():
    stop = stopping.stop_on_signals()
    pool = ThreadPoolExecutor(1)
    pool.submit(print, "idle").result()
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    await waits_for_ever()

asyncio.run(main())
"""
THREAD = """threading.Thread(target=threading.Event().wait, name="stuck").start()"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("await asyncio.Event().wait()", "waits_for_ever"),
        ("await asyncio.create_task(asyncio.Event().wait(), name='inner')", "inner at Event.wait"),
        (THREAD, "stuck at Condition.wait"),
        ("await asyncio.to_thread(threading.Event().wait)", "asyncio_0 at Condition.wait"),
    ],
)
def test_it_says_what_it_waits_for_and_ends(body, said):
    ended = run(PROGRAM.format(body=body, deadline=1))
    assert ended.returncode == 70
    output = ended.stdout + ended.stderr
    assert "stop.waits" in output
    assert "stop.given_up" in output
    assert said in output
    assert "_worker" not in output


def test_a_stop_that_ends_by_itself_ends_well_and_says_nothing():
    ended = run(PROGRAM.format(body="pass", deadline=100))
    assert ended.returncode == 0
    assert "stop." not in ended.stdout + ended.stderr


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
