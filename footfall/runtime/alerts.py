"""When somebody should be told: one table of conditions, looked at every few seconds.

A condition is about a metric of this process. It begins when the metric is beyond its
threshold at two looks in a row, and ends when it is back by a fifth of it, so that a value near
the threshold is told once. A process looks at what it knows; a metric that is NaN is not known.

    footfall_alert{condition="..."}     1 or 0
    the log                             one line when it begins, one when it ends
    /health/ready                       "degraded", with those that hold; still 200
"""

import asyncio
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import structlog
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.samples import Sample

from footfall.metrics import ALERT, DISK_FREE_BYTES
from footfall.settings import Settings

log = structlog.get_logger(__name__)

EVERY = 5.0
"""Seconds between two looks."""

_LOOKS = 2
_BACK = 0.2


class Condition(NamedTuple):
    """`metric` is `worse` (above or below) than its threshold: the setting of that name, or a number."""

    name: str
    metric: str
    worse: Literal["above", "below"]
    threshold: str | float
    meaning: str


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "queue_depth",
        "footfall_log_backlog_records",
        "above",
        "alert_queue_depth",
        "the worker is behind: this many records of the log are not stored yet",
    ),
    Condition(
        "oldest_age",
        "footfall_log_oldest_seconds",
        "above",
        "alert_oldest_age",
        "the worker is behind: reports lack what is newer than this",
    ),
    Condition(
        "store_down",
        "footfall_store_up",
        "below",
        1,
        "the store takes no inserts; events wait in the log, nothing is lost",
    ),
    Condition(
        "database_down",
        "footfall_database_down",
        "above",
        0,
        "the PostgreSQL database of links and books does not answer; what is cached works on, and events wait"
        " in the log",
    ),
    Condition(
        "disk_free",
        "footfall_disk_free_bytes",
        "below",
        "alert_disk_free",
        "the disk of the data directory is nearly full; then the door refuses events",
    ),
    Condition(
        "worker_paused",
        "footfall_worker_paused",
        "above",
        0,
        "too much of what comes in cannot be stored, so the worker waits for somebody to look",
    ),
    Condition(
        "newer_record",
        "footfall_worker_newer_record",
        "above",
        0,
        "a record was made by a newer version of Footfall, and the worker waits for the upgrade",
    ),
    Condition(
        "letters_full",
        "footfall_worker_letters_full",
        "above",
        0,
        "there are too many dead letters, so the worker waits until some are retried or discarded",
    ),
    Condition(
        "planned_missing",
        "footfall_worker_planned_missing",
        "above",
        0,
        "the log lacks records of a batch that was left open, so the worker waits for the log to be restored",
    ),
    Condition(
        "log_lost",
        "footfall_log_lost_events",
        "above",
        0,
        "acknowledged events were gone from the log before they were stored; they are lost in the ledger",
    ),
    Condition(
        "witness_off",
        "footfall_log_witness_off",
        "above",
        0,
        "log-ends cannot be written: events that go missing from the log now may be missing in the ledger",
    ),
    Condition(
        "damaged",
        "footfall_damaged",
        "above",
        0,
        "a database or a part of the store is damaged; the error lines name it",
    ),
    Condition(
        "events_missing",
        "footfall_store_rows_missing",
        "above",
        0,
        "events that were stored were gone when the store was opened, and answers lack them; the error lines"
        " name the part where it was set aside as broken; only a backup has them",
    ),
    Condition(
        "dead_letters",
        "footfall_dead_letters",
        "above",
        "alert_dead_letters",
        "events could not be stored; retry or discard them (footfall dead-letters)",
    ),
    Condition(
        "loops",
        "footfall_loops_in_trouble",
        "above",
        0,
        "something that runs beside requests fails again and again, is stuck, or has ended",
    ),
    Condition(
        "imbalance",
        "footfall_ledger_imbalances",
        "above",
        0,
        "the books do not balance: an event has no outcome, or two (footfall ledger)",
    ),
    Condition(
        "verify",
        "footfall_verify_findings",
        "above",
        0,
        "the store, the ledger and the log do not say the same (footfall verify)",
    ),
    Condition(
        "rollups_missing",
        "footfall_rollups_missing",
        "above",
        0,
        "rollups that count are not in the store; they can be made anew as long as their events are there",
    ),
    Condition(
        "retention_held",
        "footfall_retention_held_months",
        "above",
        0,
        "events that are old enough to be deleted stay, as their rollups do not say what they say; where"
        " events are lost, only a backup makes them agree (footfall verify)",
    ),
    Condition(
        "nightly",
        "footfall_nightly_overdue",
        "above",
        0,
        "retention, rollups or verify have not succeeded for two days (the log says why)",
    ),
)

DOOR = ("queue_depth", "oldest_age", "database_down", "disk_free", "witness_off", "damaged", "loops")
"""What a door knows."""

WORKER = tuple(condition.name for condition in CONDITIONS)
"""What a worker knows, and a console beside it."""


class _Held(NamedTuple):
    condition: Condition
    since: float  # Unix seconds
    of: Mapping[str, str]  # which one it is, where there are several


class Alerts:
    """The conditions of one process. `knows`: names of CONDITIONS. Not for several threads."""

    def __init__(
        self,
        settings: Settings,
        knows: Sequence[str],
        registry: CollectorRegistry = REGISTRY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._conditions = [condition for condition in CONDITIONS if condition.name in knows]
        self._thresholds = {each.name: threshold(each, settings) for each in self._conditions}
        self._registry = registry
        self._clock = clock
        self._data = settings.data
        self._looks = dict.fromkeys(knows, 0)  # in a row at which it was beyond
        self._held: dict[str, _Held] = {}

    async def look(self) -> None:
        """Compare every metric with its threshold; to be called every few seconds."""
        if "disk_free" in self._looks:
            usage = await asyncio.to_thread(shutil.disk_usage, self._data)
            DISK_FREE_BYTES.set(usage.free)
        values = self._values()
        for condition in self._conditions:
            worst = values.get(condition.metric)
            if worst is not None and not math.isnan(worst.value):
                self._judge(condition, worst.value, worst.labels)

    def health(self) -> dict[str, object]:
        """For /health/ready: `status` "ok", or "degraded" with the conditions that hold.

        Without figures: anybody may ask.
        """
        return {
            "status": "degraded" if self._held else "ok",
            "alerts": [
                {
                    "condition": name,
                    "meaning": held.condition.meaning,
                    "since": datetime.fromtimestamp(held.since, UTC).isoformat(timespec="seconds"),
                    **held.of,
                }
                for name, held in self._held.items()
            ],
        }

    def _judge(self, condition: Condition, value: float, of: Mapping[str, str]) -> None:
        name, limit = condition.name, self._thresholds[condition.name]
        held = self._held.get(name)
        if held is None:
            self._looks[name] = self._looks[name] + 1 if _beyond(condition, value, limit) else 0
            if self._looks[name] >= _LOOKS:
                self._held[name] = _Held(condition, self._clock(), of)
                meaning = condition.meaning
                log.error("alert.begins", condition=name, value=value, threshold=limit, meaning=meaning, **of)
        elif not _beyond(condition, value, _back(condition, limit)):
            del self._held[name]
            self._looks[name] = 0
            seconds = round(self._clock() - held.since)
            log.warning("alert.ends", condition=name, value=value, threshold=limit, seconds=seconds)
        ALERT.labels(name).set(name in self._held)

    def _values(self) -> dict[str, Sample]:
        names = [condition.metric for condition in self._conditions]
        families = self._registry.restricted_registry(names).collect()
        worst: dict[str, Sample] = {}
        for sample in (sample for family in families for sample in family.samples):
            # With labels: the worst of them, which for those that have any is the highest.
            worst[sample.name] = max(worst.get(sample.name, sample), sample, key=lambda each: each.value)
        return worst


def threshold(condition: Condition, settings: Settings) -> float:
    """The threshold as it is set."""
    given = condition.threshold
    return float(getattr(settings, given)) if isinstance(given, str) else float(given)


def _back(condition: Condition, limit: float) -> float:
    """Where a condition ends that began at `limit`."""
    if not isinstance(condition.threshold, str):  # a yes or no, or a number that must be none
        return limit
    return limit * (1 - _BACK if condition.worse == "above" else 1 + _BACK)


def _beyond(condition: Condition, value: float, limit: float) -> bool:
    return value > limit if condition.worse == "above" else value < limit
