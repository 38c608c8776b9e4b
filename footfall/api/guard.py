"""What the console's routes check before they read a request: its key, and its parameters."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from footfall.errors import Invalid
from footfall.tenants.auth import authenticate, require
from footfall.tenants.directory import Directory
from footfall.tenants.model import Key, Scope

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None] | None]


def allowed(directory: Directory, *scopes: Scope) -> Guard:
    """A guard: the request carries a key that has one of `scopes`; `key_of` returns it afterwards."""

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        key = await authenticate(connection.scope["headers"], directory)
        require(key, *scopes)
        connection.state.key = key

    return guard


def key_of(request: Request[Any, Any, Any]) -> Key:
    """The key that `allowed` found."""
    return cast("Key", request.state.key)


def parameters(*names: str) -> Guard:
    """A guard: the query string has these only, each once: a mistyped filter is not taken for none."""
    known = f"allowed are {', '.join(names)}" if names else "there are no parameters here"

    def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        given: set[str] = set()
        for name, _ in connection.query_params.multi_items():
            if name not in names:
                raise Invalid(f"{name} is unknown; {known}", field=name)
            if name in given:
                raise Invalid(f"{name} is given twice", field=name)
            given.add(name)

    return guard
