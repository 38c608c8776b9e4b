"""The door's ASGI application: the table of its paths.

Plain ASGI, no framework: it answers three or four paths, at 20,000 requests a second.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from footfall.collect.asgi import (
    CORS,
    NO_STORE,
    PREFLIGHT,
    ClientGone,
    Receive,
    Scope,
    Send,
    respond,
    respond_json,
    respond_problem,
    respond_status,
)
from footfall.collect.door import Door
from footfall.collect.events import post_events
from footfall.collect.pages import HEADERS, HOME, HTML, POLICY, ROBOTS
from footfall.collect.pixel import get_pixel
from footfall.collect.redirect import get_code
from footfall.errors import FootfallError, LogFull
from footfall.tenants.auth import authenticate, require_operator, told_to

log = structlog.get_logger(__name__)

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_app(door: Door) -> App:
    """The application that a server runs."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await _route(door, scope, receive, send)
        except FootfallError as error:
            await respond_problem(send, error, scope, CORS)
        except ClientGone:
            return
        except asyncio.CancelledError:
            # A stop waits only so long for what is under way. Whether the log still takes it, nobody can
            # tell the client, who sends it again: the same ids count once.
            await respond_problem(send, LogFull("the door is stopping"), scope, CORS)
        except Exception as error:
            # The server would answer with a bare 500; the log gets the trace, the caller a problem.
            log.exception("door.failed", path=scope["path"])
            await respond_problem(send, error, scope, CORS)

    return app


async def _route(door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    path: str = scope["path"]
    method: str = scope["method"]
    if path == "/v1/events" and method in ("POST", "OPTIONS"):
        if method == "POST":
            await post_events(door, scope, receive, send)
        else:
            await respond(send, 204, headers=PREFLIGHT)
    elif method not in ("GET", "HEAD"):
        await respond_status(send, 405, "only GET and HEAD here", scope, [(b"allow", b"GET, HEAD")])
    elif (handler := _PAGES.get(path)) is not None:
        await handler(door, scope, send)
    elif code := _code_in(path):
        await get_code(door, scope, send, code)
    else:
        await respond_status(send, 404, "the door only takes events and clicks", scope)


def _code_in(path: str) -> str:
    """What `path` asks for, if that may be a code; mail programs and people put slashes behind it."""
    code = path[1:].rstrip("/")
    return "" if "/" in code or code in _RESERVED or f"/{code}" in _PAGES else code


async def _events(_door: Door, scope: Scope, send: Send) -> None:
    await respond_status(send, 405, "events are sent with POST", scope, [(b"allow", b"POST, OPTIONS")])


async def _home(_door: Door, _scope: Scope, send: Send) -> None:
    await respond(send, 200, HOME, HTML, HEADERS, POLICY)


async def _live(_door: Door, _scope: Scope, send: Send) -> None:
    await respond_json(send, 200, {"status": "ok"}, [NO_STORE])


async def _ready(door: Door, scope: Scope, send: Send) -> None:
    state = await told_to(scope, door.directory, door.ready)
    await respond_json(send, 200, state, [NO_STORE])


async def _metrics(door: Door, scope: Scope, send: Send) -> None:
    """Prometheus text: of the whole installation, so for its operator only."""
    require_operator(await authenticate(scope["headers"], door.directory))
    await respond(send, 200, generate_latest(), CONTENT_TYPE_LATEST.encode(), [NO_STORE])


async def _robots(_door: Door, _scope: Scope, send: Send) -> None:
    await respond(send, 200, ROBOTS, b"text/plain")


async def _favicon(_door: Door, _scope: Scope, send: Send) -> None:
    await respond(send, 404)


_PAGES: dict[str, Callable[[Door, Scope, Send], Awaitable[None]]] = {
    "/": _home,
    "/v1/events": _events,
    "/v1/pixel.gif": get_pixel,
    "/health/live": _live,
    "/health/ready": _ready,
    "/metrics": _metrics,
    "/robots.txt": _robots,
    "/favicon.ico": _favicon,
}

# Never links, never orphans (tenants refuses them as codes).
_RESERVED = frozenset({"v1", "api", "health"})
