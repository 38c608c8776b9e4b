"""One HTTP server in this process, on uvloop and httptools, stopped by an event.

main owns the signals, so that a clean stop ends with status 0.
"""

import asyncio
import gc
import socket
import time
from typing import cast

from footfall.http.connection import Connection
from footfall.http.exchange import App
from footfall.http.limits import ConnectionLimits, ConnectionRoom, give_memory_back
from footfall.http.service import Service
from footfall.runtime.background import every

_BACKLOG = 4096
_DEFAULT = ConnectionLimits()
_TICKS = 500  # connections that are looked at in a turn of the loop


async def serve_http(
    app: App,
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    limits: ConnectionLimits = _DEFAULT,
    grace: float = 10,
) -> None:
    """Serve `app` until `stop` is set; then finish running requests (`grace` seconds at most) and return.

    Raises OSError when the address cannot be had.
    """
    service = Service(app, ConnectionRoom(limits))
    listening = _listen(host, port)
    server = await service.loop.create_server(lambda: Connection(service), sock=listening, backlog=_BACKLOG)
    # What is there now stays. To look at it again and again held the loop for 50 ms each time.
    gc.collect()
    gc.freeze()
    async with every("connections", 1.0, _Watch(service).look):
        await stop.wait()
        server.close()
        await _finish(service, grace)
        await server.wait_closed()


class _Watch:
    """Once a second: whose time is up, what was refused."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._last = time.monotonic()

    async def look(self) -> None:
        now = time.monotonic()
        # Where this process itself stood still, the clients are not to blame.
        passed, self._last = min(now - self._last, 2.0), now
        room = self._service.room
        connections = cast("set[Connection]", room.connections)
        for count, connection in enumerate(connections.copy(), 1):
            if connection in connections:
                connection.tick(passed)
            if not count % _TICKS:
                await asyncio.sleep(0)
        room.tell()
        if room.was_full():
            await asyncio.to_thread(give_memory_back)


async def _finish(service: Service, grace: float) -> None:
    by = service.loop.time() + grace
    connections = cast("set[Connection]", service.room.connections)
    for connection in connections.copy():
        connection.shut_down()
    while (connections or service.tasks) and service.loop.time() < by:  # noqa: ASYNC110 -- a thousand ends
        await asyncio.sleep(0.02)
    for task in service.tasks:
        task.cancel()
    for connection in connections.copy():
        connection.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: only then does the loop set TCP_NODELAY on what it accepts, without
    # which an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.set_inheritable(False)
    return sock
