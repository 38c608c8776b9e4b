"""What strangers may take of a server: connections, memory, time. And what is said to who takes more.

The rule where something is full: who has kept the server waiting longest goes, not who comes. So
nobody can shut others out by holding on to what is limited.
"""

import ctypes
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from heapq import nsmallest
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, Protocol

import msgspec
import structlog
from msgspec import Struct

from footfall.metrics import HTTP_CONNECTIONS, HTTP_HELD_BYTES, HTTP_REFUSED
from footfall.model.addresses import inner_ipv4
from footfall.problems import MEDIA_TYPE, document
from footfall.runtime import open_files
from footfall.settings import Settings

log = structlog.get_logger(__name__)

Network = IPv4Network | IPv6Network

HEAD_BYTES = 64 << 10  # of request line and headers, and of what is neither head nor body
HEADER_LINES = 200
QUEUED_REQUESTS = 16  # that wait behind the one being answered
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
LOWEST_RATE = 16 << 10  # bytes of a body that are worth a further second
IDLE_SECONDS = 65.0  # between requests
UNREAD_SECONDS = 60.0  # that a client has for its answer
LOWEST_ANSWER_RATE = 4 << 10  # bytes of an answer that are worth a further second
LINGER_SECONDS = 2.0  # for reading on after the last answer, so that the client gets it

_WORTH_TRIMMING = 16 << 20


class ConnectionLimits(Struct, frozen=True):
    """What can be set; the rest are the constants above. `memory` in bytes."""

    connections: int = 10_000
    address_connections: int = 1_000
    memory: int = 48 << 20
    trusted: Sequence[Network] = ()  # proxies: many clients behind one address


def limits_of(settings: Settings) -> ConnectionLimits:
    """The limits that the settings name."""
    return ConnectionLimits(
        settings.connections, settings.address_connections, settings.request_memory, settings.trusted_proxies
    )


class Refusal(NamedTuple):
    """Why a request is refused by the server itself. `reason` is the metric's label."""

    reason: str
    status: int
    detail: str

    def answer(self) -> bytes:
        """The whole answer, after which the connection is closed."""
        return _answer(self)


MALFORMED = Refusal("malformed", 400, "this is no valid HTTP/1.1 request")
BAD_HOST = Refusal("host", 400, "a request has one Host, a name or an address, with or without a port")
HEAD_TOO_LARGE = Refusal(
    "head_too_large", 431, f"at most {HEAD_BYTES} bytes and {HEADER_LINES} header lines are taken"
)
HEAD_SLOW = Refusal("head_slow", 408, f"a request's head has {HEAD_SECONDS:g} seconds to arrive")
BODY_SLOW = Refusal(
    "body_slow", 408, f"a body has {BODY_SECONDS:g} seconds, and one more for every {LOWEST_RATE} bytes"
)
MEMORY = Refusal("memory", 503, "too many requests are being received now; send it again later")
CONNECTIONS = Refusal("connections", 503, "there are too many connections now; try again later")
ADDRESS_CONNECTIONS = Refusal(
    "address_connections", 503, "there are too many connections from this address now; try again later"
)
# These get no answer: there is nobody who would read it, or it was given already.
QUEUE_FULL = Refusal("queue_full", 0, f"more than {QUEUED_REQUESTS} requests wait on one connection")
UNREAD = Refusal("unread", 0, "the answers are not read")


@lru_cache
def _answer(refusal: Refusal) -> bytes:
    if not refusal.status:
        return b""
    problem = document(refusal.status, refusal.detail)
    body = msgspec.json.encode(problem)
    again = "retry-after: 1\r\n" if refusal.status == 503 else ""
    head = (
        f"HTTP/1.1 {refusal.status} {problem['title']}\r\ncontent-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
        f"{again}connection: close\r\n\r\n"
    )
    return head.encode() + body


class LimitedConnection(Protocol):
    """A connection, as far as its limits are concerned."""

    address: str  # "" for one that is not limited by address
    patience: float  # seconds that are left to it

    def awaits_client(self) -> bool:
        """Whether it is the client's turn: nothing of it is being worked on."""
        ...

    def refuse(self, refusal: Refusal) -> None:
        """Answer, and end."""
        ...

    def give_up(self) -> None:
        """End at once, whatever of its answers the client has not taken."""
        ...


class ConnectionRoom:
    """What all connections of one server hold together."""

    def __init__(self, limits: ConnectionLimits) -> None:
        # The process needs files for other things, too.
        self._most = min(limits.connections, open_files.raise_limit() // 2)
        self._of_address = limits.address_connections
        self.memory = limits.memory
        self._trusted = limits.trusted
        self.connections: set[LimitedConnection] = set()
        self._by_address: dict[str, set[LimitedConnection]] = {}
        self.held = 0  # bytes of requests that are not answered yet, and of answers that are not taken yet
        self._peak = 0  # of them, as far as `was_full` looked
        self._arriving: dict[LimitedConnection, None] = {}  # who still sends, by when it began
        self._untaken: dict[LimitedConnection, int] = {}  # bytes of answers, by when the client stopped
        self._refused: Counter[str] = Counter()  # since the last line about them

    def enter(self, connection: LimitedConnection, host: str) -> Refusal | None:
        """A new connection from `host`. Returns why it cannot be had, if it cannot."""
        address = place(host, self._trusted)
        mates = self._by_address.get(address, ())
        if address and len(mates) >= self._of_address and not _make_room(mates, ADDRESS_CONNECTIONS):
            return ADDRESS_CONNECTIONS
        if len(self.connections) >= self._most and not _make_room(self.connections, CONNECTIONS):
            return CONNECTIONS
        connection.address = address
        self.connections.add(connection)
        if address:
            self._by_address.setdefault(address, set()).add(connection)
        return None

    def leave(self, connection: LimitedConnection) -> None:
        """The connection is gone, or about to go."""
        self.connections.discard(connection)
        self._arriving.pop(connection, None)
        self.taken(connection)
        mates = self._by_address.get(connection.address)
        if mates is not None:
            mates.discard(connection)
            if not mates:
                del self._by_address[connection.address]

    def arriving(self, connection: LimitedConnection) -> None:
        """A part of a request is there, the rest is not."""
        self._arriving.setdefault(connection)

    def arrived(self, connection: LimitedConnection) -> None:
        """The request is whole, or given up."""
        self._arriving.pop(connection, None)

    def untaken(self, connection: LimitedConnection, size: int) -> None:
        """The client leaves so many bytes of answers here. Others', the oldest, make room for them."""
        self.held += size - self._untaken.get(connection, 0)
        self._untaken[connection] = size
        while self.held > self.memory and (first := next(iter(self._untaken))) is not connection:
            first.give_up()

    def taken(self, connection: LimitedConnection) -> None:
        """The client takes its answers again, or never will."""
        self.held -= self._untaken.pop(connection, 0)

    def relieve(self, connection: LimitedConnection) -> None:
        """Make room: the oldest answers that are not taken go, then who began earliest and is not done yet.

        Where neither is enough it is `connection` that is refused.
        """
        while self.held > self.memory and self._untaken:
            next(iter(self._untaken)).give_up()
        while self.held > self.memory:
            first = next(iter(self._arriving), connection)
            self.arrived(first)  # also who only waits for its end: nobody is asked twice
            first.refuse(MEMORY)
            if first is connection:
                return

    def count(self, refusal: Refusal) -> None:
        """Something was refused."""
        self._refused[refusal.reason] += 1
        HTTP_REFUSED.labels(refusal.reason).inc()

    def tell(self) -> None:
        """Say what was refused since the last time, in one line."""
        HTTP_CONNECTIONS.set(len(self.connections))
        HTTP_HELD_BYTES.set(self.held)
        if self._refused:
            log.info("http.refused", reasons=dict(self._refused))
            self._refused.clear()

    def was_full(self) -> bool:
        """Whether much was held and is not any more: worth giving memory back. Once for each time."""
        self._peak = max(self._peak, self.held)
        if self._peak < _WORTH_TRIMMING or self.held > self._peak // 4:
            return False
        self._peak = self.held
        return True


def give_memory_back() -> None:
    """Return to the system what the C library keeps for later. It blocks: for a thread."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc only
    if trim is not None:
        trim(0)


def _make_room(connections: Collection[LimitedConnection], refusal: Refusal) -> bool:
    """Refuse a few of those that wait for their clients, the least patient first. False if there are none.

    A few at once, because it means looking at all of them.
    """
    waiting = [connection for connection in connections if connection.awaits_client()]
    for connection in nsmallest(1 + len(waiting) // 16, waiting, key=lambda each: each.patience):
        connection.refuse(refusal)
    return bool(waiting)


@lru_cache(4096)
def place(host: str, trusted: Sequence[Network] = ()) -> str:
    """What is limited together: an IPv4 address, an IPv6 network of /64; "" for trusted proxies."""
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    proxy = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    if any(proxy in network for network in trusted if network.version == proxy.version):
        return ""
    if isinstance(address, IPv6Address):
        return str(inner_ipv4(address) or IPv6Network((int(address), 64), strict=False))
    return str(address)
