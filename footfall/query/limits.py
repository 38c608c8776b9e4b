"""How much one key may ask at once, so that it does not keep the others waiting."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from litestar.types import ASGIApp, Receive, Scope, Send

from footfall.errors import TooMany
from footfall.tenants.auth import authenticate
from footfall.tenants.directory import Directory

_WAITING = 10  # times as many as may run


class Limiter:
    """`most` of a key's requests run at once; others wait, `patience` seconds at most."""

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._keys: dict[str, _Slots] = {}  # of those that ask now

    @asynccontextmanager
    async def turn(self, key_id: str) -> AsyncGenerator[None]:
        """One of the key's turns. Raises TooMany."""
        slots = self._keys.setdefault(key_id, _Slots(self._most))
        if slots.users >= self._most * (1 + _WAITING):
            raise TooMany(self._words, retry_after=self._patience)
        slots.users += 1
        try:
            try:
                async with asyncio.timeout(self._patience):
                    await slots.free.acquire()
            except TimeoutError:
                raise TooMany(self._words, retry_after=1) from None
            try:
                yield
            finally:
                slots.free.release()
        finally:
            slots.users -= 1
            if not slots.users:
                del self._keys[key_id]

    @property
    def _words(self) -> str:
        return f"this key asks more than {self._most} things at once; wait for an answer before the next one"


def per_key(directory: Directory, most: int, patience: float) -> Callable[[ASGIApp], ASGIApp]:
    """ASGI middleware: answers when it is the key's turn, else 401 or 429. What it may, the route says."""
    limiter = Limiter(most, patience)

    def make(app: ASGIApp) -> ASGIApp:
        async def limited(scope: Scope, receive: Receive, send: Send) -> None:
            key = await authenticate(scope["headers"], directory)
            async with limiter.turn(key.id):
                await app(scope, receive, send)

        return limited

    return make


class _Slots:
    def __init__(self, most: int) -> None:
        self.free = asyncio.Semaphore(most)
        self.users = 0
