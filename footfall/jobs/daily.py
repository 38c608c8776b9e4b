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

log = structlog.get_logger(__name__)

# Days that are made up for after a long sleep: as many as the log is kept by default.
MOST_DAYS = 7

# After midnight: what was received until then is closed.
_AFTER_MIDNIGHT = 15 * 60.0
_PAUSE = 15 * 60.0  # seconds after a failure


class _Done(Struct, forbid_unknown_fields=True):
    day: date


class Daily:
    """Does `work` for each day that is over. `tick` is to be called every minute or so.

    `path`: the file that says for which day it was done last. `clock`: Unix seconds.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        work: Callable[[date], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._path = path
        self._work = work
        self._clock = clock
        self._not_before = float("-inf")  # by the monotonic clock

    async def tick(self) -> None:
        """Do one day's work if it is due. A failure is logged, and tried again in a quarter of an hour."""
        day = self.due()
        if day is None or time.monotonic() < self._not_before:
            return
        try:
            await self._work(day)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next attempt may go well
            self._not_before = time.monotonic() + _PAUSE
            log.warning("daily.failed", job=self._name, day=day.isoformat(), error=str(error))
            return
        self._remember(day)

    def due(self) -> date | None:
        """The day whose turn it is; None when all that are over were done."""
        yesterday = datetime.fromtimestamp(self._clock() - _AFTER_MIDNIGHT, UTC).date() - timedelta(days=1)
        done = self._last()
        if done is None or done > yesterday + timedelta(days=1):
            return yesterday
        following = max(done + timedelta(days=1), yesterday - timedelta(days=MOST_DAYS - 1))
        return following if following <= yesterday else None

    def _last(self) -> date | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Done).day
        except (FileNotFoundError, msgspec.DecodeError):  # a damaged one is as none
            return None

    def _remember(self, day: date) -> None:
        draft = self._path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(_Done(day)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
