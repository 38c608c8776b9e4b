"""Hundreds that send at once: one turn of the loop takes a little, so nobody waits for all of all."""

import asyncio
import hashlib
import random
import socket
from contextlib import ExitStack, suppress
from itertools import pairwise

import pytest
import uvloop

from footfall.http import limits
from footfall.http.connection import Connection
from footfall.http.server import serve_http
from footfall.http.service import BUSY, READ, READ_COST, Service
from footfall.runtime.tcp_ports import free_port

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
BODY = b"x" * (limits.HEAD_BYTES - len(HEAD))
SMALL = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def _never(_scope, _receive, _send):
    await asyncio.Event().wait()


async def _after_each_turn(count, sent, measured, until):
    """What is `measured` of a service after each turn; its clients have all sent before it looks at them."""
    loop = asyncio.get_running_loop()
    service = Service(_never, limits.ConnectionRoom(limits.ConnectionLimits()))
    with ExitStack() as stack:
        clients, transports = [], []
        for _ in range(count):
            client, server = socket.socketpair()
            clients.append(stack.enter_context(client))
            client.setblocking(False)
            transport, _ = await loop.create_connection(lambda: Connection(service), sock=server)
            transports.append(transport)
        for client in clients:
            assert client.send(sent) == len(sent)
        found = [0]
        async with asyncio.timeout(60):
            while found[-1] < until:
                await asyncio.sleep(0)
                found.append(measured(service))
        for task in service.tasks:
            task.cancel()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)
        return found


@pytest.fixture(scope="module")
def held():
    """The bytes held of a hundred clients."""
    return uvloop.run(_after_each_turn(100, HEAD + BODY, lambda service: service.room.held, 100 * len(BODY)))


def test_a_turn_reads_so_much_of_all_when_hundreds_send_at_once(held):
    assert max(after - before for before, after in pairwise(held)) <= BUSY + READ


def test_what_was_read_in_small_parts_is_whole(held):
    assert held[-1] == 100 * len(BODY)


def test_a_turn_begins_so_many_requests_however_small_they_are():
    begun = uvloop.run(_after_each_turn(400, SMALL, lambda service: len(service.tasks), 400))
    assert begun[-1] == 400
    # What comes now, and half as many that wait already.
    assert max(after - before for before, after in pairwise(begun)) <= 1.5 * BUSY / READ_COST + 2


async def _digest(scope, receive, send):
    """Answers which request it was and what was in its body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    said = scope["raw_path"] + hashlib.sha256(body).digest()
    head = {"status": 200, "headers": [(b"content-length", b"%d" % len(said))]}
    await send({"type": "http.response.start"} | head)
    await send({"type": "http.response.body", "body": said})


def _request(path, body):
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


async def _asked(port, number, all_there):
    """A client sends requests behind each other, when all the others do, and has its answers in order."""
    choices = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    bodies = [b"", *(choices.randbytes(choices.choice([0, 10, 2000, 70_000])) for _ in range(12))]
    sent = [_request(b"/%d/%d" % (number, at), body) for at, body in enumerate(bodies)]
    writer.write(sent[0])
    for at, body in enumerate(bodies):
        await reader.readuntil(b"\r\n\r\n")
        expected = b"/%d/%d" % (number, at) + hashlib.sha256(body).digest()
        assert await reader.readexactly(len(expected)) == expected
        if at == 0:  # the server has taken the connection
            await all_there.wait()
            writer.writelines(sent[1:])
    writer.close()


async def _listens(port):
    with suppress(OSError):
        (await asyncio.open_connection("127.0.0.1", port))[1].close()
        return True
    return False


async def _ask_at_once(count):
    stop, port = asyncio.Event(), free_port("127.0.0.1")
    server = asyncio.create_task(serve_http(_digest, "127.0.0.1", port, stop, grace=0))
    all_there = asyncio.Barrier(count)
    try:
        async with asyncio.timeout(60):
            while not await _listens(port):
                await asyncio.sleep(0)
            await asyncio.gather(*(_asked(port, number, all_there) for number in range(count)))
    finally:
        stop.set()
        await server


def test_hundreds_that_wait_for_their_turns_get_their_answers_in_order():
    uvloop.run(_ask_at_once(200))
