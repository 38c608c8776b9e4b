"""Visits of events that retention deleted: which questions what was kept of them answers."""

from zoneinfo import ZoneInfo

from msgspec import Struct

from footfall.model.calendar import LONGEST_DAY, first_day_start, last_day_start, month_end, month_start
from footfall.model.session_fields import FIELDS, PAGE_OF
from footfall.query.catalog.fields import GOAL, SESSION_FIELDS, fields_of
from footfall.query.catalog.metrics import KNOWN_METRICS, measures_of, tells_events_apart
from footfall.query.language.periods import Period
from footfall.query.language.question import TIMES, Comparison, Question, always, fields_asked, has_behaviour
from footfall.query.plan.planner import Cover, RollupSource, deleted_sites, made_of_days
from footfall.state.rollups.manifest import ArchivedSessions, Going, Manifest
from footfall.state.rollups.row_counts import RowCounts

_KEYS = frozenset({"site_id", "is_bot"})


class ArchiveSource(Struct, frozen=True):
    """Rows of `visits` of these builds and this field ("" for none) are part of the answer.

    `covers`: the days that are theirs; `whole`: whether all that was kept of these has the field;
    `alone`: whether they say all that is asked of the events, too, because no rollup does.
    `going`: events that they say already, though these may still be there.
    """

    field: str
    builds: tuple[int, ...]
    covers: tuple[Cover, ...]
    whole: bool
    alone: bool
    going: tuple[Going, ...]


def about_visits(question: Question) -> bool:
    """Whether a question is about whole visits, which no rollup has."""
    return about_pages_of_visits(question) or any(
        KNOWN_METRICS[name].over_sessions for name in question.metrics
    )


def about_pages_of_visits(question: Question) -> bool:
    """Whether all that is asked is asked of pages with which visits began or ended."""
    return bool(SESSION_FIELDS & fields_asked(question))


def archive_source(
    question: Question, manifest: Manifest, stored: RowCounts, rollup: RollupSource | None
) -> ArchiveSource | None:
    """What is to be added to the visits of the events; None when nothing is, or nothing can be.

    `stored`: of the question's workspace; `rollup`: what the rest of the answer comes from.
    """
    if rollup and not about_visits(question):
        return None
    if not deleted_sites(question, manifest, stored):
        return None
    if GOAL in question.dimensions:  # a visit may reach several
        return None
    fields = fields_asked(question) - _KEYS
    if len(fields) > 1 or not fields <= set(FIELDS) or has_behaviour(question.where):
        return None
    field = next(iter(fields), "")
    if field and field not in PAGE_OF and not _once(question, field):
        return None
    if rollup is None and not all(_is_kept(name, field) for name in question.metrics):
        return None
    covers = _covers(question, manifest, stored)
    if not covers:
        return None
    touched = [kept for kept in manifest.visits if _touches(kept, question.period)]
    held = [kept for kept in touched if field in kept.fields]
    return ArchiveSource(
        field,
        tuple(kept.build for kept in held),
        covers,
        len(held) == len(touched),
        rollup is None,
        tuple(kept.going for kept in held if kept.going),
    )


def _is_kept(name: str, field: str) -> bool:
    metric = KNOWN_METRICS[name]
    kept = {"sessions", "visitors"} if field in PAGE_OF else {"sessions"}
    return set(measures_of(metric)) <= kept and not tells_events_apart(metric)


def _touches(kept: ArchivedSessions, period: Period) -> bool:
    """Whether days on which its visits began lie within the period: the first began before the month."""
    return month_start(kept.month) - LONGEST_DAY < period.end and month_end(kept.month) > period.start


def _once(question: Question, field: str) -> bool:
    """Whether no visit counts twice because it has several values of the field."""
    if any(field in fields_of(name) for name in question.dimensions if name not in TIMES):
        return True
    return any(_is_one(where, field) for where in always(question.where))


def _is_one(where: Comparison, field: str) -> bool:
    return where.field == field and where.operator == "is" and len(where.values) == 1 and where.case_sensitive


def _covers(question: Question, manifest: Manifest, stored: RowCounts) -> tuple[Cover, ...]:
    """The whole days of sites within the range; without those whose days do not make its buckets."""
    alike: dict[tuple[str, int], list[str]] = {}
    for site in deleted_sites(question, manifest, stored):
        zone = manifest.zones[site].timezone if site in manifest.zones else "UTC"
        alike.setdefault((zone, manifest.raw_from[site]), []).append(site)
    found: dict[tuple[int, int], list[str]] = {}
    for (zone, until), sites in alike.items():
        if days := _whole_days(question, ZoneInfo(zone), until, manifest.rollups_from):
            found.setdefault(days, []).extend(sites)
    return tuple(Cover(tuple(sites), *days) for days, sites in found.items())


def _whole_days(question: Question, zone: ZoneInfo, until: int, since: int) -> tuple[int, int] | None:
    """The days of which all is there that was kept, of events before `until`: before `since` it is gone.

    Nothing that was kept lies behind `until`: from there on the range may end anywhere.
    """
    period = question.period
    start = first_day_start(max(period.start, since), zone)
    end = period.end if period.end >= until else last_day_start(period.end, zone)
    return (start, end) if start < end and made_of_days(question, start, min(end, until), zone) else None
