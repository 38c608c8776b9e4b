"""API keys: made, hashed, stored, revoked. The functions run inside one transaction."""

import hashlib
import re
import secrets
import string
import time
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.errors import Conflict, Invalid
from footfall.model.ids import short_id
from footfall.tenants import rows
from footfall.tenants.fields import check_scopes, check_text
from footfall.tenants.model import Key
from footfall.tenants.tables import keys, record_changes

PREFIX = "ff_"
_RANDOM = 32  # characters of base 62: 190 bits
_BASE62 = string.digits + string.ascii_letters
# What can stand behind "Authorization: Bearer ".
_GIVEN = re.compile(r"[!-~]{1,200}")


def hash_of(secret: str) -> str:
    """How a secret is stored and looked up (see `tables.keys`)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(
    connection: Connection, workspace_id: str, name: str, scopes: Iterable[str], secret: str = ""
) -> tuple[Key, str]:
    """Add a key; its secret is made unless one is given. Raises Invalid.

    The secret is in the answer and nowhere else.
    """
    if secret and not _GIVEN.fullmatch(secret):
        raise Invalid("admin_key must be 1 to 200 printable ASCII characters, no spaces", field="admin_key")
    secret = secret or PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    checked, now = check_text(name, "name"), int(time.time() * 1000)
    key = Key(short_id("key"), workspace_id, checked, check_scopes(scopes), now)
    rows.insert(connection, keys, key, hash=hash_of(secret))
    record_changes(connection, "key", [hash_of(secret)])
    return key, secret


def delete(connection: Connection, workspace_id: str, key_id: str) -> None:
    """Revoke a key. Raises NotFound, and Conflict for the last one that may manage keys."""
    gone = rows.delete(connection, keys, workspace_id, key_id)
    left = connection.scalars(sa.select(keys.c.scopes).where(keys.c.workspace_id == workspace_id))
    if "admin" in gone["scopes"] and not any("admin" in scopes for scopes in left):
        raise Conflict("this is the workspace's last key with the scope admin; make another one first")
    record_changes(connection, "key", [gone["hash"]])
