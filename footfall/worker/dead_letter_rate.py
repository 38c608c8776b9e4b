"""The share of dead letters in the last minute, above which the worker pauses instead of going on.

A few poisoned events are set aside; when a large part of what comes in cannot be stored, the
fault is ours (a bad deploy, a missing migration), and going on would drain the log into
the dead letters.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from footfall import metrics
from footfall.model.reasons import NEWER_FORMAT
from footfall.model.record import events_in
from footfall.state.dead_letters.letter import DeadLetter
from footfall.worker.reader import Placed

AT_LEAST = 100  # dead letters: one bad event among three is no deploy
_MINUTE = 60.0
_SHOWN = 3  # positions of dead letters in a line of the log
_EVENT_BYTES = 256  # of an event, where no record says how large its events are

log = structlog.get_logger(__name__)


class DeadLetterRate:
    """Counts what was closed, by batch. `most` of the events of a minute; `clock` in seconds, any origin."""

    def __init__(self, most: float = 0.2, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._batches: deque[tuple[float, int, int]] = deque()

    def too_many(self, events: int, dead: int) -> bool:
        """Whether closing a batch with so many events and dead letters would pass the limit."""
        since = self._clock() - _MINUTE
        while self._batches and self._batches[0][0] < since:
            self._batches.popleft()
        dead += sum(each[2] for each in self._batches)
        events += sum(each[1] for each in self._batches)
        return dead >= AT_LEAST and dead > self._most * events

    def closed(self, events: int, dead: int) -> None:
        """A batch was closed."""
        self._batches.append((self._clock(), events, dead))


class Weight(NamedTuple):
    """Events: all those of a batch, and those in records of it that cannot be read."""

    events: int
    unreadable: int


def weigh(records: Sequence[Placed]) -> Weight:
    """A record that cannot be read counts for the events it says it has, else for its share of the bytes.

    One of a newer version is no fault: whether it is set aside was asked for itself.
    """
    records = [placed for placed in records if placed.reason != NEWER_FORMAT]
    readable = [placed for placed in records if placed.record]
    events = sum(len(placed.record.events) for placed in readable if placed.record)
    if len(readable) == len(records):
        return Weight(events, 0)
    size = sum(placed.size for placed in readable) / events if events else _EVENT_BYTES
    unreadable = sum(_events(placed, size) for placed in records if not placed.record)
    return Weight(events + unreadable, unreadable)


def _events(placed: Placed, size: float) -> int:
    said = events_in(placed.data) if placed.data else None
    return max(1, round(placed.size / size) if said is None else said)


def tell(letters: Sequence[DeadLetter]) -> None:
    """One line for the letters of a batch, however many there are."""
    if not letters:
        return
    reasons = Counter(letter.reason for letter in letters)
    for reason, count in reasons.items():
        metrics.DEAD_LETTERED.labels(reason).inc(count)
    first = [f"{letter.position} {letter.reason} {letter.detail}".rstrip() for letter in letters[:_SHOWN]]
    log.error("dead letters", **reasons, first=first)
