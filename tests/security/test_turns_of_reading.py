"""Hundreds that send at once: one turn of the loop takes a little of each, so nobody waits for all of all."""

import asyncio
import socket
from contextlib import ExitStack
from itertools import pairwise

import uvloop

from footfall.http import limits
from footfall.http.connection import Connection, Service

COUNT = 100
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
BODY = b"x" * (limits.HEAD_BYTES - len(HEAD))


async def _unread(_scope, _receive, _send):
    await asyncio.Event().wait()


async def _held_after_each_turn():
    """The bytes that are held of `COUNT` clients, who have all sent before the loop looks at them."""
    loop = asyncio.get_running_loop()
    service = Service(_unread, limits.ConnectionRoom(limits.ConnectionLimits()))
    with ExitStack() as stack:
        clients, transports = [], []
        for _ in range(COUNT):
            client, server = socket.socketpair()
            clients.append(stack.enter_context(client))
            client.setblocking(False)
            transport, _ = await loop.create_connection(lambda: Connection(service), sock=server)
            transports.append(transport)
        for client in clients:
            assert client.send(HEAD + BODY) == len(HEAD + BODY)
        held = [0]
        while held[-1] < COUNT * len(BODY):
            await asyncio.sleep(0)
            held.append(service.room.held)
        for task in service.tasks:
            task.cancel()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)
        return held


async def _all_held():
    async with asyncio.timeout(60):
        return await _held_after_each_turn()


def test_a_turn_reads_little_of_each_when_hundreds_send_at_once():
    held = uvloop.run(_all_held())
    most = max(after - before for before, after in pairwise(held))
    assert most <= limits.BUSY + limits.READ + COUNT * limits.READ_BUSY


def test_what_was_read_in_small_parts_is_whole():
    held = uvloop.run(_all_held())
    assert held[-1] == COUNT * len(BODY)
