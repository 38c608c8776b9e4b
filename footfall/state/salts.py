"""The salts under which visitors without an id of their own are hashed: one a day.

A day's salt exists once in an installation, whichever door made it. Tomorrow's is made
today, so that midnight finds every door prepared. Two days after its day (the grace for
late events) it is deleted and nobody can link that day's hashes to an address any more.
"""

import os

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from footfall.database import Database
from footfall.state.tables import salts

SALT_BYTES = 32
GRACE_DAYS = 2
_DAY = 86400


class Salts:
    """The salts of the last three days and of tomorrow, held in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, bytes] = {}

    async def refresh(self, now: float) -> None:
        """Make what is missing, load what is current, delete what is old. `now` in Unix seconds.

        Call it at the start and a few times a day.
        """
        today = int(now // _DAY)
        known = await self._database.read(_load)
        if today not in known or today + 1 not in known or min(known) < today - GRACE_DAYS:
            known = await self._database.run(lambda connection: _renew(connection, today))
        self._known = {day: salt for day, salt in known.items() if today - GRACE_DAYS <= day <= today + 1}

    def for_day(self, day: int) -> bytes | None:
        """The salt (32 bytes) of a day (Unix seconds // 86400); None outside the grace."""
        return self._known.get(day)


def _load(connection: Connection) -> dict[int, bytes]:
    return {row.day: row.salt for row in connection.execute(sa.select(salts))}


def _renew(connection: Connection, today: int) -> dict[int, bytes]:
    connection.execute(salts.delete().where(salts.c.day < today - GRACE_DAYS))
    known = _load(connection)
    for day in {today, today + 1} - known.keys():
        try:
            with connection.begin_nested():
                connection.execute(salts.insert().values(day=day, salt=os.urandom(SALT_BYTES)))
        except IntegrityError:
            pass  # another door made it first (where writers do not wait for each other): it holds
    return _load(connection)
