"""From the bytes of one connection to its requests. llhttp (through httptools) takes them apart, strictly."""

from typing import Any, Protocol

import httptools

from footfall.http import limits
from footfall.http.exchange import Connection, Exchange
from footfall.http.head import (
    Headers,
    WrongHead,
    WrongHost,
    check_headers,
    framing,
    read_target,
    size_of,
    with_host,
)
from footfall.http.limits import Refusal

Address = tuple[str, int] | None


class RefusedRequest(Exception):
    """What came is no request that is answered."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


class Enough(Exception):
    """There is more after the last request of the connection. It is nobody's."""


class Taker(Connection, Protocol):
    """The connection."""

    def begun(self, exchange: Exchange) -> None:
        """The head of a request is there. Raises RefusedRequest."""

    def body_came(self, exchange: Exchange, data: bytes) -> None:
        """A part of its body."""

    def ended(self, exchange: Exchange) -> None:
        """The request is whole."""


class Requests:
    """Reads one request after the other. `reading` is the one whose body is not whole yet."""

    __slots__ = (
        "_client", "_framing", "_headers", "_overhead", "_parser", "_server", "_spans", "_taker", "_url",
        "in_head", "is_last", "reading",
    )  # fmt: skip

    def __init__(self, taker: Taker, client: Address, server: Address) -> None:
        self._taker = taker
        self._client, self._server = client, server
        self._parser: Any = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: Headers = []  # of the head, then of the trailers
        self.in_head = False
        self._spans = False  # the head came in pieces
        self._overhead = 0  # bytes that came since something came of them
        self._framing = b""  # of a body that the parser would not read
        self.reading: Exchange | None = None
        self.is_last = False  # the request that was read last, by its own words or the server's

    @property
    def is_small_talk(self) -> bool:
        """Whether what came last is neither a whole head nor part of a body."""
        return self.in_head or self._overhead > 0

    def close(self) -> None:
        """The connection is gone. Nothing refers to itself in a circle then, so it goes at once."""
        self._parser = self.reading = None
        del self._taker

    def take(self, data: memoryview) -> None:
        """Take apart what came. Raises RefusedRequest and Enough."""
        self._overhead += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            raise self._cause_of(error) from None
        if self._overhead > limits.HEAD_BYTES or len(self._headers) > limits.HEADER_LINES:
            raise RefusedRequest(limits.HEAD_TOO_LARGE)
        if self.in_head:
            self._spans = True

    def _feed(self, data: memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        else:
            return
        if self._framing:
            # Nothing is upgraded, so the body is a body. That parser sees none: another one reads it.
            self._parser = httptools.HttpRequestParser(_BodyOf(self))
            self._parser.feed_data(self._framing)
            self._framing = b""
            self._parser.feed_data(rest)

    def _cause_of(self, error: httptools.HttpParserError) -> BaseException:
        if isinstance(error, httptools.HttpParserCallbackError) and error.__context__ is not None:
            return error.__context__
        return Enough() if self.is_last and self.reading is None else RefusedRequest(limits.MALFORMED)

    # The parser calls these.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self.is_last:
            raise Enough
        self._url = b""
        self._headers = []
        self.in_head = True
        self._spans = False

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is not taken for one."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        headers, self._headers = self._headers, []
        self.in_head = False
        self._overhead = 0
        too_large = self._spans and size_of(self._url, headers) > limits.HEAD_BYTES
        if too_large or len(headers) > limits.HEADER_LINES:
            raise RefusedRequest(limits.HEAD_TOO_LARGE)
        exchange = self._exchange(headers)
        self._taker.begun(exchange)
        self.reading = exchange

    def _exchange(self, headers: Headers) -> Exchange:
        parser = self._parser
        method = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        try:
            expects_continue = check_headers(headers, version)
            path, raw_path, query, host = read_target(self._url)
        except WrongHost:
            raise RefusedRequest(limits.BAD_HOST) from None
        except WrongHead:
            raise RefusedRequest(limits.MALFORMED) from None
        if method == "CONNECT" or version not in ("1.1", "1.0"):
            raise RefusedRequest(limits.MALFORMED)
        if parser.should_upgrade():
            self._framing = framing(headers)
            self.is_last = True
        elif version != "1.1" or not parser.should_keep_alive():
            self.is_last = True
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "root_path": "",
            "method": method,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": with_host(headers, host) if host else headers,
            "state": {},
        }
        return Exchange(self._taker, scope, keep_alive=not self.is_last, expects_continue=expects_continue)

    def on_body(self, data: bytes) -> None:
        """A part of the body. Of a request that is answered nobody wants to know it."""
        self._overhead = 0
        exchange = self.reading
        if exchange is not None and not (exchange.answered or exchange.gone):
            self._taker.body_came(exchange, data)

    def on_message_complete(self) -> None:
        """The request is whole, unless its body was not read as one."""
        exchange = self.reading
        if self._framing or exchange is None:
            return
        self._overhead = 0
        self._headers = []
        self.reading = None
        exchange.end()
        self._taker.ended(exchange)


class _BodyOf:
    """What a parser calls that reads one body only."""

    def __init__(self, requests: Requests) -> None:
        self.on_body = requests.on_body
        self.on_message_complete = requests.on_message_complete
        self._begun = False

    def on_message_begin(self) -> None:
        """Of what follows the body nothing is taken."""
        if self._begun:
            raise Enough
        self._begun = True
