"""Whole requests that were refused, and clicks that were lost, counted into one record of the log a second.

Counting them one by one would let anybody fill the log with refusals. A crash loses at most
a second of these counts, never an event. What the log does not take stays here; losses that it has not
taken at the end are kept on the disk and booked by the next door (`footfall.state.losses`).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

import structlog

from footfall.collect.append import LogFailed, append
from footfall.errors import LogFull
from footfall.eventlog.port import EventLog
from footfall.metrics import REQUESTS_REJECTED
from footfall.model.reasons import LOSSES, Reason
from footfall.model.record import FORMAT_VERSION, Record, Tally
from footfall.model.times import now_ms
from footfall.runtime.background import Loop, beside
from footfall.state.losses import Loss, Reserve

log = structlog.get_logger(__name__)

_Key = tuple[str, str, str]  # workspace, site, reason

_MOST = 10_000  # distinct (workspace, site, reason) a second; the rest is counted without a site
_GRACE = 1.0  # seconds at the end for an append that runs


class Tallies:
    """Collects refusals and losses, and writes them once a second."""

    def __init__(self, eventlog: EventLog, default_workspace: str, reserve: Reserve | None = None) -> None:
        """`reserve` keeps the losses that are not in the log at the end."""
        self._log = eventlog
        self._default = default_workspace
        self._reserve = reserve
        self._counts: Counter[_Key] = Counter()
        self._lost: Counter[tuple[str, str]] = Counter()  # by workspace and site: what is kept at the end
        self._unsettled: list[Callable[[], Awaitable[object]]] = []
        self._full = False  # the log was, when it was last asked
        self._loop = Loop("tallies", 1.0, self._write, grace=_GRACE)

    def refuse(self, reason: Reason, count: int = 1, workspace_id: str = "", site_id: str = "") -> None:
        """Count `count` refusals; those of nobody known go to the default workspace."""
        REQUESTS_REJECTED.labels(reason.value).inc()
        self._add(workspace_id, site_id, reason.value, count)

    def lose(self, reason: Reason, count: int, workspace_id: str, site_id: str) -> None:
        """Book `count` events as lost; `reason` is one of LOSSES."""
        self._add(workspace_id, site_id, reason.value, count)

    async def __aenter__(self) -> Self:
        """Begin writing."""
        self._loop.start()
        return self

    def settle(self, end: Callable[[], Awaitable[object]]) -> None:
        """At the end `end` is called once the log has answered what hangs: what that carries may be lost."""
        self._unsettled.append(end)

    async def __aexit__(self, *_: object) -> None:
        """Write what is left; of what the log does not take any more, keep the losses.

        An append that hangs has no outcome yet. The log gives it one before it is closed, however long that
        takes (a stop has a deadline, and what comes after that is a crash): what it refuses is lost, too.
        """
        await self._write_rest()
        self._keep()
        if self._unsettled:
            log.warning("tallies.waits_for_log", appends=len(self._unsettled))
            await self._log.close()
            for end in self._unsettled:
                await end()
            self._keep()

    async def _write_rest(self) -> None:
        if not await self._loop.leave():
            self.settle(self._loop.stop)
        if self._unsettled:
            return  # one more would hang, too: better it is kept
        last = beside("tallies", self._write())
        if not (await asyncio.wait({last}, timeout=_GRACE))[0]:
            self.settle(lambda: asyncio.wait({last}, timeout=_GRACE))

    def _keep(self) -> None:
        """Take out what is counted here, for good: what is kept must not be written, too."""
        counts, self._counts = self._counts, Counter()
        losses: Counter[tuple[str, str]] = Counter()
        for (workspace, site, reason), count in counts.items():
            if reason in LOSSES:
                losses[workspace, site] += count
        if refused := counts.total() - losses.total():
            log.warning("tallies.not_logged", refusals=refused)
        if losses and self._reserve is not None:
            self._lost += losses
            self._reserve.keep([Loss(*key, count) for key, count in self._lost.items()])

    def _add(self, workspace_id: str, site_id: str, reason: str, count: int) -> None:
        key = (workspace_id or self._default, site_id, reason)
        if key not in self._counts and len(self._counts) >= _MOST:
            key = (self._default, "", reason)
        self._counts[key] += count

    async def _write(self) -> None:
        by_workspace: dict[str, list[_Key]] = {}
        for key in self._counts:
            by_workspace.setdefault(key[0], []).append(key)
        failed: Exception | None = None
        for workspace, keys in by_workspace.items():
            try:
                await self._append(workspace, keys)
            except LogFull as error:
                # Kept for the next second: they are counted late, not never.
                if isinstance(error, LogFailed):
                    raise
                if not self._full:
                    log.warning("tallies.log_full", error=str(error))
                self._full = True
                break
            except Exception as error:  # noqa: BLE001 -- another workspace's may go well
                failed = error
            else:
                self._full = False
        if failed:
            raise failed

    async def _append(self, workspace: str, keys: Sequence[_Key]) -> None:
        """One record; what it says is no longer counted here, unless it fails."""
        # As it stands now: while another workspace's was written, more may have come, or all was kept.
        taken = {key: self._counts.pop(key) for key in keys if key in self._counts}
        if not taken:
            return
        tallies = [Tally(site, reason, count) for (_, site, reason), count in taken.items()]
        record = Record(FORMAT_VERSION, now_ms(), workspace, "door", [], [], tallies)
        try:
            await append(self._log, workspace, record)
        except asyncio.CancelledError:
            # Only when the log was closed and has not answered.
            log.warning("tallies.uncertain", counts=sum(taken.values()))
            raise
        except Exception:
            self._counts.update(taken)
            raise
