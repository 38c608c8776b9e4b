"""How much is asked at once, and by whom, so that one key costs the others at most its share.

Requests wait in one queue of bounded length. Whose turn it is, `Fair` says: one workspace
has at most `most` turns at a time, and who has the fewest comes next.
"""

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from footfall.errors import Retryable, TooMany
from footfall.runtime.fair import ASKER, Fair
from footfall.tenants.auth import authenticate
from footfall.tenants.directory import Directory
from footfall.tenants.model import Key

WORKSPACES = 8
"""So many workspaces can have all their turns at once; with more of them, each has fewer."""

_WAITING = 10  # times as many of a workspace as may run
_QUEUE = 500  # requests that wait or run, of all
_BUSY = "others ask too much at once; try again"


class Limiter:
    """`most` of a workspace's requests run at once; others wait, `patience` seconds at most."""

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._turns = Fair(range(most * WORKSPACES), most)
        self._asking: Counter[str] = Counter()  # by workspace, those that wait and those that run

    @asynccontextmanager
    async def turn(self, key: Key) -> AsyncGenerator[None]:
        """One of the turns. Raises TooMany where the workspace asks too much, Retryable where all do."""
        workspace, asker = key.workspace_id, (key.workspace_id, key.id)
        if self._asking[workspace] >= self._most * (1 + _WAITING):
            raise TooMany(self._words, retry_after=self._patience)
        if self._asking.total() >= _QUEUE:
            raise Retryable(_BUSY, retry_after=self._patience)
        self._asking[workspace] += 1
        try:
            turn = await self._within_patience(asker)
            before = ASKER.set(asker)
            try:
                yield
            finally:
                ASKER.reset(before)
                self._turns.give_back(turn, asker)
        finally:
            self._asking[workspace] -= 1
            if not self._asking[workspace]:
                del self._asking[workspace]

    async def _within_patience(self, asker: tuple[str, str]) -> int:
        try:
            async with asyncio.timeout(self._patience):
                return await self._turns.take(asker)
        except TimeoutError:
            if self._asking[asker[0]] > self._most:
                raise TooMany(self._words, retry_after=1) from None
            raise Retryable(_BUSY, retry_after=1) from None

    @property
    def _words(self) -> str:
        return f"more than {self._most} things are asked at once; wait for an answer before the next one"


def per_key(directory: Directory, most: int, patience: float) -> Callable[[ASGIApp], ASGIApp]:
    """ASGI middleware: answers when it is the key's turn, else 401, 429, 503. What it may, the route says."""
    limiter = Limiter(most, patience)

    def make(app: ASGIApp) -> ASGIApp:
        async def limited(scope: Scope, receive: Receive, send: Send) -> None:
            key = await authenticate(scope["headers"], directory)
            if scope["method"] not in ("GET", "HEAD"):  # pyright: ignore[reportGeneralTypeIssues] - routes with sockets do not have this
                handler = cast("HTTPRouteHandler", scope["route_handler"])
                receive = await _received(receive, handler.resolve_request_max_body_size() or math.inf)
            async with limiter.turn(key):
                await app(scope, receive, send)

        return limited

    return make


async def _received(receive: Receive, most: float) -> Receive:
    """As `receive`, once the body is there, or more of it than the route takes: sending holds no turn.

    What unfinished bodies cost, the server itself bounds (`http/limits.py`).
    """
    there: deque[HTTPReceiveMessage] = deque()
    size = 0
    while size <= most:
        message = cast("HTTPReceiveMessage", await receive())
        there.append(message)
        if message["type"] != "http.request" or not message["more_body"]:
            break
        size += len(message["body"])

    async def again() -> HTTPReceiveMessage:
        return there.popleft() if there else cast("HTTPReceiveMessage", await receive())

    return cast("Receive", again)
