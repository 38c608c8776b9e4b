"""The lane of long requests: one at a time, and never the same sender's while another waits.

First it is the turn of the kind of sender (a key, a site's public id, nobody known) that has used the lane
least of late, then of whoever of that kind has. So a stranger who sends long bodies all day costs
a sender with a key one of them at most.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from time import perf_counter

from footfall.errors import TooMany
from footfall.model.times import Seconds
from footfall.runtime.fair import Asker, beginnings

KEY = "key"
"""The kind of a sender with a key."""

_MOST_WAITING = 20  # requests of one sender
_MOST_STRANGERS = 100  # requests without a key
_HALF_LIFE = 10.0  # seconds after which what was used counts half
_NOTHING = 0.001  # seconds of use that are forgotten


class Lane:
    """For one event loop."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._taken = False
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[Asker, asyncio.Future[None]]] = {}  # in the order they came
        self._of_sender: Counter[Asker] = Counter()  # how many of them
        self._used: dict[Asker, float] = {}  # seconds, by each beginning of a path
        self._since = clock()

    @asynccontextmanager
    async def turn(self, sender: Asker) -> AsyncGenerator[None]:
        """The lane, for the block. Raises TooMany when as many of this sender's requests wait as may."""
        if self._taken:
            await self._wait(sender)
        self._taken = True
        began = self._clock()
        try:
            yield
        finally:
            self._use(sender, self._clock() - began)
            self._pass_on()

    async def _wait(self, sender: Asker) -> None:
        if self._of_sender[sender] >= _MOST_WAITING:
            raise TooMany(
                f"{_MOST_WAITING} large requests of this sender wait already; send fewer or smaller ones",
                retry_after=1,
            )
        if sender[0] != KEY and self._strangers() >= _MOST_STRANGERS:
            raise TooMany(
                "too many large requests without a key wait already; send smaller ones", retry_after=5
            )
        number = next(self._numbers)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = sender, turn
        self._of_sender[sender] += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came just when nobody wanted it any more
                self._pass_on()
            raise
        finally:
            self._waiting.pop(number, None)
            self._of_sender[sender] -= 1
            if not self._of_sender[sender]:
                del self._of_sender[sender]

    def _strangers(self) -> int:
        return sum(count for sender, count in self._of_sender.items() if sender[0] != KEY)

    def _pass_on(self) -> None:
        while self._waiting:
            number = min(self._waiting, key=self._rank)
            _, turn = self._waiting.pop(number)
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    def _rank(self, number: int) -> tuple[list[float], int]:
        sender, _ = self._waiting[number]
        return [self._used.get(beginning, 0.0) for beginning in beginnings(sender)], number

    def _use(self, sender: Asker, seconds: Seconds) -> None:
        now = self._clock()
        left = 0.5 ** ((now - self._since) / _HALF_LIFE)
        self._since = now
        self._used = {path: used * left for path, used in self._used.items() if used * left > _NOTHING}
        for beginning in beginnings(sender):
            self._used[beginning] = self._used.get(beginning, 0.0) + seconds
