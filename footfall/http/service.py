"""What the connections of one server share: the application, the room for all, and the loop's time."""

import asyncio
from collections import deque
from collections.abc import Callable

from footfall.http.exchange import App, Exchange
from footfall.http.limits import ConnectionRoom

READ = 64 << 10  # bytes that are read of one connection in a turn of the loop
READ_BUSY = 2 << 10  # the same, once a turn has become long: enough for the head of most requests
BUSY = 1 << 20  # bytes that are read until then,
READ_COST = 16 << 10  # each time as if it were so many more: a request is work, however short


class Service:
    """What the connections of one server share."""

    def __init__(self, app: App, room: ConnectionRoom) -> None:
        self.room = room
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()
        self.space = Space(self.loop)
        self._app = app

    def answer(self, exchange: Exchange) -> None:
        """Let the application answer."""
        task = self.loop.create_task(exchange.run(self._app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Space:
    """Where all connections of a loop read to, `view` as it is now: what is read is taken apart at once.

    An answer takes several turns of the loop. When hundreds send at once, a turn takes little of each, and
    takes apart only so much: the others wait for their turns, else all would wait until all was done.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.view = self.whole = memoryview(bytearray(READ))
        self._loop = loop
        self._left = BUSY
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._is_due = False

    @property
    def is_spent(self) -> bool:
        """Whether this turn has done enough."""
        return self._left <= 0

    def spend(self, nbytes: int) -> bool:
        """So much was read. Whether that was all that there was room for."""
        filled = nbytes == len(self.view)
        self._left -= nbytes + READ_COST
        if self._left <= 0 and self.view is self.whole:
            self.view = self.whole[:READ_BUSY]
        self._call_next()
        return filled

    def wait(self, go_on: Callable[[], None], nbytes: int) -> None:
        """Have `go_on` called in a later turn, after those that wait already. It takes so many bytes."""
        self._waiting.append((nbytes + READ_COST, go_on))
        self._call_next()

    def _call_next(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_due = False
        self.view, self._left = self.whole, BUSY
        room = BUSY // 2  # the rest is for who comes now
        while self._waiting and room > 0:
            size, go_on = self._waiting.popleft()
            room -= size
            go_on()
        if self._waiting:
            self._call_next()
