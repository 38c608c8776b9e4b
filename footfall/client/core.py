"""The queue and its batches, without I/O, clock or lock: what both facades share.

    add -> [waiting] -> next -> [under way] -> settle -> accepted, duplicate or rejected
                |                    |  ^
              dropped                +--+ sent again: the same events under the same ids

Waiting events are bounded in number and bytes; the oldest are dropped for new ones, and counted.
Events that were sent and not answered may be safe already, so they are kept until they are
answered: at most one batch of them. One request is under way at a time, so events arrive in order.

Always true: tracked = accepted + duplicate + rejected + dropped + waiting.
"""

import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from footfall.client.answers import Again, Halve, Outcome, Refused, Verdict
from footfall.client.event import Made


@dataclass(frozen=True, slots=True)
class Limits:
    """How much waits, how much goes at once, and when. Sizes in bytes, times in seconds."""

    queue_events: int = 10_000
    queue_bytes: int = 16 << 20
    batch_events: int = 500
    batch_bytes: int = 512 << 10
    linger: float = 0.2
    backoff: float = 0.5
    backoff_max: float = 30.0

    def __post_init__(self) -> None:
        for name in ("queue_events", "queue_bytes", "batch_events", "batch_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("linger", "backoff", "backoff_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the events so far. tracked = accepted + duplicate + rejected + dropped + waiting."""

    tracked: int
    sent: int  # on the wire at least once
    accepted: int
    duplicate: int  # the id stood twice in one request
    rejected: dict[str, int]  # by reason: the door's, or http_401 and the like for a whole request
    dropped: int  # given up without an answer: the queue was full, or the client closed
    retried: int  # sent again, each time counts
    waiting: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Events that were refused for one reason, as they were sent."""

    reason: str
    field: str
    message: str
    events: tuple[dict[str, Any], ...]


class _Item(NamedTuple):
    number: int  # 1 for the first event tracked
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Events that go in one request."""

    items: Sequence[_Item]
    body: bytes


@dataclass(slots=True, eq=False)
class Flush:
    """One wait for everything tracked so far. `ok`: none of it was refused or dropped since the last one."""

    upto: int
    ok: bool = True


@dataclass(slots=True)
class _Counts:
    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: dict[str, int] = field(default_factory=dict[str, int])
    dropped: int = 0
    retried: int = 0


class Core:
    """The state of one sender. The caller sees to it that only one thread is in it at a time."""

    def __init__(
        self, limits: Limits, *, queue_id: str, site_id: str = "", uniform: Callable[[], float] | None = None
    ) -> None:
        self._limits = limits
        self._uniform = uniform or random.random
        beside = {"queue_id": queue_id} | ({"site_id": site_id} if site_id else {})
        self._head = msgspec.json.encode(beside)[:-1] + b',"events":['
        self._waiting: deque[_Item] = deque()
        self._bytes = 0
        self._since = 0.0  # when the oldest of them came
        self._again: deque[list[_Item]] = deque()  # were sent; older than all that wait
        self._under_way: Batch | None = None
        self._most = limits.batch_events
        self._tracked = 0
        self._counts = _Counts()
        self._failures = 0  # since the last answer
        self._not_before = 0.0
        self._flushes: list[Flush] = []
        self._spoiled = False  # something was refused or dropped that no flush has told of

    def add(self, events: Iterable[Made], now: float) -> tuple[bool, list[Rejection]]:
        """Queue events. Says whether `next` has changed, and what cannot be sent at all."""
        limits, idle, was_full = self._limits, not self._waiting, self._full()
        rejections: list[Rejection] = []
        for made in events:
            self._tracked += 1
            if made.data is None:
                self._lose(made.reason, [self._tracked])
                field = "properties" if made.reason == "invalid_property" else ""
                rejections.append(Rejection(made.reason, field, made.problem, ({"event_id": made.id},)))
                continue
            if not self._waiting:
                self._since = now
            self._waiting.append(_Item(self._tracked, made.data))
            self._bytes += len(made.data)
            while len(self._waiting) > limits.queue_events or self._bytes > limits.queue_bytes:
                self._drop([self._take()])
        return bool(self._waiting) and (idle or (self._full() and not was_full)), rejections

    def next(self, now: float) -> Batch | float | None:
        """The batch to send now; or seconds until there may be one; or None when nothing waits."""
        if self._under_way is not None or not (self._again or self._waiting):
            return None
        if now < self._not_before:
            return self._not_before - now
        if self._again:
            items = self._again[0]
            self._counts.retried += len(items)
        else:
            wait = self._since + self._limits.linger - now
            if not self._full() and not self._flushes and wait > 0:
                return wait
            items = self._fill()
            self._since = now
            self._again.append(items)
            self._counts.sent += len(items)
        self._under_way = Batch(items, self._head + b",".join([item.data for item in items]) + b"]}")
        return self._under_way

    def settle(self, batch: Batch, outcome: Outcome, now: float) -> list[Rejection]:
        """Take in what became of a batch; returns what was refused. Ignores one that was given up."""
        if batch is not self._under_way:
            return []
        self._under_way = None
        rejections: list[Rejection] = []
        match outcome:
            case Again(_, wait):
                self._back_off(now, wait)
            case Halve(why):
                self._again.popleft()
                rejections = self._halve(batch.items, why)
            case Refused(reason, name, message):
                self._again.popleft()
                self._failures = 0
                rejections = [self._reject(batch.items, reason, name, message)]
            case _:
                self._again.popleft()
                rejections = self._read(batch.items, outcome.verdicts, now)
        self._finish_flushes()
        return rejections

    def flush(self) -> Flush:
        """Ask for all that waits to go now; `flushed` says when it went."""
        flush = Flush(self._tracked, ok=not self._spoiled)
        self._spoiled = False
        if self._oldest() <= flush.upto:
            self._flushes.append(flush)
        return flush

    def flushed(self, flush: Flush) -> bool:
        """Whether each of its events was answered or dropped."""
        return flush not in self._flushes

    def give_up(self, flush: Flush) -> None:
        """Nobody waits for this any more."""
        if flush in self._flushes:
            self._flushes.remove(flush)

    def abandon(self) -> int:
        """Drop everything not answered: how many."""
        items = [item for batch in self._again for item in batch] + list(self._waiting)
        self._again.clear()
        self._waiting.clear()
        self._bytes = 0
        self._under_way = None
        self._drop(items)
        return len(items)

    @property
    def stats(self) -> Stats:
        """The counts so far."""
        counts = self._counts
        return Stats(
            tracked=self._tracked,
            sent=counts.sent,
            accepted=counts.accepted,
            duplicate=counts.duplicate,
            rejected=dict(counts.rejected),
            dropped=counts.dropped,
            retried=counts.retried,
            waiting=sum(map(len, self._again)) + len(self._waiting),
        )

    def _full(self) -> bool:
        return len(self._waiting) >= self._most or self._bytes >= self._limits.batch_bytes

    def _take(self) -> _Item:
        item = self._waiting.popleft()
        self._bytes -= len(item.data)
        return item

    def _fill(self) -> list[_Item]:
        items = [self._take()]
        size = len(items[0].data)
        while self._waiting and len(items) < self._most:
            size += len(self._waiting[0].data) + 1
            if size > self._limits.batch_bytes:
                break
            items.append(self._take())
        return items

    def _read(self, items: Sequence[_Item], verdicts: Sequence[Verdict], now: float) -> list[Rejection]:
        by_index = {verdict.index: verdict for verdict in verdicts}
        again: list[_Item] = []
        rejections: list[Rejection] = []
        for index, item in enumerate(items):
            verdict = by_index.get(index)
            match verdict and verdict.status:
                case "retry":
                    again.append(item)
                case "duplicate":
                    self._counts.duplicate += 1
                case "rejected":
                    assert verdict
                    rejections.append(self._reject([item], verdict.reason, verdict.field, verdict.message))
                case _:
                    self._counts.accepted += 1
        if again:
            self._again.appendleft(again)
            self._back_off(now, 0)
        else:
            self._failures = 0
            # Batches shrink fast after a 413 and grow slowly, to find what a smaller door takes.
            self._most = min(self._most + 1, self._limits.batch_events)
        return rejections

    def _halve(self, items: Sequence[_Item], why: str) -> list[Rejection]:
        self._failures = 0
        half = len(items) // 2
        if not half:
            return [self._reject(items, "too_large", "", why)]
        self._most = max(1, half)
        self._again.extendleft([list(items[half:]), list(items[:half])])
        return []

    def _back_off(self, now: float, wait: float) -> None:
        """Exponential with full jitter, on top of what the door asks for, lest all come at once."""
        ceiling = min(self._limits.backoff * 2.0 ** min(self._failures, 30), self._limits.backoff_max)
        self._failures += 1
        self._not_before = now + wait + self._uniform() * ceiling

    def _reject(self, items: Sequence[_Item], reason: str, name: str, message: str) -> Rejection:
        reason = reason or "unknown"
        self._lose(reason, [item.number for item in items])
        events = tuple(json.loads(item.data) for item in items)  # msgspec refuses half an emoji
        return Rejection(reason, name, message, events)

    def _lose(self, reason: str, numbers: Sequence[int]) -> None:
        rejected = self._counts.rejected
        rejected[reason] = rejected.get(reason, 0) + len(numbers)
        self._spoil(numbers)

    def _drop(self, items: Sequence[_Item]) -> None:
        self._counts.dropped += len(items)
        self._spoil([item.number for item in items])
        self._finish_flushes()

    def _spoil(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            concerned = [flush for flush in self._flushes if number <= flush.upto]
            for flush in concerned:
                flush.ok = False
            self._spoiled = self._spoiled or not concerned

    def _oldest(self) -> float:
        """The number of the oldest event without an answer; infinity when there is none."""
        if self._again:
            return self._again[0][0].number
        return self._waiting[0].number if self._waiting else float("inf")

    def _finish_flushes(self) -> None:
        if self._flushes:
            oldest = self._oldest()
            self._flushes = [flush for flush in self._flushes if flush.upto >= oldest]
