"""A console or a door that is asked from another thread, and how long its loop was held meanwhile."""

import asyncio
from contextlib import asynccontextmanager, suppress

import httpx

from footfall.http.server import serve_http
from footfall.runtime.tcp_ports import free_port
from footfall.runtime.watchdog import watched

LONGEST = 0.05
"""Seconds of the loop's processor time that one request may cost in one go."""


@asynccontextmanager
async def serving(app):
    """A real server on this loop: its URL, and the watchdog of the loop."""
    stop, port = asyncio.Event(), free_port("127.0.0.1")
    server = asyncio.create_task(serve_http(app, "127.0.0.1", port, stop))
    try:
        async with watched(beat=0.002) as watchdog:
            async with asyncio.timeout(20), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                while not await _answers(client):
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{port}", watchdog
    finally:
        stop.set()
        await server


async def _answers(client):
    with suppress(httpx.TransportError):
        return (await client.get("/health/live")).status_code == 200


async def asked(app, headers, requests):
    """The answers to `requests`, and the longest hold when sent a second time: nothing is loaded then."""
    async with serving(app) as (url, watchdog):

        def send():
            with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
                return [client.request(method, path, **content) for method, path, content in requests]

        await asyncio.to_thread(send)
        watchdog.forget()
        answers = await asyncio.to_thread(send)
        await asyncio.sleep(0.01)  # the beat after the last one
        return answers, watchdog.longest
