"""What makes the worker wait for somebody instead of going on, and what to do then.

Each has an alert condition of its own (docs/operations.md) and one line in the log when it begins.
"""

from collections.abc import Mapping
from typing import NamedTuple

import structlog
from prometheus_client import Gauge

from footfall.metrics import WORKER_FULL, WORKER_NEWER, WORKER_PAUSED, WORKER_PLANNED_MISSING
from footfall.model.record import NewerRecord, decode
from footfall.state.dead_letters.letter import format_position
from footfall.state.dead_letters.rows import Size
from footfall.worker.reader import Placed, PlannedMissing

log = structlog.get_logger(__name__)

_SHORTEST = 4  # failures in a row, as a pause's length
_GAUGES = (WORKER_PAUSED, WORKER_NEWER, WORKER_FULL)


class Obstacle(NamedTuple):
    """`gauge` is 1 while it is there."""

    gauge: Gauge
    message: str
    figures: Mapping[str, object]


def too_many(events: int, dead: int) -> Obstacle:
    """Too large a share of what comes in cannot be stored."""
    message = (
        "too much of what comes in cannot be stored: mend or roll back this version, nothing is lost"
        " (or set dead_letter_share = 1 to set it all aside and go on)"
    )
    return Obstacle(WORKER_PAUSED, message, {"events": events, "dead": dead})


def made_by_a_newer_version(placed: Placed) -> Obstacle:
    """The first such record of a batch."""
    version = 0
    try:
        decode(placed.data or b"")
    except NewerRecord as error:
        version = error.version
    except ValueError:  # it says that of itself
        pass
    position = format_position(placed.shard, placed.offset)
    message = (
        "a record in the log was made by a newer version of Footfall: upgrade, nothing is lost"
        ' (or set newer_records = "set_aside" to keep such records as dead letters and go on)'
    )
    return Obstacle(WORKER_NEWER, message, {"record": position, "format": version})


def no_room(kept: Size) -> Obstacle:
    """The next batch has dead letters, or the last one had, and there are too many."""
    message = (
        "there are too many dead letters: retry or discard some (footfall dead-letters), then it goes on"
    )
    return Obstacle(WORKER_FULL, message, {"letters": kept.letters, "bytes": kept.bytes})


def planned_missing(missing: PlannedMissing) -> Obstacle:
    """A batch was left open, and the log lacks an end of it."""
    shard = f"{missing.shard:016x}"
    message = (
        f"a batch was left open and shard {shard} of the log lacks records of it: restore the log (if they"
        " are lost for good, `footfall rebuild-state` goes on with what the store and the log have)"
    )
    return Obstacle(WORKER_PLANNED_MISSING.labels(shard), message, {"shard": shard, "problem": str(missing)})


class Pauses:
    """The pauses of a worker: what it waits for now, and how often it has looked in vain."""

    def __init__(self) -> None:
        self._reason = ""
        self._in_a_row = 0
        self._gauges = set(_GAUGES)

    def again(self, obstacle: Obstacle) -> int:
        """One more pause; returns how many failures its length should be that of. Told once."""
        if obstacle.message != self._reason:
            self.over()
            self._reason = obstacle.message
            self._gauges.add(obstacle.gauge)
            obstacle.gauge.set(1)
            log.error("the worker pauses", why=obstacle.message, **obstacle.figures)
        self._in_a_row += 1
        return self._in_a_row + _SHORTEST

    def over(self) -> None:
        """The worker goes on."""
        self._reason, self._in_a_row = "", 0
        for gauge in self._gauges:
            gauge.set(0)
