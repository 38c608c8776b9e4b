"""Hundreds that send at once: one turn of the loop takes a little, so nobody waits for all of all."""

import asyncio
import socket
from contextlib import ExitStack
from itertools import pairwise

import pytest
import uvloop

from footfall.http import limits
from footfall.http.connection import Connection
from footfall.http.service import BUSY, READ, READ_COST, Service

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
