"""One request and its answer, as an ASGI application sees them."""

import asyncio
import http
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import structlog

log = structlog.get_logger(__name__)

Message = Any
Scope = dict[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

BUFFER = 64 << 10
"""So much of a body is kept for the application before the client has to wait."""

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_BODILESS = (204, 304)
_FAILED = b"the server failed; its log says why"


class Connection(Protocol):
    """The connection, as far as an exchange is concerned."""

    writable: asyncio.Event | None
    """Set as soon as the client has taken enough; None: it has."""

    def write(self, data: bytes) -> None:
        """Send."""

    def consumed(self) -> None:
        """The application took what there was of the body."""

    def answered(self, exchange: "Exchange") -> None:
        """The answer is whole."""

    def release(self, size: int) -> None:
        """So many bytes of the request are not held any more."""

    def abort(self) -> None:
        """End at once: what was sent of the answer cannot be made good."""


class Exchange:
    """Made when the head is there. `size` is what was received of the body and is still held."""

    __slots__ = (
        "_body", "_chunked", "_delivered", "_left", "_line", "_news", "_to_continue", "answered", "gone",
        "keep_alive", "scope", "size", "started", "whole",
    )  # fmt: skip

    def __init__(self, line: Connection, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self._line = line
        self.scope = scope
        self.keep_alive = keep_alive
        self.size = 0
        self.whole = False  # the request
        self.started = self.answered = False  # the answer
        self.gone = False  # the client, or the server's patience with it
        self._to_continue = expects_continue
        self._body: bytes | bytearray = b""
        self._delivered = False
        self._news: asyncio.Event | None = None
        self._chunked = False
        self._left = 0  # bytes of the answer's body that are to come

    # What the connection tells

    @property
    def is_full(self) -> bool:
        """Whether the client waits until the application has read. It reads nothing once it has answered."""
        return len(self._body) >= BUFFER and not self.answered

    def feed(self, data: bytes) -> None:
        """A part of the body."""
        self.size += len(data)
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        if self._news is not None and self.is_full:
            self._news.set()

    def end(self) -> None:
        """The body is whole."""
        self.whole = True
        if self._news is not None:
            self._news.set()

    def lose(self) -> None:
        """Nobody is there any more who would read an answer."""
        self.gone = True
        self._body = b""
        self.forget()
        if self._news is not None:
            self._news.set()

    def forget(self) -> None:
        """What was received is not held any more."""
        self._line.release(self.size)
        self.size = 0

    # What the application does

    async def run(self, app: App) -> None:
        """Let the application answer. Whatever it does, the connection goes on or ends."""
        try:
            await app(self.scope, self.receive, self.send)
            if not (self.answered or self.gone):
                raise RuntimeError("the application did not answer")
        except asyncio.CancelledError:
            self._line.abort()
            raise
        except Exception as error:
            if self.gone:
                log.debug("http.gone", path=self.scope["path"], problem=str(error))
            else:
                log.exception("http.failed", path=self.scope["path"])
                await self._fail()
        finally:
            self.forget()

    async def _fail(self) -> None:
        if self.started:
            self._line.abort()
            return
        self.keep_alive = False
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_FAILED))]
        await self.send({"type": "http.response.start", "status": 500, "headers": head})
        await self.send({"type": "http.response.body", "body": _FAILED})

    async def receive(self) -> Message:
        """ASGI. The body comes in parts of at least `BUFFER` bytes, but for the last."""
        if self._to_continue and not (self.started or self.gone):
            self._to_continue = False
            self._line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self.gone or self.answered):
            if not self._delivered and (self.whole or self.is_full):
                body, self._body = self._body, b""
                self._delivered = self.whole
                self._line.consumed()
                return {"type": "http.request", "body": bytes(body), "more_body": not self.whole}
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI. Returns when the client has taken so much that there is room for more."""
        if self._line.writable is not None and not self.gone:
            await self._line.writable.wait()
        if self.gone:
            return
        if self.answered:
            raise RuntimeError("the application answered twice")
        if self.started:
            self._continue(message.get("body", b""), last=not message.get("more_body", False))
        else:
            self._begin(message["status"], message.get("headers", ()))

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        parts = [_STATUS_LINES[status]]
        length = -1
        for name, value in headers:
            name = name.lower()  # noqa: PLW2901 -- this is the name
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            parts.append(b"%b: %b\r\n" % (name, value))
        if self.scope["method"] == "HEAD" or status in _BODILESS:
            length = 0
        elif length < 0 and self.scope["http_version"] == "1.1":
            self._chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
        elif length < 0:
            self.keep_alive = False  # the end of the connection is the end of the body
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        head = b"".join(parts)
        if head.count(b"\n") != len(parts) or head.count(b"\r") != len(parts) or b"\0" in head:
            raise RuntimeError("a header has a line break in it")
        self._left = length
        self.started = True
        self._to_continue = False
        self._line.write(head)

    def _continue(self, body: bytes, *, last: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = framed + b"0\r\n\r\n" if last else framed
        elif self._left >= 0:
            self._left -= len(body)
            if self._left < 0 or (last and self._left):
                raise RuntimeError("the answer is not as long as it says")
        if body:
            self._line.write(body)
        if last:
            self.answered = True
            if self._news is not None:
                self._news.set()
            self._line.answered(self)
