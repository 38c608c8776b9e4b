"""Answers that clients do not take: they are memory like requests, and a byte now and then is no taking."""

import asyncio
import socket
from contextlib import ExitStack

import uvloop

from footfall.http import limits
from footfall.http.connection import Connection
from footfall.http.service import Service

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = 4 << 20
LONG = 400  # seconds, in which the fastest takes not all


async def _long_answer(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * ANSWER})


class _Server:
    """A server whose clients are given, and whose time goes by as the test says."""

    def __init__(self, stack, memory=1 << 30):
        self.room = limits.ConnectionRoom(limits.ConnectionLimits(memory=memory))
        self._service = Service(_long_answer, self.room)
        self._stack = stack
        self._loop = asyncio.get_running_loop()

    async def client_that_asks(self):
        client, server = socket.socketpair()
        self._stack.enter_context(client)
        client.setblocking(False)
        transport, connection = await self._loop.create_connection(
            lambda: Connection(self._service), sock=server
        )
        self._stack.callback(transport.abort)
        client.send(GET)
        while connection.writable is None:  # the answer fills all that is between
            await asyncio.sleep(0)
        return client, connection

    async def taking(self, bytes_a_second, every=40):
        """For how many seconds a client that takes so much, all of `every` seconds at once, is served."""
        client, connection = await self.client_that_asks()
        for second in range(LONG):
            if connection not in self.room.connections or connection.writable is None:
                return second
            left = 0 if second % every else bytes_a_second * every
            while left:
                left -= len(await self._loop.sock_recv(client, left))
            connection.tick(1.0)
            await asyncio.sleep(0)
        return LONG


def _run(work, **options):
    async def limited():
        async with asyncio.timeout(60):
            with ExitStack() as stack:
                return await work(_Server(stack, **options))

    return uvloop.run(limited())


def test_a_client_that_takes_a_little_now_and_then_is_given_up():
    assert _run(lambda server: server.taking(3 << 10)) < LONG


def test_a_client_on_a_poor_line_gets_its_answer():
    assert _run(lambda server: server.taking(2 * limits.LOWEST_ANSWER_RATE)) == LONG


def test_answers_that_are_not_taken_stay_within_the_memory_and_the_oldest_go():
    async def twenty(server):
        asked, held = [], []
        for _ in range(20):
            asked.append((await server.client_that_asks())[1])
            held.append(server.room.held)
        await asyncio.sleep(0)
        return max(held), [connection in server.room.connections for connection in asked], server.room.memory

    most, there, memory = _run(twenty, memory=5 * ANSWER)
    assert most <= memory
    assert there == [False] * 15 + [True] * 5


def test_who_asks_is_not_refused_for_answers_that_others_do_not_take():
    async def two(server):
        _, idle = await server.client_that_asks()
        client, _ = await server.client_that_asks()
        first = await asyncio.get_running_loop().sock_recv(client, 100)
        return idle in server.room.connections, first

    idle_is_there, first = _run(two, memory=ANSWER // 2)
    assert not idle_is_there
    assert first.startswith(b"HTTP/1.1 200 ")
