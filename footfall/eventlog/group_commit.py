"""Group commit: many appends wait on the event loop, one thread writes them together."""

import asyncio
import logging
import queue
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from footfall.errors import Invalid, LogFull
from footfall.eventlog.block import MAX_RECORD, MAX_RECORDS
from footfall.runtime.background import thread

# What waits in memory while the disk is slow; beyond it appends are refused.
_QUEUE_RECORDS = 50_000
_QUEUE_BYTES = 32 << 20
_GROUP_BYTES = 1 << 20  # a group is closed at this size
_IDLE = 5.0  # seconds without an append after which the thread looks for left-over work

_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    data: bytes
    done: asyncio.Future[None]


class ShardWriter(Protocol):
    """The shard behind the queue. Blocking; used by one thread."""

    refusal: str
    """Why nothing is taken at present, "" while it is: appends need not wait to hear that."""

    def start(self) -> None:
        """Prepare for the first append; a failure is no harm yet."""
        ...

    def write(self, bodies: Sequence[bytes]) -> None:
        """Make the records durable, or raise LogFull and keep none of them."""
        ...

    def tidy(self) -> None:
        """What is due after a write. Raises nothing."""
        ...

    def idle(self) -> None:
        """What is due when nothing is written for a while. Raises nothing."""
        ...

    def close(self) -> None:
        """Let go of the shard."""
        ...


class GroupCommit:
    """The queue in front of a shard, and the thread behind it.

    The thread takes whatever is queued when the last commit is done, so groups grow with the
    load and a lone append waits for nobody. Appends belong to the event loop that made this.
    """

    def __init__(self, shard: ShardWriter) -> None:
        self._shard = shard
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        # Counted on the loop only: up in append, down when a group is settled.
        self._records = 0
        self._bytes = 0
        self._closed = False
        self._began = False
        self._ends = False
        self._thread = thread("log_writer", self._round)

    async def append(self, data: bytes) -> None:
        """See the port. A caller that is cancelled leaves its record in the queue."""
        size = len(data)
        if size > MAX_RECORD:
            raise Invalid(f"a log record has at most {MAX_RECORD} bytes", field="")
        if self._closed:
            raise LogFull("the log is closing")
        if self._shard.refusal:
            raise LogFull(self._shard.refusal)
        if self._records >= _QUEUE_RECORDS or self._bytes + size > _QUEUE_BYTES:
            raise LogFull("the queue of the log is full")
        self._records += 1
        self._bytes += size
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Waiting(data, done))
        await done

    async def close(self) -> None:
        """Write all that is queued, then release the shard."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _round(self) -> bool:
        """One group, or a look for left-over work. The first one starts the shard, the last one closes it."""
        if not self._began:
            self._began = True
            self._shard.start()
        if self._ends:
            return self._end()
        group, going = self._take()
        self._ends = not going  # also if something below fails
        if group:
            refusal = self._write(group)
            with suppress(RuntimeError):  # the loop is gone, and everybody who waited with it
                self._loop.call_soon_threadsafe(self._settle, group, refusal)
            self._shard.tidy()
        elif going:
            self._shard.idle()
        return True

    def _end(self) -> bool:
        """Once, whether it goes well or not: who closes the log waits for the end of this thread."""
        try:
            self._shard.close()
        except Exception:  # noqa: BLE001 -- the end of the process releases it in any case
            _log.exception("the shard of the log was not closed")
        return False

    def _take(self) -> tuple[list[_Waiting], bool]:
        """All that is queued, up to a group's size; False once the queue was closed."""
        group: list[_Waiting] = []
        size = 0
        try:
            waiting = self._queue.get(timeout=_IDLE)
            while waiting is not None:
                group.append(waiting)
                size += len(waiting.data)
                if size >= _GROUP_BYTES or len(group) >= MAX_RECORDS:
                    return group, True
                waiting = self._queue.get_nowait()
        except queue.Empty:
            return group, True
        return group, False

    def _write(self, group: list[_Waiting]) -> str:
        """Why the group was refused, or "" when it is durable."""
        try:
            self._shard.write([waiting.data for waiting in group])
        except LogFull as error:
            return str(error)
        except Exception:  # noqa: BLE001 - without this thread every append would wait for ever
            _log.exception("the log failed in an unexpected way")
            return "the log failed"
        return ""

    def _settle(self, group: list[_Waiting], refusal: str) -> None:
        self._records -= len(group)
        for waiting in group:
            self._bytes -= len(waiting.data)
            if waiting.done.done():
                continue  # the caller went away; its record did not
            if refusal:
                waiting.done.set_exception(LogFull(refusal))
            else:
                waiting.done.set_result(None)
