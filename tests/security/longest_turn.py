"""The longest turn of an event loop: how long it was held by one piece of work, in CPU time.

CPU time of the loop's thread, because what others do on the machine is nobody's fault here.
"""

import asyncio
import contextlib
import gc
import time

MOST = 0.05  # seconds


class LongestTurn:
    """`seconds` of CPU that the loop's thread took between two turns of everybody, at most."""

    seconds = 0.0


@contextlib.asynccontextmanager
async def longest_turn():
    longest = LongestTurn()

    async def watch():
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest.seconds = max(longest.seconds, time.thread_time() - before)

    gc.collect()
    gc.freeze()  # as the door does when it starts: what a test run holds is not the door's
    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)  # it has begun
    try:
        yield longest
        await asyncio.sleep(0)  # it has seen the last turn
    finally:
        watching.cancel()
        gc.unfreeze()
