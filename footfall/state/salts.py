"""The salts under which visitors without an id of their own are hashed: one a day.

A day's salt exists once in an installation, whichever door made it. Tomorrow's is made
today, so that midnight finds every door prepared; under yesterday's a visit goes on over
midnight. Two days after its day (the grace for late events) it is deleted and nobody can link
that day's hashes to an address any more. A clock that jumps deletes none: that these days passed
is not believed of one reading (see days_seen.py).
"""

import os

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.model.times import Seconds
from footfall.state.tables import salts

SALT_BYTES = 32
GRACE_DAYS = 2
_DAY = 86400


class Salts:
    """The salts of the last three days and of tomorrow, held in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, bytes] = {}

    async def refresh(self, now: Seconds, believed: float | None = None) -> None:
        """Make what is missing, load what is current, delete what is old. In Unix seconds.

        `now`: what the clock says, by which salts are made; `believed`: the time that has come for sure,
        by which they are deleted; None: the same. Call it at the start and every minute.
        """
        today = int(now // _DAY)
        passed = today if believed is None else int(believed // _DAY)
        known = await self._database.read(_load)
        if not {today, today + 1} <= known.keys() or any(_is_over(day, today, passed) for day in known):
            known = await self._database.run(lambda connection: _renew(connection, today, passed))
        self._known = {day: salt for day, salt in known.items() if today - GRACE_DAYS <= day <= today + 1}

    def are_current(self, now: Seconds) -> bool:
        """Whether those of today and tomorrow are at hand: not after the machine has slept for a day."""
        return {int(now // _DAY), int(now // _DAY) + 1} <= self._known.keys()

    def for_day(self, day: int) -> bytes | None:
        """The salt (32 bytes) of a day (Unix seconds // 86400); None outside the grace."""
        return self._known.get(day)


def _load(connection: Connection) -> dict[int, bytes]:
    return {row.day: row.salt for row in connection.execute(sa.select(salts))}


def _is_over(day: int, today: int, passed: int) -> bool:
    """Whether a day's salt goes: those of days that passed, and those that a clock ahead has made."""
    return day < passed - GRACE_DAYS or (passed == today and day > today + GRACE_DAYS + 1)


def _renew(connection: Connection, today: int, passed: int) -> dict[int, bytes]:
    gone = [day for day in _load(connection) if _is_over(day, today, passed)]
    connection.execute(salts.delete().where(salts.c.day.in_(gone)))
    known = _load(connection)
    for day in {today, today + 1} - known.keys():
        connection.execute(salts.insert().values(day=day, salt=os.urandom(SALT_BYTES)))
    return _load(connection)
