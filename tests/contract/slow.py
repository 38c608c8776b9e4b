"""Stores that are slow or fail, and a real server over them, for tests of those who wait."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress

import httpx

from footfall.errors import StoreDown
from footfall.http.server import serve_http
from footfall.runtime.tcp_ports import free_port

ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"


class Other:
    """A store that is like another one but for some methods."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)


class Slow(Other):
    """Every question takes for ever; the real store runs it."""

    async def arrow(self, _sql, _parameters=None, **_limits):
        return await self._store.arrow(ENDLESS)

    async def query(self, _sql, _parameters=None, **_limits):
        return await self._store.query(ENDLESS)


class Breaks(Other):
    """Fails at the fourth page or so."""

    calls = 0

    async def arrow(self, sql, parameters=None, **limits):
        self.calls += 1
        if self.calls > 4:
            raise StoreDown("the disk is gone")
        return await self._store.arrow(sql, parameters, **limits)


class Gate(Other):
    """Questions wait until it is opened; it counts them."""

    def __init__(self, store):
        super().__init__(store)
        self.open = asyncio.Event()
        self.asked = Counter()

    async def query(self, sql, parameters=None, **limits):
        self.asked[sql] += 1
        await self.open.wait()
        return await self._store.query(sql, parameters, **limits)


class HeldExports(Other):
    """What is asked for in columns waits until it is opened."""

    def __init__(self, store):
        super().__init__(store)
        self.open = asyncio.Event()

    async def arrow(self, sql, parameters=None, **limits):
        await self.open.wait()
        return await self._store.arrow(sql, parameters, **limits)


async def until(condition):
    """Returns when the condition holds."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def asked(gate):
    """How many questions were asked."""
    return gate.asked.total()


async def running(store):
    """How many endless questions the engine runs."""
    found = await store.query(
        "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
    )
    return found[0][0]


@asynccontextmanager
async def served(console, key):
    """A real server on this console, and a client of it."""
    stop, port = asyncio.Event(), free_port("127.0.0.1")
    server = asyncio.create_task(serve_http(console.app, "127.0.0.1", port, stop))
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as client:

        async def answers():
            with suppress(httpx.TransportError):
                return (await client.get("/health/live")).status_code == 200

        await until(answers)
        try:
            yield client
        finally:
            stop.set()
    await server
