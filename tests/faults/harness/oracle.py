"""The oracle: a process that loads doors over HTTP and writes down what it was promised.

    python -m tests.faults.harness.oracle BOOK OPTIONS(JSON)

It goes on until `stop` comes on its standard input (`phase NAME` begins another phase), then waits
for the answers under way. Requests start at fixed times, and latencies count from when a request
should have started: a stalled door cannot hide behind a client that waits for it.
"""

import asyncio
import json
import random
import sys
import time
from collections import deque
from pathlib import Path

import msgspec
import uvloop
from msgspec import Struct

from tests.faults.harness.book import Writer, event_id

ANSWER_TIMEOUT = 20.0
EVENT_TYPE = "oracle"


class Options(Struct, frozen=True, kw_only=True):
    """What the oracle does. Rates are a second."""

    doors: list[int]  # ports
    key: str
    code: str  # of a short link
    first: int = 0  # the first token
    events: float = 1000.0
    batch: int = 20
    clicks: float = 50.0
    connections: int = 8
    # Share of the requests without an answer, or refused, that are sent again with the same ids.
    resend: float = 0.5
    # Share of the acknowledged events that are sent again: in other batches, orders, connections, hours.
    storm: float = 0.0
    # Share of the events with times far away, or around a change of daylight-saving time.
    odd_times: float = 0.0
    seed: int = 1


# Unix seconds, ISO 8601, milliseconds; the hours that do not exist or exist twice in Berlin.
_ODD_TIMES = (
    '"1970-01-01T00:00:00Z"', '"1969-12-31T23:59:59Z"', "0", '"2099-12-31T23:59:59.999+14:00"',
    '"2026-03-29T02:30:00"', '"2026-10-25T02:30:00+02:00"', '"2026-10-25T02:30:00+01:00"',
    "4102444800000", '"2000-02-29T12:00:00Z"', "253402300799",
)  # fmt: skip


class Pace:
    """Times at which requests are due: `rate` a second, whatever the answers do."""

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        self._due = time.perf_counter()

    async def next(self) -> float:
        """Sleeps until the next request is due; returns when that is."""
        self._due += self._step
        due = self._due
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        return due

    def restart(self) -> None:
        """Nothing could be sent for a while: forget what was due meanwhile."""
        self._due = max(self._due, time.perf_counter())


class BrokenError(Exception):
    """The connection ended, or nothing came back."""


class Connection:
    """One keep-alive connection with one request under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect, unless it is. Raises OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises BrokenError."""
        assert self._streams
        reader, writer = self._streams
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                start, *lines = head.rstrip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, EOFError, TimeoutError) as error:
            writer.transport.abort()
            self._streams = None
            raise BrokenError from error
        if headers.get("connection") == "close":
            writer.transport.abort()
            self._streams = None
        return int(start.split(" ")[1]), headers, body


class Oracle:
    """Sends, listens, and writes it down."""

    def __init__(self, book: Writer, options: Options) -> None:
        self._book = book
        self._options = options
        self._chance = random.Random(options.seed)
        self._token = options.first
        self._batches = 0
        self._again: deque[list[int]] = deque()
        self._pool: list[int] = []
        self._stopping = asyncio.Event()
        self._phase = ""
        self._latencies: dict[str, list[float]] = {}

    async def run(self) -> None:
        """Load the doors until standard input says `stop`."""
        options = self._options
        events, clicks = Pace(options.events / options.batch), Pace(options.clicks or 1)
        tasks: list[asyncio.Task[None]] = []
        for number in range(options.connections):
            door = options.doors[number % len(options.doors)]
            tasks.append(asyncio.create_task(self._send_events(Connection(door), events)))
            if options.clicks:
                tasks.append(asyncio.create_task(self._send_clicks(Connection(door), clicks)))
        commands = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
        )
        while line := (await commands.readline()).decode().strip():
            if line == "stop":
                break
            self._phase = line.removeprefix("phase ")
            self._book.write("phase", self._phase)
        self._stopping.set()
        await asyncio.gather(*tasks)
        for phase, times in self._latencies.items():
            self._book.write("latency", phase, *(f"{each:.2f}" for each in times))

    async def _send_events(self, connection: Connection, pace: Pace) -> None:
        while not self._stopping.is_set():
            await pace.next()
            if not await self._connected(connection, pace):
                continue
            tokens, named = self._next_batch()
            self._book.write("sent" if named else "unnamed", *tokens)
            try:
                status, _, body = await connection.ask(self._request(tokens, named=named))
            except BrokenError:
                status, body = 0, b""
            if status == 202 and all_taken(body, len(tokens)):
                self._book.write("safe", *tokens)
                if named:
                    self._pool += [token for token in tokens if self._chance.random() < self._options.storm]
                continue
            if status in {429, 503}:
                self._book.write("refused", status, *tokens)
            elif status:
                self._book.write("wrong", status, body[:500])
            if named and self._chance.random() < self._options.resend:
                self._again.append(tokens)

    async def _send_clicks(self, connection: Connection, pace: Pace) -> None:
        while not self._stopping.is_set():
            due = await pace.next()
            if not await self._connected(connection, pace):
                continue
            token = self._new_token()
            self._book.write("click", token)
            request = f"GET /{self._options.code}?n={token} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
            try:
                status, headers, _ = await connection.ask(request)
            except BrokenError:
                continue
            self._latencies.setdefault(self._phase, []).append(1000 * (time.perf_counter() - due))
            if status != 302:
                self._book.write("wrong", "click", status)
                continue
            self._book.write("id", token, headers["footfall-event"])
            self._book.write("safe" if headers["footfall-logged"] == "yes" else "pending", token)

    async def _connected(self, connection: Connection, pace: Pace) -> bool:
        try:
            await connection.open()
        except OSError:
            await asyncio.sleep(0.02)
            pace.restart()
            return False
        return True

    def _next_batch(self) -> tuple[list[int], bool]:
        """Tokens, and whether their events have ids of ours; only those may be sent again."""
        if self._again and self._chance.random() < 0.5:
            return self._again.popleft(), True
        if len(self._pool) >= self._options.batch and self._chance.random() < 0.5:
            self._chance.shuffle(self._pool)
            taken = self._pool[: self._options.batch]
            # Some stay and are sent a third time.
            self._pool = self._pool[self._options.batch // 2 :]
            return taken, True
        self._batches += 1
        return [self._new_token() for _ in range(self._options.batch)], self._batches % 4 != 0

    def _new_token(self) -> int:
        self._token += 1
        return self._token

    def _request(self, tokens: list[int], *, named: bool) -> bytes:
        chance, options = self._chance, self._options
        events: list[str] = []
        for token in tokens:
            name = f'"event_id":"{event_id(token)}",' if named else ""
            at = ""
            if chance.random() < options.odd_times:
                at = f'"occurred_at":{chance.choice(_ODD_TIMES)},'
            elif options.storm and chance.random() < 0.5:
                at = f'"occurred_at":{time.time() - chance.uniform(0, 6 * 86400):.3f},'
            events.append(
                f'{{"event_type":"{EVENT_TYPE}",{name}{at}"page_url":"https://site.example/page?n={token}"}}'
            )
        body = f'{{"events":[{",".join(events)}]}}'.encode()
        head = (
            "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {options.key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def all_taken(body: bytes, count: int) -> bool:
    """Every event of the request was accepted, or was another one of it again."""
    answer = json.loads(body)
    repeated = sum(result["status"] == "duplicate" for result in answer["results"])
    return answer["accepted"] + repeated == count


async def main(path: Path, options: Options) -> None:
    book = Writer(path)
    await Oracle(book, options).run()
    book.close()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Options)))
