"""Clicks on their way to the log, in groups.

While one group is being made durable the next one collects. A group that the log cannot
take stays here and is tried again, whatever the reason, so a click is lost only when memory is
full, when no log could ever take it, or when the process ends without the log: that, and only that,
is `click_unlogged`, and it is booked as lost.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, Self

import structlog

from footfall.collect.append import LogFailed, append
from footfall.collect.tally import Tallies
from footfall.errors import Invalid, LogFull
from footfall.eventlog.port import EventLog
from footfall.metrics import CLICKS_UNLOGGED, CLICKS_WAITING, EVENTS_ACCEPTED
from footfall.model.reasons import Reason
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, SenderContext
from footfall.model.times import now_ms
from footfall.runtime.background import Loop

log = structlog.get_logger(__name__)

_GROUP = 2000  # clicks in a group, at most
_GROUP_BYTES = 4 << 20  # a quarter of what a record may have
_MOST = 200_000  # clicks that wait for the log, at most
_CLICK_BYTES = 600  # of a click in memory, beside its texts
_PATIENCE = 3.0  # seconds at the end for what still waits
_GRACE = 1.0  # and for the append that runs then
_FULL_PAUSE = 0.2  # seconds at most between attempts while the log is full


class WorkspaceClicks(NamedTuple):
    """The clicks of one workspace: what becomes one record. The visit of `events[n]` is `visits[n]`."""

    workspace_id: str
    events: list[RawEvent]
    visits: list[SenderContext]

    def halves(self) -> tuple["WorkspaceClicks", "WorkspaceClicks"]:
        """The same in two parts."""
        middle = len(self.events) // 2
        for event in self.events[middle:]:
            event.visit -= middle
        return (
            WorkspaceClicks(self.workspace_id, self.events[:middle], self.visits[:middle]),
            WorkspaceClicks(self.workspace_id, self.events[middle:], self.visits[middle:]),
        )


class ClickGroup:
    """The clicks that are made durable together, by workspace."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cap: float) -> None:
        self.size = 0
        self.bytes = 0
        self.sealed = False  # it was tried: nothing is added any more
        self.complete = True  # no click of it was lost
        self._parts: dict[str, WorkspaceClicks] = {}
        self.left: list[WorkspaceClicks] = []  # once sealed: what is not durable yet
        self._loop = loop
        self._logged: bool | None = None
        self._waiters: list[asyncio.Future[bool]] = []
        self._timer = loop.call_later(cap, self.answer, False)

    @property
    def full(self) -> bool:
        """Nothing is added any more."""
        return self.sealed or self.size >= _GROUP or self.bytes >= _GROUP_BYTES

    def add(self, workspace_id: str, event: RawEvent, visit: SenderContext, size: int) -> None:
        """Add one click of about `size` bytes; its visit index is set here."""
        part = self._parts.get(workspace_id)
        if part is None:
            part = self._parts[workspace_id] = WorkspaceClicks(workspace_id, [], [])
        event.visit = len(part.visits)
        part.visits.append(visit)
        part.events.append(event)
        self.size += 1
        self.bytes += size

    def seal(self) -> None:
        """It is about to be written."""
        if not self.sealed:
            self.sealed = True
            self.left = list(self._parts.values())

    def logged(self) -> asyncio.Future[bool]:
        """True once durable, False once the cap has passed; what comes first is the answer.

        Each who waits has a future of its own: one whose request is cancelled cancels nobody else's.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        if self._logged is None:
            self._waiters.append(future)
        else:
            future.set_result(self._logged)
        return future

    def answer(self, logged: bool) -> None:  # noqa: FBT001 -- the future's value
        """Tell those who wait, if nobody has."""
        self._timer.cancel()
        if self._logged is None:
            self._logged = logged
            for future in self._waiters:
                if not future.done():
                    future.set_result(logged)
            self._waiters.clear()


class ClickBuffer:
    """The buffer between redirects and the log. `memory`: bytes that waiting clicks may take, about."""

    def __init__(self, eventlog: EventLog, cap: float, tallies: Tallies, memory: int) -> None:
        self._log = eventlog
        self._cap = cap
        self._tallies = tallies
        self._memory = memory
        self._waiting: list[ClickGroup] = []
        self._size = 0  # of all that is not durable, what is being written included
        self._bytes = 0
        self._empty = asyncio.Event()
        self._full = False  # the log was, when it was last asked
        self._loop = Loop("clicks", 1.0, self._write_next, grace=_GRACE)

    def add(self, workspace_id: str, event: RawEvent, visit: SenderContext) -> ClickGroup:
        """Queue a click. The group says when it is durable."""
        if not self._waiting or self._waiting[-1].full:
            self._waiting.append(ClickGroup(asyncio.get_running_loop(), self._cap))
            self._loop.wake()
        group = self._waiting[-1]
        size = _size(event, visit)
        group.add(workspace_id, event, visit, size)
        self._size += 1
        self._bytes += size
        while (self._size > _MOST or self._bytes > self._memory) and len(self._waiting) > 1:
            self._drop_oldest()
        return group

    async def __aenter__(self) -> Self:
        """Begin writing groups."""
        self._loop.start()
        CLICKS_WAITING.set_function(lambda: self._size)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is queued; what the log still refuses after some seconds is lost, and booked."""
        self._loop.wake()
        try:
            async with asyncio.timeout(_PATIENCE):
                while self._size:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            log.warning("clicks.not_logged_in_time", clicks=self._size, seconds=_PATIENCE)
        if not await self._loop.leave():
            self._tallies.settle(self._settle)
        self._lose_waiting()
        CLICKS_WAITING.set_function(lambda: 0)

    async def _settle(self) -> None:
        """The append that hung has its answer: what was refused is lost like the rest."""
        await self._loop.stop()
        self._lose_waiting()
        if self._size:
            # The log is closed and has not answered: it may have written them, or not.
            log.error("clicks.uncertain", clicks=self._size)

    def _lose_waiting(self) -> None:
        while self._waiting:
            group = self._waiting.pop(0)
            group.seal()
            self._lose(group, "the log did not take them before the end")

    def _drop_oldest(self) -> None:
        group = self._waiting.pop(0)
        group.seal()
        self._lose(group, "the log does not take records, memory is full")

    def _lose(self, group: ClickGroup, why: str) -> None:
        clicks = group.size
        for part in group.left:
            self._lose_events(part.workspace_id, part.events, Reason.CLICK_UNLOGGED)
        log.error("clicks.lost", clicks=clicks, reason=why)
        group.left.clear()
        group.size = 0
        self._size -= clicks
        self._bytes -= group.bytes
        group.answer(logged=False)

    def _lose_events(self, workspace_id: str, events: Iterable[RawEvent], reason: Reason) -> None:
        for site_id, count in Counter([event.site_id for event in events]).items():
            CLICKS_UNLOGGED.inc(count)
            self._tallies.lose(reason, count, workspace_id, site_id)

    async def _write_next(self) -> None:
        """Write the oldest group, which stays when that fails: the loop comes round again."""
        if not self._waiting:
            return
        group = self._waiting.pop(0)
        group.seal()
        try:
            while group.left:
                await self._write_part(group)
        except LogFull as error:
            self._waiting.insert(0, group)
            if isinstance(error, LogFailed):
                raise
            if not self._full:
                log.warning("clicks.log_full", clicks=self._size, error=str(error))
            self._full = True
            await asyncio.sleep(min(error.retry_after, _FULL_PAUSE))
        except Exception:
            self._waiting.insert(0, group)
            raise
        else:
            self._full = False
            self._bytes -= group.bytes
            group.answer(logged=group.complete)
            self._empty.set()
        if self._waiting:
            self._loop.wake()

    async def _write_part(self, group: ClickGroup) -> None:
        """Append one record. What is safe is not appended again; what is too large for one becomes two."""
        part = group.left[0]
        received_at = now_ms()
        record = Record(FORMAT_VERSION, received_at, part.workspace_id, "redirect", part.events, part.visits)
        count = len(part.events)
        try:
            await append(self._log, part.workspace_id, record)
        except Invalid as error:
            if count > 1:
                group.left[:1] = part.halves()
                return
            # No log will ever take it.
            log.warning("clicks.lost", clicks=1, reason=str(error))
            self._lose_events(part.workspace_id, part.events, Reason.CLICK_TOO_LARGE)
            group.complete = False
        else:
            EVENTS_ACCEPTED.inc(count)
        del group.left[0]
        group.size -= count
        self._size -= count


def _size(event: RawEvent, visit: SenderContext) -> int:
    """About the bytes of a click in memory, and more than it has in a record."""
    size = _CLICK_BYTES + len(event.destination_url)
    for text in (event.page_url, event.referrer, visit.user_agent):
        # What is not ASCII has two bytes a character in the log, or more.
        size += len(text) if text.isascii() else 2 * len(text)
    return size
