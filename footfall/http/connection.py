"""The HTTP of the door and the console: one client, within bounds.

What is held of a client is bounded: a head of 64 KiB, 64 KiB of a body that the application has not
read, 16 requests that wait for the one before; and of all clients together, see `Room`. The socket is
not read while requests wait, while the application is slow to read, and while the client does not read
its answers.
"""

import asyncio
from math import inf
from typing import Any

from footfall.http import limits
from footfall.http.exchange import Exchange
from footfall.http.limits import Refusal
from footfall.http.requests import Address, Enough, RefusedRequest, Requests
from footfall.http.service import Service
from footfall.http.untaken import Untaken
from footfall.model.times import Seconds


class Connection(asyncio.BufferedProtocol):
    """`patience`: seconds that the client has left for what it is about."""

    __slots__ = (
        "_current", "_ends", "_held", "_is_arriving", "_lingers", "_paused", "_queue", "_requests", "_seen",
        "_service", "_transport", "_unread", "_untaken", "_words", "_yields", "address", "patience", "room",
        "writable",
    )  # fmt: skip

    def __init__(self, service: Service) -> None:
        self._service = service
        self.room = service.room
        self.address = ""
        self.patience = limits.HEAD_SECONDS
        self.writable: asyncio.Event | None = None
        self._transport: Any = None
        self._requests: Requests
        self._current: Exchange | None = None  # that is answered now
        self._queue: list[Exchange] = []
        self._held = 0  # bytes of what is neither a whole head nor part of a body
        self._is_arriving = False
        self._paused = False
        self._yields = False  # for the others' turn
        self._unread = b""  # what came when enough was done
        self._ends = False  # nothing more is taken
        self._lingers = False  # all is said; what comes is thrown away
        self._words = b""  # the last ones
        self._seen = 0  # bytes of the body, at the last tick
        self._untaken: Untaken | None = None  # answers

    # asyncio calls these.

    def connection_made(self, transport: Any) -> None:
        """The client is there."""
        self._transport = transport
        client = _address(transport.get_extra_info("peername"))
        self._requests = Requests(self, client, _address(transport.get_extra_info("sockname")))
        refusal = self.room.enter(self, client[0] if client else "")
        if refusal is not None:
            self.room.count(refusal)
            self._ends = self._lingers = True
            transport.write(refusal.answer())
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's
        """The client is gone."""
        self._ends = self._lingers = True
        self._drop_part()
        self.room.leave(self)
        for exchange in (self._current, self._requests.reading, *self._queue):
            if exchange is not None:
                exchange.lose()
        self._queue.clear()
        self._current = None
        self._requests.close()
        self.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 -- asyncio's
        """Where to read to."""
        return self._service.space.view

    def buffer_updated(self, nbytes: int) -> None:
        """Something came."""
        space = self._service.space
        later = space.is_spent and not self._ends
        filled = space.spend(nbytes)
        data = space.whole[:nbytes]
        if later:
            self._unread = bytes(data)
        if later or filled:  # then it is others' turn
            self._yields = True
            self._flow()
            space.wait(self._go_on, nbytes)
        if not (later or self._ends):
            self._take(data)

    def _take(self, data: memoryview) -> None:
        requests = self._requests
        try:
            requests.take(data)
        except Enough:
            self._ends = True  # after the answers that are due
            self._flow()
        except RefusedRequest as refused:
            self._refuse(refused.refusal)
        else:
            if requests.reading is not None or requests.is_small_talk:
                self._wait_for_rest(len(data))
            if self.room.held > self.room.memory:
                self.room.relieve(self)

    def eof_received(self) -> None:
        """The client sends no more: the connection is closed."""

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        self.writable = asyncio.Event()
        self._untaken = Untaken(self, self.room, self._transport)
        self._flow()

    def resume_writing(self) -> None:
        """It takes it again."""
        if self.writable is not None:
            self.writable.set()
            self.writable = self._untaken = None
            self.room.taken(self)
            self._advance()

    def _go_on(self) -> None:
        self._yields = False
        data, self._unread = self._unread, b""
        if data and not self._ends:
            self._take(memoryview(data))
        self._flow()

    def _flow(self) -> None:
        """Read, or let the client wait."""
        reading = self._requests.reading
        wait = self._yields or (
            not self._lingers
            and (
                self._ends
                or bool(self._queue)
                or self.writable is not None
                or (reading is not None and reading.is_full)
            )
        )
        if wait != self._paused and not self._transport.is_closing():
            self._paused = wait
            if wait:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # `Requests` calls these.

    def begun(self, exchange: Exchange) -> None:
        """The head of a request is there. Raises RefusedRequest."""
        self._drop_part()
        self._seen = 0
        self.patience = limits.BODY_SECONDS
        if self._current is None:
            self._current = exchange
            self._service.answer(exchange)
            return
        if len(self._queue) == limits.QUEUED_REQUESTS:
            raise RefusedRequest(limits.QUEUE_FULL)
        self._queue.append(exchange)
        self._flow()

    def body_came(self, exchange: Exchange, data: bytes) -> None:
        """A part of its body."""
        self.room.held += len(data)
        exchange.feed(data)
        if exchange.is_full:
            self._flow()

    def ended(self, exchange: Exchange) -> None:
        """The request is whole."""
        self._drop_part()
        self.patience = limits.IDLE_SECONDS if exchange.answered and self._current is None else inf

    def _wait_for_rest(self, nbytes: int) -> None:
        """A part of a request is there."""
        if self._requests.is_small_talk:
            if self._requests.reading is None and not self._held:
                self.patience = limits.HEAD_SECONDS
            self._held += nbytes
            self.room.held += nbytes
        if not self._is_arriving:
            self._is_arriving = True
            self.room.arriving(self)

    def _drop_part(self) -> None:
        if self._is_arriving:
            self._is_arriving = False
            self.room.arrived(self)
        if self._held:
            self.room.held -= self._held
            self._held = 0

    # The exchanges call these.

    def write(self, data: bytes) -> None:
        """Send."""
        self._transport.write(data)

    def consumed(self) -> None:
        """The application took what there was of the body."""
        self._flow()

    def release(self, size: int) -> None:
        """So many bytes of a request are not held any more."""
        self.room.held -= size

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def answered(self, exchange: Exchange) -> None:
        """The answer is whole: the next request, or the end."""
        self._current = None
        if not exchange.keep_alive:
            if exchange.whole and not self._ends:
                self._transport.close()
            else:
                self._linger()
            return
        if exchange.whole and not self._requests.in_head:
            self.patience = limits.IDLE_SECONDS
        self._advance()

    def _advance(self) -> None:
        if self._current is None and self.writable is None:
            if self._queue:
                self._current = self._queue.pop(0)
                self._service.answer(self._current)
            elif self._ends:
                self._linger()
        self._flow()

    # The ends

    def awaits_client(self) -> bool:
        """Whether it is the client's turn."""
        return not self._unread and (self._current is None or self._current is self._requests.reading)

    def refuse(self, refusal: Refusal) -> None:
        """Answer what has come of a request, after those before it, and end; with nothing, just end."""
        if self._ends:
            self.abort()
        elif self._current is None and self._requests.reading is None and not self._requests.is_small_talk:
            self.room.count(refusal)
            self._transport.close()
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        self._drop_part()
        self.room.count(refusal)
        self._ends = True
        self._words = refusal.answer()
        unfinished, self._requests.reading = self._requests.reading, None
        if unfinished is None and refusal is limits.MEMORY:
            # The newest. It came with what was just read: the application has nothing of it.
            unfinished = self._queue[-1] if self._queue else self._current
        if unfinished is not None and unfinished.answered:
            self._words = b""
        elif unfinished is not None and unfinished.started:
            self.abort()
            return
        elif unfinished is not None:
            unfinished.lose()
            if unfinished is self._current:
                self._current = None
            else:
                self._queue.remove(unfinished)
        last = self._queue[-1] if self._queue else self._current
        if last is not None:
            last.keep_alive = bool(self._words)
        self._advance()

    def _linger(self) -> None:
        """Say the last words and read on for a little: a socket closed with bytes unread takes them back."""
        if self._lingers or self._transport.is_closing():
            return
        self._ends = self._lingers = True
        self._drop_part()
        if self._words:
            self._transport.write(self._words)
        self._transport.write_eof()
        self.patience = limits.LINGER_SECONDS
        self._flow()

    def shut_down(self) -> None:
        """Answer what has come, then end."""
        if self._unread:
            self._go_on()
        last = self._queue[-1] if self._queue else self._current
        if last is None:
            self._transport.close()
        else:
            last.keep_alive = False
            self._requests.is_last = True

    def tick(self, seconds: Seconds) -> None:
        """So much time went by."""
        if self.writable is not None or self._transport.is_closing():
            self._untaken = self._untaken or Untaken(self, self.room, self._transport)
            if self._untaken.tick(seconds):
                self.give_up()
        elif self.patience != inf and not self._unread and (self._yields or not self._paused):
            reading = self._requests.reading
            if reading is not None:
                gained = max(0, reading.size - self._seen) / limits.LOWEST_RATE
                self._seen = reading.size
                self.patience = min(limits.BODY_SECONDS, self.patience + gained)
            self.patience -= seconds
            if self.patience <= 0:
                self._lose_patience()

    def give_up(self) -> None:
        """The client does not take its answers."""
        self.room.taken(self)
        self.room.count(limits.UNREAD)
        self.abort()

    def _lose_patience(self) -> None:
        if self._lingers or self._ends:
            self._transport.close()
        elif self._requests.reading is not None:
            self.refuse(limits.BODY_SLOW)
        elif self._requests.is_small_talk:
            self.refuse(limits.HEAD_SLOW)
        else:
            self._transport.close()


def _address(name: tuple[Any, ...] | None) -> Address:
    return (name[0], name[1]) if name else None
