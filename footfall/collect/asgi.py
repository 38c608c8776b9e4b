"""The little of HTTP that the door needs on top of ASGI: read a bounded body, send an answer."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from footfall.errors import Invalid, TooLarge
from footfall.http.answer_headers import NO_CONTENT, NOSNIFF
from footfall.problems import MEDIA_TYPE, document, headers_of, problem, status_of

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
HeaderList = list[tuple[bytes, bytes]]

# The door is called from pages of any site, never with cookies.
CORS: HeaderList = [(b"access-control-allow-origin", b"*")]
PREFLIGHT: HeaderList = [
    *CORS,
    (b"access-control-allow-methods", b"POST, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, content-encoding, footfall-queue"),
    (b"access-control-max-age", b"86400"),
]
NO_STORE = (b"cache-control", b"no-store")
_NOSNIFF = (b"x-content-type-options", NOSNIFF.encode())


class ClientGone(Exception):
    """The client hung up before its request was whole."""


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of that (lower-case) name, or b""."""
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is certain, Gone when the client hangs up."""
    declared = header(scope, b"content-length")
    if declared:
        if not declared.isdigit():
            raise Invalid("Content-Length must be a number", field="Content-Length")
        if int(declared) > limit:
            raise TooLarge(f"the body has {int(declared)} bytes; at most {limit} are allowed")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return _checked(body, limit)
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge(f"the body has more than {limit} bytes, which is the most allowed")
    return b"".join(parts)


def _checked(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise TooLarge(f"the body has {len(body)} bytes; at most {limit} are allowed")
    return body


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    content_type: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    policy: bytes = NO_CONTENT.encode(),
) -> None:
    """Send one whole answer. `policy`: what a browser may do with it."""
    head: HeaderList = [
        (b"content-length", b"%d" % len(body)),
        _NOSNIFF,
        (b"content-security-policy", policy),
        *headers,
    ]
    if content_type:
        head.append((b"content-type", content_type))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def respond_json(
    send: Send, status: int, content: object, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send a JSON answer."""
    await respond(send, status, msgspec.json.encode(content), b"application/json", headers)


async def respond_problem(
    send: Send, error: BaseException, scope: Scope, headers: HeaderList | None = None
) -> None:
    """Answer an error with its problem document."""
    extra = [(k.lower().encode(), v.encode()) for k, v in headers_of(error).items()]
    body = msgspec.json.encode(problem(error, scope["path"]))
    await respond(send, status_of(error), body, MEDIA_TYPE.encode(), [*extra, *(headers or [])])


async def respond_status(
    send: Send, status: int, detail: str, scope: Scope, headers: HeaderList | None = None
) -> None:
    """Answer a problem that is no FootfallError (unknown path, wrong method)."""
    body = msgspec.json.encode(document(status, detail, instance=scope["path"]))
    await respond(send, status, body, MEDIA_TYPE.encode(), headers or [])
