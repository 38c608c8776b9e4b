"""The salt under which imports hash devices of days whose own salt is gone.

It lives two days, like the salt of a day: an import that is repeated or continued meanwhile
gives its visitors the same numbers, and afterwards nobody can link them to an address any
more. Each imported day gets a salt of its own from it, so that days cannot be linked either.
"""

import os
from hashlib import blake2b

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.model.times import DAY_MS, Seconds, to_millis
from footfall.state.salts import SALT_BYTES
from footfall.state.tables import import_salts

LIFETIME_MS = 2 * DAY_MS


class ImportSalts:
    """At most one is alive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, now: Seconds) -> bytes:
        """The salt for imports at `now` (Unix seconds), made when there is none. Raises Retryable."""
        at = to_millis(now)
        return await self._database.read(lambda connection: _alive(connection, at)) or (
            await self._database.run(lambda connection: _renew(connection, at))
        )

    async def expire(self, now: Seconds) -> None:
        """Delete what is too old. Call it a few times a day. Raises Retryable."""
        at = to_millis(now)
        if await self._database.read(lambda connection: _old(connection, at)):
            await self._database.run(lambda connection: _delete_old(connection, at))


def of_day(salt: bytes, day: int) -> bytes:
    """The salt of one imported day (Unix seconds // 86400)."""
    return blake2b(day.to_bytes(8, "big", signed=True), key=salt, digest_size=SALT_BYTES).digest()


def _alive(connection: Connection, at: int) -> bytes | None:
    # One from the future was made while the clock was wrong; it would live too long.
    alive = import_salts.c.created_at.between(at - LIFETIME_MS + 1, at)
    return connection.scalar(
        sa.select(import_salts.c.salt).where(alive).order_by(import_salts.c.created_at).limit(1)
    )


def _old(connection: Connection, at: int) -> int:
    return connection.scalar(sa.select(sa.func.count()).where(_is_old(at))) or 0


def _is_old(at: int) -> sa.ColumnElement[bool]:
    return sa.not_(import_salts.c.created_at.between(at - LIFETIME_MS + 1, at))


def _delete_old(connection: Connection, at: int) -> None:
    connection.execute(import_salts.delete().where(_is_old(at)))


def _renew(connection: Connection, at: int) -> bytes:
    _delete_old(connection, at)
    salt = _alive(connection, at)
    if salt is None:
        salt = os.urandom(SALT_BYTES)
        connection.execute(import_salts.insert().values(created_at=at, salt=salt))
    return salt
