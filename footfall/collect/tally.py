"""Whole requests that were refused, and clicks that were lost, counted into one record of the log a second.

Counting them one by one would let anybody fill the log with refusals. A crash loses at most
a second of these counts, never an event. What the log does not take stays here; losses that it has not
taken at the end are kept on the disk and booked by the next door (`footfall.state.losses`).
"""

import time
from collections import Counter
from typing import Self

import structlog

from footfall.background import Loop
from footfall.collect.append import LogFailed, append
from footfall.errors import LogFull
from footfall.eventlog.port import EventLog
from footfall.metrics import REQUESTS_REJECTED
from footfall.model.reasons import LOSSES, Reason
from footfall.model.record import FORMAT_VERSION, Record, Tally
from footfall.state.losses import Loss, Reserve

log = structlog.get_logger(__name__)

_MOST = 10_000  # distinct (workspace, site, reason) a second; the rest is counted without a site
_GRACE = 1.0  # seconds at the end for an append that runs


class Tallies:
    """Collects refusals and losses, and writes them once a second."""

    def __init__(self, eventlog: EventLog, default_workspace: str, reserve: Reserve | None = None) -> None:
        """`reserve` keeps the losses that are not in the log at the end."""
        self._log = eventlog
        self._default = default_workspace
        self._reserve = reserve
        self._counts: Counter[tuple[str, str, str]] = Counter()
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

    async def __aexit__(self, *_: object) -> None:
        """Write what is left; of what the log does not take any more, keep the losses."""
        await self._loop.stop()
        try:
            await self._write()
        except Exception:
            log.exception("tallies.not_written")
        losses: Counter[tuple[str, str]] = Counter()
        for (workspace, site, reason), count in self._counts.items():
            if reason in LOSSES:
                losses[workspace, site] += count
        if refused := sum(self._counts.values()) - sum(losses.values()):
            log.warning("tallies.not_logged", refusals=refused)
        if losses and self._reserve is not None:
            self._reserve.keep([Loss(*key, count) for key, count in losses.items()])

    def _add(self, workspace_id: str, site_id: str, reason: str, count: int) -> None:
        key = (workspace_id or self._default, site_id, reason)
        if key not in self._counts and len(self._counts) >= _MOST:
            key = (self._default, "", reason)
        self._counts[key] += count

    async def _write(self) -> None:
        by_workspace: dict[str, list[Tally]] = {}
        for (workspace, site, reason), count in self._counts.items():
            by_workspace.setdefault(workspace, []).append(Tally(site, reason, count))
        failed: Exception | None = None
        for workspace, tallies in by_workspace.items():
            try:
                await self._append(workspace, tallies)
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

    async def _append(self, workspace: str, tallies: list[Tally]) -> None:
        """One record; what it says is no longer counted here, unless it fails."""
        keys = [(workspace, tally.site_id, tally.reason) for tally in tallies]
        for key in keys:
            del self._counts[key]
        record = Record(FORMAT_VERSION, int(time.time() * 1000), workspace, "door", [], [], tallies)
        try:
            await append(self._log, workspace, record)
        except Exception:
            for key, tally in zip(keys, tallies, strict=True):
                self._counts[key] += tally.count
            raise
