"""Who was answered before its body had come, and is still there when memory is full, holds nobody up."""

import asyncio

import pytest

from footfall.http.connection import Connection
from footfall.http.limits import ConnectionLimits, ConnectionRoom
from footfall.http.service import Service

pytestmark = pytest.mark.anyio


async def app(scope, receive, send):
    early = scope["path"] == "/early"
    if not early:
        await receive()
    status = 413 if early else 202
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no" if early else b"ok"})


def post(path, length, body, *more):
    head = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(head).encode() + body


async def test_a_connection_that_lingers_is_passed_over_when_memory_is_full():
    service = Service(app, ConnectionRoom(ConnectionLimits(memory=1000)))
    server = await asyncio.get_running_loop().create_server(lambda: Connection(service), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/early", 100, b"1234567890", "Connection: close"))
        assert (await reader.read(12)).endswith(b"413")
        others, full = await asyncio.open_connection("127.0.0.1", port)
        full.write(post("/body", 5000, b"x" * 3000))
        async with asyncio.timeout(20):
            assert (await others.read(12)).endswith(b"503")
        for each in (writer, full):
            each.close()
