"""Who is asking: the key of a request. For the door and the console alike (plain ASGI headers)."""

from collections.abc import Iterable

from footfall.errors import Denied
from footfall.tenants.directory import Directory
from footfall.tenants.model import Key, Scope

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
        raise Denied("this key does not exist; it may have been revoked")
    return key


def require(key: Key, *scopes: Scope) -> None:
    """Raises Denied when the key carries none of `scopes`."""
    if not any(key.may(scope) for scope in scopes):
        raise Denied(
            f"this needs a key with the scope {' or '.join(scopes)}; this one has {', '.join(key.scopes)}",
            known=True,
        )
