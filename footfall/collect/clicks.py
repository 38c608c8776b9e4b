"""Clicks on their way to the log, in groups.

While one group is being made durable the next one collects. A group that the log cannot
take stays here and is tried again, so a click is lost only when memory is full or the
process ends without the log: that, and only that, is `click_unlogged`.
"""

import asyncio
import contextlib
import time
from typing import Self

import structlog

from footfall.errors import LogFull
from footfall.eventlog.port import Entry, EventLog
from footfall.metrics import CLICKS_UNLOGGED, EVENTS_ACCEPTED
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, Visit, encode

log = structlog.get_logger(__name__)

_GROUP = 2000  # clicks in a record, at most
_PATIENCE = 5.0
_MOST = 200_000  # clicks that wait for the log, at most (about 200 MB)


class Group:
    """The clicks that are made durable together, by workspace."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cap: float) -> None:
        self.events: dict[str, list[RawEvent]] = {}
        self.visits: dict[str, list[Visit]] = {}
        self.size = 0
        # True once durable, False once the cap has passed; what comes first is the answer.
        self.logged: asyncio.Future[bool] = loop.create_future()
        self._timer = loop.call_later(cap, self.answer, False)

    def add(self, workspace_id: str, event: RawEvent, visit: Visit) -> None:
        """Add one click; its visit index is set here."""
        events = self.events.get(workspace_id)
        if events is None:
            events = self.events[workspace_id] = []
            self.visits[workspace_id] = []
        visits = self.visits[workspace_id]
        event.visit = len(visits)
        visits.append(visit)
        events.append(event)
        self.size += 1

    def answer(self, logged: bool) -> None:  # noqa: FBT001 -- the future's value
        """Tell those who wait, if nobody has."""
        self._timer.cancel()
        if not self.logged.done():
            self.logged.set_result(logged)


class Clicks:
    """The buffer between redirects and the log."""

    def __init__(self, eventlog: EventLog, cap: float) -> None:
        self._log = eventlog
        self._cap = cap
        self._waiting: list[Group] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def add(self, workspace_id: str, event: RawEvent, visit: Visit) -> asyncio.Future[bool]:
        """Queue a click. The future says True when it is durable, False when the cap has passed."""
        if not self._waiting or self._waiting[-1].size >= _GROUP:
            self._waiting.append(Group(asyncio.get_running_loop(), self._cap))
            self._wake.set()
        group = self._waiting[-1]
        group.add(workspace_id, event, visit)
        self._size += 1
        if self._size > _MOST:
            self._drop_oldest()
        return group.logged

    async def __aenter__(self) -> Self:
        """Begin writing groups."""
        self._task = asyncio.create_task(self._write_groups())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is queued; what the log still refuses after some seconds is lost, and counted."""
        self._stopping = True
        self._wake.set()
        if self._task:
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._task
        if self._size:
            CLICKS_UNLOGGED.inc(self._size)
            log.error("clicks.lost", clicks=self._size, reason="the log did not take them before the end")

    def _drop_oldest(self) -> None:
        group = self._waiting.pop(0)
        self._size -= group.size
        CLICKS_UNLOGGED.inc(group.size)
        log.error("clicks.lost", clicks=group.size, reason="the log does not take records, memory is full")
        group.answer(logged=False)

    async def _write_groups(self) -> None:
        while True:
            if not self._waiting:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            group = self._waiting.pop(0)
            try:
                await self._write(group)
            except LogFull as error:
                log.warning("clicks.log_full", clicks=self._size, error=str(error))
                self._waiting.insert(0, group)
                await asyncio.sleep(min(error.retry_after, 0.2))

    async def _write(self, group: Group) -> None:
        """Append one record a workspace; a workspace that is safe is not appended again."""
        received_at = int(time.time() * 1000)
        for workspace_id in list(group.events):
            events = group.events[workspace_id]
            visits = group.visits[workspace_id]
            record = Record(FORMAT_VERSION, received_at, workspace_id, "redirect", events, visits)
            await self._log.append(Entry(workspace_id, encode(record)))
            del group.events[workspace_id]
            group.size -= len(events)
            self._size -= len(events)
            EVENTS_ACCEPTED.inc(len(events))
        group.answer(logged=True)
