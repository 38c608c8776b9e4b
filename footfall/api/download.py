"""A file as the answer to a request: encoded, compressed and sent page by page."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa
import structlog
import zstandard
from litestar import Response
from litestar.types import ASGIApp, Receive, Scope, Send

from footfall import metrics
from footfall.model.calendar import local
from footfall.query.export.formats import EXCEL, FORMATS, Format
from footfall.query.language.periods import Period

log = structlog.get_logger(__name__)

_CHUNK = 256 << 10
_STALLED = 60.0  # seconds for one of these: who reads more slowly keeps a turn and two pages from others
_GZIP_LEVEL = 4
_ZSTD_LEVEL = 3


class Compressor(Protocol):
    """Of one answer, as `zlib` and `zstandard` have it."""

    def compress(self, data: bytes, /) -> bytes: ...  # noqa: D102 - said above

    def flush(self) -> bytes: ...  # noqa: D102 - said above


class _Identity:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def compressor(accept: str, *, compressed: bool) -> tuple[str, Compressor]:
    """The encoding to answer with, given the header Accept-Encoding: zstd, gzip or "" for none."""
    wanted = {} if compressed else weights(accept)
    best = max(("zstd", "gzip"), key=lambda name: wanted.get(name, wanted.get("*", 0.0)))
    if wanted.get(best, wanted.get("*", 0.0)) <= 0:
        return "", _Identity()
    if best == "zstd":
        return "zstd", zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    return "gzip", zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)


class Download(Response[None]):
    """`pages` as a file of that format. `rows`: how many there will be.

    An error on the way ends the connection: a file that looks whole is whole.
    """

    def __init__(
        self,
        pages: AsyncGenerator[pa.Table],
        schema: pa.Schema,
        *,
        format: Format,  # noqa: A002 - as the caller writes it
        zone: ZoneInfo,
        name: str,
        rows: int,
        accept: str,
        headers: Mapping[str, str],
        excel: bool = False,
    ) -> None:
        kind = EXCEL if excel else FORMATS[format]
        encoding, self._compressor = compressor(accept, compressed=kind.compressed)
        self._pages = pages
        self._encoder = kind.encoder(schema, zone)
        self._format = format
        sent = {
            "Content-Type": kind.media_type,
            "Content-Disposition": f'attachment; filename="{name}.{format}"',
            "Cache-Control": "private, no-store",
            "Vary": "Accept-Encoding, Authorization",
            "Footfall-Rows": str(rows),
        }
        if encoding:
            sent["Content-Encoding"] = encoding
        super().__init__(None, headers=sent | dict(headers))

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # pyright: ignore[reportIncompatibleMethodOverride] - Litestar only calls it
        """As Litestar asks for it."""
        return self._send

    async def _send(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        async with aclosing(self._pages):
            try:
                # Before the status is sent, so that what fails at once is an ordinary refusal.
                ready = _ahead(self._pages)
                async with aclosing(ready):
                    page = await anext(ready, None)
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    while page is not None:
                        data = await asyncio.to_thread(self._encode, page)
                        await _send_all(send, data)
                        metrics.EXPORT_ROWS.labels(self._format).inc(page.num_rows)
                        page = await anext(ready, None)
                await _send_all(send, await asyncio.to_thread(self._finish))
            except Exception as error:
                log.warning("an export was broken off", problem=str(error))
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _encode(self, page: pa.Table) -> bytes:
        return b"".join(self._compressor.compress(self._counted(part)) for part in self._encoder.add(page))

    def _finish(self) -> bytes:
        return self._compressor.compress(self._counted(self._encoder.end())) + self._compressor.flush()

    def _counted(self, data: bytes) -> bytes:
        metrics.EXPORT_BYTES.labels(self._format).inc(len(data))
        return data


async def _ahead(pages: AsyncGenerator[pa.Table]) -> AsyncGenerator[pa.Table]:
    """The same pages: while one is looked at, the next is fetched."""
    fetching = asyncio.ensure_future(anext(pages, None))
    try:
        while (page := await fetching) is not None:
            fetching = asyncio.ensure_future(anext(pages, None))
            yield page
    finally:
        fetching.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await fetching


async def _send_all(send: Send, data: bytes) -> None:
    for start in range(0, len(data), _CHUNK):
        async with asyncio.timeout(_STALLED):
            await send(
                {"type": "http.response.body", "body": data[start : start + _CHUNK], "more_body": True}
            )


def file_name(what: str, period: Period) -> str:
    """The name of a file about a period, without its ending."""
    zone = ZoneInfo(period.timezone)
    first, last = (local(at, zone).date() for at in (period.start, period.end - 1))
    return f"{what}_{first}_{last}"


def warnings_header(warnings: Sequence[str]) -> dict[str, str]:
    """What the numbers do not mean, where there is no `meta` beside them."""
    return {"Footfall-Warnings": "; ".join(warnings)} if warnings else {}


def weights(accept: str) -> dict[str, float]:
    """How much a client wants of each thing that it accepts, by the header that says so."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, _, parameter = part.partition(";")
        weights[name.strip()] = 1.0
        if parameter.strip().startswith("q="):
            with suppress(ValueError):
                weights[name.strip()] = float(parameter.strip()[2:])
    return weights
