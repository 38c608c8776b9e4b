"""Which time has really come: what deletes for ever does not trust one reading of a clock.

The days (UTC) on which the clock was seen are written down. A day is believed when it came after the
one before it: at its midnight, by a clock that ran no faster than the monotonic one. After a gap
(a clock that jumped, or a machine that was off) the last day before the gap is believed, until another
day has come, a night later. So a clock that is a year ahead for a minute, for hours, or at a start
deletes nothing;
a machine that is off for weeks deletes a day late; and no event needs to come for time to pass.
The cases: docs/decisions/0009-deletion.md.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.errors import Retryable
from footfall.model.times import DAY
from footfall.state.tables import days_seen, days_seen_last

_KEPT = 4  # days that are remembered, so that a clock set back a little finds one to go on from
_DRIFT = 3600.0  # seconds that the clock may be ahead of the monotonic one since it was last compared
_NIGHT = 20 * 3600.0  # seconds that pass before the day after a gap is another one


def _elapsed() -> float:
    """Seconds that passed, also while the machine slept where the system counts that."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Look(NamedTuple):
    """A look at both clocks, and what was known then."""

    seen: tuple[int, ...]
    wall: float
    elapsed: float


def boot_id() -> str:
    """Which start of the machine this is: another one begins to count `_elapsed` anew. "" if nobody says."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def enter(seen: tuple[int, ...], last: Look | None, wall: float, elapsed: float) -> tuple[int, ...]:
    """When days were first seen (Unix seconds, one each), after a look at the clocks.

    `last`: the first look at which it was `seen`, of this process or, since the machine was started, of one
    before it; None: nobody looked since.
    """
    today = _day(wall)
    if seen and today <= _day(seen[-1]):
        return tuple(at for at in seen if _day(at) <= today)  # fewer when the clock was set back
    if last is None:  # nothing to compare with but what the clock itself said
        steady = not seen or not _after_gap(seen) or wall - seen[-1] >= _NIGHT
    else:
        passed = elapsed - last.elapsed
        in_step = wall - last.wall - passed <= _DRIFT
        steady = passed >= _NIGHT or (in_step and not _after_gap(seen))
    return (*seen, int(wall))[-_KEPT:] if steady else seen


def believed(seen: tuple[int, ...], wall: float) -> float:
    """The time that has come for sure, at most `wall`: Unix seconds; 0 before two days were seen."""
    if len(seen) < 2:
        return 0.0
    day = _day(seen[-2] if _after_gap(seen) else seen[-1])
    return wall if day == _day(wall) else min(day * DAY, wall)


def _after_gap(seen: tuple[int, ...]) -> bool:
    return len(seen) < 2 or _day(seen[-1]) - _day(seen[-2]) > 1


def _day(at: float) -> int:
    return int(at // DAY)


class DaysSeen:
    """The clock of what deletes. `clock`: Unix seconds; `elapsed`: seconds that never jump."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = _elapsed,
        boot: str | None = None,
    ) -> None:
        self._database = database
        self._boot = boot_id() if boot is None else boot
        self._clock = clock
        self._elapsed = elapsed
        self._last: Look | None = None

    async def now(self) -> float:
        """The time that has come for sure; to be asked every few minutes. Raises Retryable."""
        wall, elapsed = self._clock(), self._elapsed()
        seen, before = await self._database.read(self._read)
        if self._last is None:
            self._last = before
        elif self._last.seen != seen:  # another process wrote
            self._last = Look(seen, wall, elapsed)
        entered = enter(seen, self._last, wall, elapsed)
        if entered != seen:
            with suppress(Retryable):  # a full disk: what was believed before still is
                await self._database.run(
                    lambda connection: _write(connection, Look(entered, wall, elapsed), self._boot)
                )
                seen = entered
                self._last = Look(seen, wall, elapsed)
        elif self._last is None:
            self._last = Look(seen, wall, elapsed)
        return believed(seen, wall)

    def _read(self, connection: Connection) -> tuple[tuple[int, ...], Look | None]:
        """The days, and the look at which the last of them was taken down, if that was in this boot."""
        seen = tuple(connection.scalars(sa.select(days_seen.c.at).order_by(days_seen.c.day)))
        row = connection.execute(sa.select(days_seen_last)).one_or_none()
        known = row is not None and self._boot and row.boot == self._boot
        return seen, Look(seen, row.wall, row.elapsed) if row and known else None


def _write(connection: Connection, look: Look, boot: str) -> None:
    connection.execute(days_seen.delete())
    connection.execute(days_seen_last.delete())
    if look.seen:
        connection.execute(days_seen.insert(), [{"day": _day(at), "at": at} for at in look.seen])
    connection.execute(
        days_seen_last.insert(), {"id": 1, "boot": boot, "wall": look.wall, "elapsed": look.elapsed}
    )
