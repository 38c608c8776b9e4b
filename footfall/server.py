"""One HTTP server in this process: uvicorn with uvloop and httptools, stopped by an event.

uvicorn handles signals itself and ends the process with the signal's status; here main owns
the signals, so that a clean stop ends with status 0.
"""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn

from footfall.background import beside


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve_http(
    app: Any, host: str, port: int, stop: asyncio.Event, *, lifespan: bool = False, grace: int = 10
) -> None:
    """Serve `app` until `stop` is set; then finish running requests (`grace` seconds at most) and return.

    Raises OSError when the address cannot be had.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on" if lifespan else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=grace,
        backlog=4096,
    )
    server = _Server(config)
    stopper = beside("stopper", _stop_with(server, stop))
    try:
        await server.serve(sockets=[_listen(config)])
    finally:
        stopper.cancel()


def _listen(config: uvicorn.Config) -> Any:
    """Bind here: uvicorn would log a failure and exit the process with status 1."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # With the protocol named: only then does the loop set TCP_NODELAY on what it accepts, without
    # which an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((config.host, config.port))
    except OSError:
        sock.close()
        raise
    sock.set_inheritable(False)
    return sock


async def _stop_with(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
