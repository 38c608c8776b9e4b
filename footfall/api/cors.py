"""Answers for pages of other origins: those of the setting `read_origins`, and with a key that may only read.

A browser shows a page an answer of another origin only if that answer says so. One to a key that may do
more than read never does: such a key has no business in a page.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

from litestar.datastructures import MutableScopeHeaders

from footfall.errors import FootfallError
from footfall.tenants.auth import authenticate
from footfall.tenants.directory import Directory

_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, if-none-match"),
    (b"access-control-max-age", b"600"),
    (b"cache-control", b"no-store"),
)
_READS = ("/api/v1/analytics/", "/v1/stats/", "/api/v1/export/", "/v1/export")
_EXPOSED = "ETag, Retry-After, Content-Disposition"


_App = Callable[[Any, Any, Any], Awaitable[None]]


def for_pages(app: _App, origins: Collection[str], directory: Directory) -> _App:
    """The console, which also answers pages of these origins; "*" is any."""

    async def answering(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
        origin = headers.get(b"origin", b"").decode("latin-1")
        named = origin and ("*" in origins or origin.lower() in origins)
        if scope["type"] != "http" or not named or not _is_read(scope["path"]):
            await app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            told = [(b"access-control-allow-origin", headers[b"origin"]), (b"vary", b"Origin"), *_PREFLIGHT]
            await send({"type": "http.response.start", "status": 204, "headers": told})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            allowed = await _may_only_read(scope["headers"], directory)
            await app(scope, receive, _telling(send, origin) if allowed else send)

    return answering


def _is_read(path: str) -> bool:
    """Whether it is a path of the routes that read: reports, questions, exports."""
    return path.startswith(_READS) or path == "/v1/query"


async def _may_only_read(headers: Iterable[tuple[bytes, bytes]], directory: Directory) -> bool:
    try:
        key = await authenticate(headers, directory)
    except FootfallError:
        return True  # the refusal tells nothing, and a page should be able to show it
    return key.scopes == ("read",)


def _telling(send: Any, origin: str) -> Callable[[Any], Awaitable[None]]:
    async def telling(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED
            headers.add("Vary", "Origin")
        await send(message)

    return telling
