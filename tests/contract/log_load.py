"""Logs for tests that kill what is behind them: appends without an end, and what became of each."""

import asyncio
from contextlib import asynccontextmanager

from footfall.errors import LogFull
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry

ALL = 1 << 40


@asynccontextmanager
async def opened(settings, shard="claim"):
    """The log that the settings name."""
    log = await open_log(settings, shard=shard)
    try:
        yield log
    finally:
        await log.close()


def body(number):
    """The bytes of a record with a number."""
    return number.to_bytes(8, "big") * 20


async def contents(log):
    """The numbers of all records, by whatever shard."""
    return [
        int.from_bytes(stored.data[:8], "big")
        for shard in await log.shards()
        for stored in await log.read(shard, -1, ALL, ALL)
    ]


class Load:
    """Some appends at a time."""

    def __init__(self, log):
        self.safe, self.refused = set(), set()
        self._log = log
        self._next = iter(range(1 << 40))
        self._ends = False
        self._tasks = [asyncio.create_task(self._run()) for _ in range(20)]

    async def _run(self):
        while not self._ends:
            number = next(self._next)
            try:
                await self._log.append(Entry(f"key {number % 7}", body(number)))
            except LogFull:
                self.refused.add(number)
                await asyncio.sleep(0.01)
            else:
                self.safe.add(number)

    async def until(self, more):
        """Until so many more are safe."""
        goal = len(self.safe) + more
        async with asyncio.timeout(90):
            while len(self.safe) < goal:
                await asyncio.sleep(0.005)

    async def end(self):
        """Until each has its answer."""
        self._ends = True
        await asyncio.gather(*self._tasks)

    async def check(self, log):
        """What was acknowledged is there, once, and nothing else."""
        found = await contents(log)
        assert len(found) == len(set(found)), "twice"
        assert set(found) == self.safe
