"""The supervisor when the machine has no process left to give."""

import asyncio
import errno
import sys

import pytest

from footfall.runtime.supervisor import Child, Supervisor

pytestmark = pytest.mark.anyio


async def test_a_child_that_cannot_be_started_is_tried_again_and_the_other_goes_on(monkeypatch):
    start = asyncio.create_subprocess_exec
    refused = 0

    async def sometimes(*command, **options):
        nonlocal refused
        if "worker" in command and refused < 2:
            refused += 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return await start(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", sometimes)
    said = []
    program = "import signal, sys; signal.pause()"
    names = ("door", "worker")
    supervisor = Supervisor(
        [Child(name, [sys.executable, "-c", program, name]) for name in names], said.append
    )
    running = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(60):
        while len(supervisor._processes) < 2:
            assert not running.done()
            await asyncio.sleep(0.01)
        door = supervisor._processes["door"]
        assert door.returncode is None
        supervisor.stop()
        assert await running == 0
    assert said == ["worker could not be started: Resource temporarily unavailable"] * 2
