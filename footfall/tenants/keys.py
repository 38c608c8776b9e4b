"""API keys: made, hashed, stored, revoked. The functions run inside one transaction."""

import hashlib
import re
import secrets
import string
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.errors import Conflict, Invalid
from footfall.model.ids import short_id
from footfall.model.times import Millis, now_ms
from footfall.tenants import rows
from footfall.tenants.fields import ListPage, check_scopes, check_text, check_time
from footfall.tenants.model import Key
from footfall.tenants.tables import key_expiries, keys, record_changes

K = TypeVar("K", bound=Key)

PREFIX = "ff_"
_RANDOM = 32  # characters of base 62: 190 bits
_BASE62 = string.digits + string.ascii_letters
# What can stand behind "Authorization: Bearer ".
_GIVEN = re.compile(r"[!-~]{1,200}")


def hash_of(secret: str) -> str:
    """How a secret is stored and looked up (see `tables.keys`)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(
    connection: Connection,
    workspace_id: str,
    name: str,
    scopes: Iterable[str],
    secret: str = "",
    expires_at: Millis = 0,
) -> tuple[Key, str]:
    """Add a key; its secret is made unless one is given. `expires_at` in ms, 0 for never. Raises Invalid.

    The secret is in the answer and nowhere else.
    """
    if secret and not _GIVEN.fullmatch(secret):
        raise Invalid("admin_key must be 1 to 200 printable ASCII characters, no spaces", field="admin_key")
    secret = secret or PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    checked, now = check_text(name, "name"), now_ms()
    key = Key(short_id("key"), workspace_id, checked, check_scopes(scopes), now, expires_at)
    if expires_at and check_time(expires_at, "expires_at") <= now:
        raise Invalid("expires_at must be in the future", field="expires_at")
    columns = msgspec.structs.asdict(key)
    del columns["expires_at"]
    connection.execute(keys.insert().values(**columns, hash=hash_of(secret)))
    if expires_at:
        connection.execute(key_expiries.insert().values(key_id=key.id, expires_at=expires_at))
    record_changes(connection, "key", [hash_of(secret)])
    return key, secret


def with_expiry(connection: Connection, found: Sequence[K]) -> list[K]:
    """The same keys with their `expires_at`."""
    times: dict[str, int] = {}
    for names in rows.chunks([key.id for key in found]):
        query = sa.select(key_expiries).where(key_expiries.c.key_id.in_(names))
        times |= {row.key_id: row.expires_at for row in connection.execute(query)}
    return [msgspec.structs.replace(key, expires_at=times.get(key.id, 0)) for key in found]


def page(connection: Connection, workspace_id: str, limit: int, offset: int) -> ListPage[Key]:
    """Newest first, those that have expired among them. Raises Invalid."""
    found = rows.page(connection, keys, Key, [keys.c.workspace_id == workspace_id], limit, offset)
    return ListPage(with_expiry(connection, found.items), found.total)


def delete(connection: Connection, workspace_id: str, key_id: str) -> None:
    """Revoke a key. Raises NotFound, and Conflict for the last one that may manage keys for ever."""
    gone = rows.delete(connection, keys, workspace_id, key_id)
    stays = sa.select(keys.c.scopes).where(
        keys.c.workspace_id == workspace_id, keys.c.id.not_in(sa.select(key_expiries.c.key_id))
    )
    if "admin" in gone["scopes"] and not any("admin" in scopes for scopes in connection.scalars(stays)):
        raise Conflict(
            "this is the workspace's last key with the scope admin that does not expire;"
            " make another one first"
        )
    record_changes(connection, "key", [gone["hash"]])
