"""Trying again: growing, jittered pauses that a stop cuts short, and the store's circuit breaker."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from footfall.errors import Retryable, StoreDown
from footfall.metrics import STORE_UP
from footfall.runtime.background import set_within
from footfall.store.port import Store

log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.1  # seconds after a failure; doubled with each further one, up to
_LONGEST_PAUSE = 10.0
_OPENS_AT = 3  # failures in a row

T = TypeVar("T")


class StopRequested(Exception):
    """The worker was told to stop while it waited."""


class Backoff:
    """Waits between attempts, until `stop` is set: then it raises Stopped."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop

    async def pause(self, failures: int) -> None:
        """The pause after so many failures in a row. Raises StopRequested."""
        longest = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
        # stamina's pauses cannot be cut short by an event.
        if await set_within(self.stop, random.uniform(longest / 2, longest)):  # noqa: S311 -- jitter is no secret
            raise StopRequested

    async def until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it raises no Retryable. Raises StopRequested."""
        failures = 0
        while True:
            try:
                return await call()
            except Retryable as error:
                failures += 1
                log.warning("trying again", problem=str(error), failures=failures)
            await self.pause(failures)


class Breaker:
    """Stands before the store: after some failures in a row only a probe goes through, until one is answered.

    A batch is megabytes and an attempt may hang for long; a probe is neither. (A library's
    breaker guards many callers of one service; here there is one, and it has to wait anyway.)
    """

    def __init__(self, store: Store, patience: Backoff) -> None:
        self._store = store
        self._patience = patience
        self._failures = 0
        STORE_UP.set(1)

    def succeeded(self) -> None:
        """An attempt went well: closed."""
        if self._failures >= _OPENS_AT:
            log.info("the store is back")
        self._failures = 0
        STORE_UP.set(1)

    async def failed(self, error: StoreDown) -> None:
        """An attempt failed: return when the next one makes sense. Raises StopRequested."""
        self._failures += 1
        log.warning("the store failed", problem=str(error), failures=self._failures)
        await self._patience.pause(self._failures)
        if self._failures < _OPENS_AT:
            return
        STORE_UP.set(0)  # open
        probes = self._failures
        while True:
            try:
                await self._store.ping()
            except Retryable:
                probes += 1
                await self._patience.pause(probes)
            else:
                return  # half open: one attempt may follow
