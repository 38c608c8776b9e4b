"""Lending a few things to many who ask, so that nobody takes more than a share.

Who asks is a path, as (workspace, key). Who has the fewest things gets the next one: first of the workspaces,
then of its keys, then who came first. So one that asks a thousand times costs another one place in
the queue, not a thousand. For one event loop.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

Asker = tuple[str, ...]

ASKER: ContextVar[Asker] = ContextVar("ASKER", default=("",))
"""On whose behalf the running task asks."""


class Fair(Generic[T]):
    """`things` to lend, at most `most` at a time to one of the first names of a path."""

    def __init__(self, things: Iterable[T], most: int) -> None:
        self._idle = list(things)
        self._most = most
        self._lent: Counter[Asker] = Counter()  # by each beginning of a path
        self._waiting: dict[int, tuple[Asker, asyncio.Future[T]]] = {}  # in the order they came
        self._first: list[asyncio.Future[T]] = []
        self._numbers = itertools.count()

    async def take(self, asker: Asker) -> T:
        """One of the things, when it is this one's turn. Give it back."""
        number = next(self._numbers)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[number] = asker, future
        self._lend()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # lent just when nobody wanted it any more
                self.give_back(future.result(), asker)
            raise
        finally:
            self._waiting.pop(number, None)

    async def take_before_all(self) -> T:
        """One of the things, before all others who wait, however many are lent already."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._first.append(future)
        self._lend()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back(future.result())
            raise
        finally:
            if future in self._first:
                self._first.remove(future)

    def give_back(self, thing: T, asker: Asker = ()) -> None:
        """What was taken; `asker` as it was for `take`."""
        for beginning in beginnings(asker):
            self._lent[beginning] -= 1
            if not self._lent[beginning]:
                del self._lent[beginning]
        self._idle.append(thing)
        self._lend()

    def _lend(self) -> None:
        while self._idle and self._first:
            _settle(self._first.pop(0), self._idle)
        while self._idle and (number := self._next()) is not None:
            asker, future = self._waiting.pop(number)
            if not future.done():
                self._lent.update(beginnings(asker))
                _settle(future, self._idle)

    def _next(self) -> int | None:
        """Who of those that may have one comes next."""
        best: tuple[tuple[int, ...], int] | None = None
        for number, (asker, _) in self._waiting.items():
            lent = tuple(self._lent[beginning] for beginning in beginnings(asker))
            if lent[0] < self._most and (best is None or (lent, number) < best):
                best = lent, number
        return None if best is None else best[1]


def beginnings(asker: Asker) -> list[Asker]:
    """Whoever asks, less and less generally: (workspace,), (workspace, key)."""
    return [asker[: length + 1] for length in range(len(asker))]


def _settle(future: "asyncio.Future[T]", idle: list[T]) -> None:
    if not future.done():
        future.set_result(idle.pop(0))
