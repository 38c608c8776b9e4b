"""The local token of run.json is worth an admin key, but only to callers on this machine."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any

from footfall.runtime.data_directory import TOKEN_PREFIX

_App = Callable[[Any, Any, Any], Awaitable[None]]

_PREFIX = TOKEN_PREFIX.encode()
_FORWARDED = {
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"via",
}


def only_from_here(app: _App) -> _App:
    """An ASGI application that does not see the local token when the caller is elsewhere.

    Such a request goes on without its `Authorization`, and so is refused like any without a key.
    """

    async def checked(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        headers = scope.get("headers", ())
        if any(name == b"authorization" and _PREFIX in value for name, value in headers):
            client = scope.get("client")
            if not (client and _is_loopback(client[0])):
                kept = [(name, value) for name, value in headers if name != b"authorization"]
                scope = {**scope, "headers": kept}
        await app(scope, receive, send)

    return checked


def came_from_here(scope: Mapping[str, Any]) -> bool:
    """Whether a request comes from this machine, and not through a proxy on it that says so."""
    client = scope.get("client")
    names = {name for name, _ in scope["headers"]}
    return bool(client and _is_loopback(client[0])) and not names & _FORWARDED


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
