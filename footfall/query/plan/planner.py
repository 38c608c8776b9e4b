"""Where an answer comes from: the events, the rollups, or both.

A rollup answers for the part of the range that is whole buckets of it, as far as the log was
sliced and rollups are kept. Everything else is taken from the events themselves: the edges of the
range, what is not sliced yet, what is older than the rollups, and sites whose days are not those of
the question. The sum is the same as if all had come from the events; `missing` says where these
are gone as well.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from footfall.model.calendar import first_day_start, is_day_start, last_day_start
from footfall.model.cubes import CUBES, KEYS, Cube
from footfall.model.times import HOUR_MS
from footfall.query.catalog.metrics import KNOWN_METRICS, measures_of
from footfall.query.language.periods import Period
from footfall.query.language.question import (
    HOUR_OF_DAY,
    WEEKDAY,
    Comparison,
    Question,
    always,
    fields_asked,
    has_behaviour,
    sites_asked,
)
from footfall.state.rollups.manifest import Manifest, ManifestEntry, Zone
from footfall.state.rollups.row_counts import RowCounts

SMALL = 200_000
"""Events of the sites asked about up to which reading them beats reading rollups."""

_WIDGET_TYPES = frozenset({"widget_impression", "widget_click", "device_page_view"})
_KNOWN_OF = {  # one of them is not ""
    "link": {"link_id"},
    "content": {"utm_content", "utm_term"},
    "visit_content": {"entry_utm_content", "entry_utm_term"},
}
_NO_SITE = Zone("UTC", HOUR_MS)


class Cover(Struct, frozen=True):
    """What rollups say of these sites from `start` up to `end` (ms) is complete, as far as sliced."""

    sites: tuple[str, ...]
    start: int
    end: int


class RollupSource(Struct, frozen=True):
    """A part of the answer comes from this cube of these builds, each with a month it stands for.

    `watermarks`: for each shard the last seq that is sliced, -1 for none; `late`: positions below
    them that are not. `edges`: whether the range has events outside of `covers`.
    """

    cube: Cube
    builds: tuple[tuple[int, int], ...]
    covers: tuple[Cover, ...]
    watermarks: dict[int, int]
    late: tuple[tuple[int, int], ...]
    edges: bool


Reason = Literal["rollup", "no_rollups", "behaviour", "metrics", "few_events", "fields", "range", "events"]

REASONS: dict[Reason, str] = {
    "rollup": "rollups say all of it, or most",
    "no_rollups": "there are no rollups yet",
    "behaviour": "a filter asks what visitors have done",
    "metrics": "a metric is counted over events only",
    "few_events": "there are so few events that reading them is faster",
    "fields": "no rollup has these fields and metrics together",
    "range": "the rollups that have them say nothing of this range in this time zone",
    "events": "events themselves, or the names of their properties, are asked for",
}
"""Why an answer comes from where it comes from. All but the first: it comes from the events."""


class Plan(NamedTuple):
    """The rollup that a question is answered from beside the events; None when the events answer alone."""

    rollup: RollupSource | None
    reason: Reason


def plan(question: Question, manifest: Manifest, stored: RowCounts, small: int = SMALL) -> Plan:
    """Where the answer to a question comes from, and why.

    `stored`: of the question's workspace; `small`: see SMALL.
    """
    if not manifest.entries:
        return Plan(None, "no_rollups")
    if reason := _needs_events(question):
        return Plan(None, reason)
    asked = sites_asked(question)
    sites = {site: count for site, count in stored.sites.items() if asked is None or site in asked}
    if sum(sites.values()) <= small and question.period.start >= deleted_before(question, manifest, stored):
        return Plan(None, "few_events")
    zones = {site: manifest.zones[site] for site in sites if site in manifest.zones}
    if "" in sites:  # events without a site
        zones[""] = _NO_SITE
    found: list[RollupSource] = []
    fields, measures = _needed(question)
    needed = fields | measures
    cubes = _cubes(question, fields, measures)
    for cube in cubes:
        covers = tuple(_covers(question, cube, zones, manifest.rollups_from))
        if not covers:
            continue
        start, end = min(cover.start for cover in covers), max(cover.end for cover in covers)
        entries = [entry for entry in manifest.entries if entry.first < end and entry.last >= start]
        if all(cube.in_build(entry.cubes, needed) for entry in entries):
            rollup = RollupSource(
                cube=cube,
                builds=tuple((entry.month, entry.build) for entry in entries),
                covers=covers,
                watermarks=dict.fromkeys(stored.shards, -1) | manifest.watermarks,
                late=manifest.late,
                edges=_edges(question, covers, entries),
            )
            if _whole(question, covers) and sum(len(cover.sites) for cover in covers) == len(zones):
                return Plan(rollup, "rollup")
            found.append(rollup)
    # Hours leave less to the events than days: these take longer, or may be gone.
    if found:
        hourly = (rollup for rollup in found if rollup.cube.grain == "hour")
        return Plan(next(hourly, found[0]), "rollup")
    return Plan(None, "range" if cubes else "fields")


def deleted_before(question: Question, manifest: Manifest, stored: RowCounts) -> int:
    """Up to when (ms) retention deleted events that a question is about; 0 if it did not.

    The manifest knows of all workspaces; the question's own sites are those of `stored`.
    """
    return max((manifest.raw_from[site] for site in deleted_sites(question, manifest, stored)), default=0)


def deleted_sites(question: Question, manifest: Manifest, stored: RowCounts) -> list[str]:
    """The sites asked about of which events within the range, or before its end, were deleted."""
    asked = sites_asked(question)
    return [
        site
        for site, at in manifest.raw_from.items()
        if at > question.period.start and site in stored.sites and (asked is None or site in asked)
    ]


def _needs_events(question: Question) -> Reason | None:
    if has_behaviour(question.where):
        return "behaviour"
    return "metrics" if any(KNOWN_METRICS[name].only_of_events for name in question.metrics) else None


def _needed(question: Question) -> tuple[set[str], set[str]]:
    """The fields and the measures that a question is about."""
    measures = {measure for name in question.metrics for measure in measures_of(KNOWN_METRICS[name])}
    return fields_asked(question), measures


def _cubes(question: Question, fields: Collection[str], measures: Collection[str]) -> list[Cube]:
    """The cubes that have all of it, those with the fewest rows first."""
    found = [
        cube
        for cube in CUBES
        if {*cube.fields, *KEYS}.issuperset(fields)
        and set(cube.measures).issuperset(measures)
        and _implies(question, cube.only)
    ]
    return sorted(found, key=lambda cube: (bool(cube.fields), cube.grain == "hour", len(cube.fields)))


def _implies(question: Question, only: str) -> bool:
    """Whether every event that the question is about is one of those that the cube holds."""
    if not only or (only == "bot" and question.bots is True):
        return True
    return any(_names(where, only) for where in always(question.where) if where.case_sensitive)


def _names(where: Comparison, only: str) -> bool:
    if only == "bot":
        return where.field == "is_bot" and set(where.values) == {where.operator == "is"}
    if only == "widget":
        return where.field == "event_type" and where.operator == "is" and set(where.values) <= _WIDGET_TYPES
    if where.field not in _KNOWN_OF[only]:
        return False
    return (
        "" in where.values
        if where.operator == "is_not"
        else where.operator == "is" and "" not in where.values
    )


def _covers(question: Question, cube: Cube, zones: dict[str, Zone], since: int) -> Iterable[Cover]:
    """`since` (ms): rollups that begin earlier are not kept."""
    start, end = max(question.period.start, since), question.period.end
    kinds = sorted(zones, key=lambda site: (zones[site].timezone, zones[site].step))
    for (timezone, step), sites in groupby(kinds, key=lambda site: (zones[site].timezone, zones[site].step)):
        whole = (
            _whole_days(question, start, end, timezone)
            if cube.grain == "day"
            else _whole_steps(question, start, end, step)
        )
        if whole:
            yield Cover(tuple(sites), *whole)


def _whole_steps(question: Question, start: int, end: int, step: int) -> tuple[int, int] | None:
    start, end = -(-start // step) * step, end // step * step
    if start >= end or any(at % step for at in question.buckets if start < at < end):
        return None
    for clock in question.clocks.values():
        if any(ahead % step or (start < at < end and at % step) for at, ahead in clock):
            return None
    return start, end


def _whole_days(question: Question, start: int, end: int, timezone: str) -> tuple[int, int] | None:
    zone = ZoneInfo(timezone)
    start, end = first_day_start(start, zone), last_day_start(end, zone)
    return (start, end) if start < end and made_of_days(question, start, end, zone) else None


def made_of_days(question: Question, start: int, end: int, zone: ZoneInfo) -> bool:
    """Whether no bucket of the question cuts a day of the zone between `start` and `end` (ms).

    An hour of the day does, and a weekday where the days of the zone are not those of the question.
    """
    if HOUR_OF_DAY in question.clocks:
        return False
    period = question.period
    theirs = Period(period.start, period.end, zone.key).clock(days=True) if question.clocks else ()
    if theirs != question.clocks.get(WEEKDAY, ()):
        return False
    return all(is_day_start(at, zone) for at in question.buckets if start < at < end)


def _edges(question: Question, covers: Sequence[Cover], entries: Sequence[ManifestEntry]) -> bool:
    """Whether events outside of the covers may be asked for."""
    if not entries:
        return True
    asked = sites_asked(question)
    covered = {site for cover in covers for site in cover.sites}
    if asked is None or not asked <= covered:
        return True
    return not _whole(question, covers)


def _whole(question: Question, covers: Sequence[Cover]) -> bool:
    """Whether the covers are about all of the range."""
    return all((cover.start, cover.end) == (question.period.start, question.period.end) for cover in covers)
