"""Who is asking: the key of a request. For the door and the console alike (plain ASGI headers)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from footfall.errors import Denied, FootfallError, Retryable
from footfall.http.local_token import came_from_here
from footfall.tenants.directory import Directory
from footfall.tenants.model import DEFAULT_WORKSPACE, Key, Scope

_HOW = "send a key: Authorization: Bearer ff_..."


async def authenticate(headers: Iterable[tuple[bytes, bytes]], directory: Directory) -> Key:
    """The key in the `Authorization` header of an ASGI scope's headers.

    Raises Denied when there is none, or one that does not exist (any more).
    """
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        raise Denied(f"this needs a key; {_HOW}")
    scheme, _, token = given[0].partition(b" ")
    if len(given) > 1 or scheme.lower() != b"bearer" or not token.strip():
        raise Denied(f"the header Authorization cannot be read; {_HOW}")
    key = await directory.key(token.strip().decode("latin-1"))
    if key is None:
        raise Denied("this key does not exist; it may have been revoked, or have expired")
    return key


def require(key: Key, *scopes: Scope) -> None:
    """Raises Denied when the key carries none of `scopes`."""
    if not any(key.may(scope) for scope in scopes):
        raise Denied(
            f"this needs a key with the scope {' or '.join(scopes)}; this one has {', '.join(key.scopes)}",
            known=True,
        )


def require_operator(key: Key) -> None:
    """Raises Denied unless the key may see what is of the whole installation, as its metrics are."""
    require(key, "metrics")
    if key.workspace_id != DEFAULT_WORKSPACE:
        raise Denied("this needs a key of the first workspace of the installation", known=True)


async def told_to(
    scope: Mapping[str, Any], directory: Directory, ready: Callable[[], Awaitable[Mapping[str, object]]]
) -> dict[str, object]:
    """What `ready` says, and a `status`, which is all that strangers are told. Raises Retryable, too."""
    try:
        state = {"status": "ok"} | dict(await ready())
    except Retryable as error:
        if await _may_see_inside(scope, directory):
            raise
        raise Retryable("not ready", retry_after=error.retry_after) from error
    return state if await _may_see_inside(scope, directory) else {"status": state["status"]}


async def _may_see_inside(scope: Mapping[str, Any], directory: Directory) -> bool:
    """Whether it comes from this machine itself, or from who may see the metrics."""
    if came_from_here(scope):
        return True
    try:
        require_operator(await authenticate(scope["headers"], directory))
    except FootfallError:  # health answers strangers, too, and when keys cannot be looked up
        return False
    return True
