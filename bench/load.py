"""A load generator on one event loop: closed loop (as fast as it is answered) or open loop.

Open loop means that requests start at fixed times whatever the server does, and latency counts
from the time a request should have started: a stalled server cannot hide behind a generator
that waits for it (coordinated omission).
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import uvloop


@dataclass
class Outcome:
    """What came back: answers by status, seconds each took, and the time the run took."""

    statuses: dict[int, int] = field(default_factory=dict)
    pending: int = 0  # answers that said Footfall-Logged: pending
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    bodies: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return sum(self.statuses.values()) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that `share` of the requests did not exceed."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, run: "_Run") -> None:
        self.run = run
        self.buffer = b""
        self.due = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a TCP connection it is one
        self.run.idle(self)

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.find(b"content-length: ")
        length = int(self.buffer[at + 16 : self.buffer.index(b"\r\n", at)]) if 0 <= at < end else 0
        if len(self.buffer) < end + 4 + length:
            return
        body = self.buffer[end + 4 : end + 4 + length]
        status = int(self.buffer[9:12])
        logged = b"footfall-logged: pending" not in self.buffer[:end]
        self.buffer = b""
        self.run.answered(self, status, body, logged=logged)

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.lost(self)


class _Run:
    def __init__(self, requests: Sequence[bytes], *, keep: bool) -> None:
        self.requests = requests
        self.keep = keep
        self.outcome = Outcome()
        self.pending = 0
        self.sent = 0
        self.free: deque[_Connection] = deque()
        self.queue: deque[float] = deque()
        self.closed_loop_until = 0.0
        self.unlogged = 0
        self.broken = 0
        self.under_way = 0

    def next(self) -> bytes:
        self.sent += 1
        return self.requests[self.sent % len(self.requests)]

    def start(self, connection: _Connection, due: float) -> None:
        self.under_way += 1
        connection.send(self.next(), due)

    def idle(self, connection: _Connection) -> None:
        if self.closed_loop_until:
            now = time.perf_counter()
            if now < self.closed_loop_until:
                self.start(connection, now)
                return
        elif self.queue:
            self.start(connection, self.queue.popleft())
            return
        self.free.append(connection)

    def answered(self, connection: _Connection, status: int, body: bytes, *, logged: bool) -> None:
        self.under_way -= 1
        outcome = self.outcome
        outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
        outcome.latencies.append(time.perf_counter() - connection.due)
        self.unlogged += not logged
        if self.keep:
            outcome.bodies.append(body)
        self.idle(connection)

    def lost(self, connection: _Connection) -> None:
        self.broken += 1

    def tick(self, due: float) -> None:
        if self.free:
            self.start(self.free.popleft(), due)
        else:
            self.queue.append(due)


async def _drive(
    host: str,
    port: int,
    requests: Sequence[bytes],
    seconds: float,
    connections: int,
    rate: float | None,
    *,
    keep: bool,
) -> Outcome:
    run = _Run(requests, keep=keep)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    if rate is None:
        run.closed_loop_until = started + seconds
    made = [
        (await loop.create_connection(lambda: _Connection(run), host, port))[0] for _ in range(connections)
    ]
    if rate is not None:
        started = time.perf_counter()
        count = 0
        while count < rate * seconds:
            elapsed = time.perf_counter() - started
            while count < min(elapsed * rate, rate * seconds):
                run.tick(started + count / rate)
                count += 1
            await asyncio.sleep(0.0005)
    else:
        await asyncio.sleep(seconds)
    deadline = time.perf_counter() + 30
    while (run.under_way or run.queue) and time.perf_counter() < deadline and not run.broken:
        await asyncio.sleep(0.005)
    run.outcome.seconds = time.perf_counter() - started
    for transport in made:
        transport.abort()
    if run.under_way:
        raise RuntimeError(f"{run.under_way} requests were never answered: no result")
    run.outcome.pending = run.unlogged
    return run.outcome


def drive(
    host: str,
    port: int,
    requests: Sequence[bytes],
    seconds: float,
    *,
    connections: int = 64,
    rate: float | None = None,
    keep: bool = False,
) -> Outcome:
    """Send `requests` in turn for `seconds`: `rate` a second (open loop), or closed loop without."""
    return uvloop.run(_drive(host, port, requests, seconds, connections, rate, keep=keep))


def http_request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """The bytes of one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
