"""Whole requests that were refused, counted into one record of the log a second.

Counting them one by one would let anybody fill the log with refusals. A crash loses at most
a second of these counts, never an event.
"""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Self

import structlog

from footfall.errors import LogFull
from footfall.eventlog.port import Entry, EventLog
from footfall.metrics import REQUESTS_REJECTED
from footfall.model.reasons import Reason
from footfall.model.record import FORMAT_VERSION, Record, Tally, encode

log = structlog.get_logger(__name__)

_MOST = 10_000  # distinct (workspace, site, reason) a second; the rest is counted without a site


class Tallies:
    """Collects refusals and writes them once a second."""

    def __init__(self, eventlog: EventLog, default_workspace: str) -> None:
        self._log = eventlog
        self._default = default_workspace
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._task: asyncio.Task[None] | None = None

    def refuse(self, reason: Reason, count: int = 1, workspace_id: str = "", site_id: str = "") -> None:
        """Count `count` refusals; those of nobody known go to the default workspace."""
        REQUESTS_REJECTED.labels(reason.value).inc()
        key = (workspace_id or self._default, site_id, reason.value)
        if key not in self._counts and len(self._counts) >= _MOST:
            key = (self._default, "", reason.value)
        self._counts[key] += count

    async def __aenter__(self) -> Self:
        """Begin writing."""
        self._task = asyncio.create_task(self._every_second())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is left."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._write()

    async def _every_second(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self._write()

    async def _write(self) -> None:
        counts, self._counts = self._counts, Counter()
        by_workspace: dict[str, list[Tally]] = {}
        for (workspace, site, reason), count in counts.items():
            by_workspace.setdefault(workspace, []).append(Tally(site, reason, count))
        for workspace, tallies in by_workspace.items():
            record = Record(FORMAT_VERSION, int(time.time() * 1000), workspace, "door", [], [], tallies)
            try:
                await self._log.append(Entry(workspace, encode(record)))
            except LogFull as error:
                # Kept for the next second: refusals are counted late, not never.
                log.warning("tallies.log_full", error=str(error))
                for tally in tallies:
                    self._counts[(workspace, tally.site_id, tally.reason)] += tally.count
