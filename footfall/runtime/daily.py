"""Work once a day, for yesterday (UTC).

What was done is remembered in a file, so that a restart repeats nothing and a day that was
slept through is made up for. A clock that is put back a little repeats nothing; one that was
far ahead for a while does not stop the work once it is right again.
"""

import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from footfall.metrics import NIGHTLY_OVERDUE

log = structlog.get_logger(__name__)

# Days that are made up for after a long sleep: as many as the log is kept by default.
MOST_DAYS = 7

# After midnight: what was received until then is closed.
_AFTER_MIDNIGHT = 15 * 60.0
_PAUSE = 15 * 60.0  # seconds after a failure
_OVERDUE = timedelta(days=2)
_A_WHILE = 3600.0  # seconds in which a process that begins makes up for what was missed


class _Done(Struct, forbid_unknown_fields=True):
    day: date


class Daily:
    """Does `work` for each day that is over. `tick` is to be called every minute or so.

    `path`: the file that says for which day it was done last. `clock`: Unix seconds. `most`: of the days
    that were slept through, how many are made up for.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        work: Callable[[date], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        most: int = MOST_DAYS,
    ) -> None:
        self._name = name
        self._path = path
        self._work = work
        self._clock = clock
        self._most = most
        self._not_before = float("-inf")  # by the monotonic clock
        self._began = time.monotonic()
        self._failed = False
        self._done: date | None = None  # what could not be written to the file
        NIGHTLY_OVERDUE.labels(name).set_function(lambda: float(self.is_overdue()))

    async def tick(self) -> None:
        """Do one day's work if it is due. A failure is logged, and tried again in a quarter of an hour."""
        if self._done is not None:
            self._remember(self._done)
        day = self.due()
        if day is None or time.monotonic() < self._not_before:
            return
        try:
            await self._work(day)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next attempt may go well
            self._failed = True
            self._not_before = time.monotonic() + _PAUSE
            log.warning("daily.failed", job=self._name, day=day.isoformat(), error=str(error))
            return
        self._failed = False
        self._remember(day)

    def due(self) -> date | None:
        """The day whose turn it is; None when all that are over were done."""
        yesterday, done = self._yesterday(), self._last()
        if done is None or done > yesterday + timedelta(days=1):
            return yesterday
        following = max(done + timedelta(days=1), yesterday - timedelta(days=self._most - 1))
        return following if following <= yesterday else None

    def is_overdue(self) -> bool:
        """Whether it has not succeeded for two days; a process that just began may make up for them."""
        done = self._last()
        looked = time.monotonic() - self._began
        if done is None:  # it has never succeeded
            return looked > _OVERDUE.total_seconds()
        return self._yesterday() - done >= _OVERDUE and (self._failed or looked > _A_WHILE)

    def _yesterday(self) -> date:
        return datetime.fromtimestamp(self._clock() - _AFTER_MIDNIGHT, UTC).date() - timedelta(days=1)

    def _last(self) -> date | None:
        if self._done is not None:
            return self._done
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Done).day
        except (FileNotFoundError, msgspec.DecodeError):  # a damaged one is as none
            return None

    def _remember(self, day: date) -> None:
        """In the file; on a full disk in memory, so that the work is not done again every minute."""
        draft = self._path.with_suffix(".draft")
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(_Done(day)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            if self._done != day:
                log.warning("daily.not_remembered", job=self._name, day=day.isoformat(), error=str(error))
            self._done = day
        else:
            self._done = None
