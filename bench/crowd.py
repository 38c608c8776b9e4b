"""2,000 hostile connections, for `bench/hostile.py`: a process of its own, until it is ended.

Silent ones, heads and bodies that drip, idle ones, and pipelines whose answers nobody reads. Who is thrown
out comes again. Prints a line when all have been there once.
"""

import asyncio
import random
import sys

import uvloop

COUNT = 2000
_HEAD = b"GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n"
_BODY = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
# What is sent first, then every second.
_KINDS = {
    "silent": (b"", b""),
    "head": (_HEAD + b"X: " + b"a" * 30_000, b"a"),
    "body": (_BODY + b"x" * 300_000, b"x" * 1000),
    "idle": (_HEAD + b"\r\n", b""),
    "pipeline": ((_HEAD + b"\r\n") * 2000, b""),
}
_SHARES = [*["silent", "head", "body", "idle"] * 5, "pipeline"]


class _Hostile(asyncio.Protocol):
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a TCP connection it is one
        assert self.transport is not None
        if self.kind == "pipeline":
            self.transport.pause_reading()
        self.transport.write(_KINDS[self.kind][0])

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def _stay(port: int, number: int, there: asyncio.Semaphore) -> None:
    loop = asyncio.get_running_loop()
    kind = _SHARES[number % len(_SHARES)]
    source = f"127.0.0.{2 + number % 8}"
    while True:
        try:
            _, hostile = await loop.create_connection(
                lambda: _Hostile(kind), "127.0.0.1", port, local_addr=(source, 0)
            )
        except OSError:
            await asyncio.sleep(0.5)
            continue
        there.release()
        assert hostile.transport is not None
        for _ in range(10 if kind == "pipeline" else 1000):
            await asyncio.sleep(random.uniform(0.8, 1.2))
            if hostile.lost.is_set():
                break
            if _KINDS[kind][1]:
                hostile.transport.write(_KINDS[kind][1])
        hostile.transport.abort()


async def _main(port: int) -> None:
    there = asyncio.Semaphore(0)
    crowd = [asyncio.create_task(_stay(port, number, there)) for number in range(COUNT)]
    for _ in range(COUNT):
        await there.acquire()
    print("all there", flush=True)
    await asyncio.gather(*crowd)


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
