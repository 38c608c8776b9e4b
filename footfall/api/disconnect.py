"""Who hangs up is not answered: the work on the answer ends, and with it the questions to the store.

For the routes that read. What changes something is finished, whoever still listens.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send

from footfall import metrics


def ends_with_the_client(app: ASGIApp) -> ASGIApp:
    """ASGI middleware: cancels `app` when the client goes before it has its whole answer."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        request = _Watched(receive, send, has_body=scope["method"] not in ("GET", "HEAD"))  # pyright: ignore[reportGeneralTypeIssues] - routes with sockets do not have this
        answering = asyncio.ensure_future(app(scope, cast("Receive", request.receive), request.send))
        watching = asyncio.ensure_future(request.hung_up())
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                metrics.HANG_UPS.inc()
                answering.cancel()
            await asyncio.wait({answering})
        finally:  # also when the server stops
            watching.cancel()
            if not answering.done():
                answering.cancel()
                await asyncio.wait({answering})
        if not answering.cancelled():
            answering.result()

    return watched


class _Watched:
    """A request of which somebody else reads the messages that come after its body."""

    def __init__(self, receive: Receive, send: Send, *, has_body: bool) -> None:
        self._receive = cast("Callable[[], Awaitable[HTTPReceiveMessage]]", receive)
        self._send = send
        self._read = asyncio.Event()  # the whole body
        self._gone = asyncio.Event()
        self._answered = False
        if not has_body:
            self._read.set()  # nobody asks for it

    async def receive(self) -> HTTPReceiveMessage:
        if self._read.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone.set()
        if message["type"] == "http.disconnect" or not message["more_body"]:
            self._read.set()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._answered = True
        await self._send(message)

    async def hung_up(self) -> None:
        """Returns when the client has gone without its answer."""
        await self._read.wait()
        while not self._gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self._gone.set()
        if self._answered:  # servers say that after every answer
            await asyncio.Event().wait()
