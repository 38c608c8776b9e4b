"""Work that ends when the server is told to stop, so that what was done before it can still be answered."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from footfall.errors import Retryable

T = TypeVar("T")


class ServerStopping(Retryable):
    """The server is stopping; the next one can be asked."""

    def __init__(self) -> None:
        super().__init__("the server is being stopped")


async def before(stop: asyncio.Event | None, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. Raises ServerStopping when `stop` is set first: then the work was cancelled."""
    if stop is None:
        return await work
    working = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ServerStopping
        return working.result()
    finally:
        stopped.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
