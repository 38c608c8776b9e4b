"""Visits of events that retention deleted: which questions what was kept of them answers."""

from msgspec import Struct

from footfall.model.calendar import LONGEST_DAY, month_end, month_start
from footfall.model.visits import FIELDS, PAGE_OF
from footfall.query.fields import SESSION_FIELDS, fields_of
from footfall.query.metrics import METRICS, measures_of, tells_events_apart
from footfall.query.periods import Period
from footfall.query.planner import Cover, Rollup, day_starts, deleted_sites
from footfall.query.question import TIME, Question, Where, always, fields_in, has_behaviour
from footfall.state.manifest import Going, KeptVisits, Manifest
from footfall.state.stored import Stored

_KEYS = frozenset({"site_id", "is_bot"})


class Kept(Struct, frozen=True):
    """Rows of `visits` of these builds and this field ("" for none) are part of the answer.

    `covers`: the days that are theirs; `whole`: whether these are all that the question is about;
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
    return bool(SESSION_FIELDS & _fields(question)) or any(
        METRICS[name].over_sessions for name in question.metrics
    )


def kept_visits(question: Question, manifest: Manifest, stored: Stored, rollup: Rollup | None) -> Kept | None:
    """What is to be added to the visits of the events; None when nothing is, or nothing can be.

    `stored`: of the question's workspace; `rollup`: what the rest of the answer comes from.
    """
    if rollup and not about_visits(question):
        return None
    if not deleted_sites(question, manifest, stored):
        return None
    fields = _fields(question) - _KEYS
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
    start, end = question.period.start, question.period.end
    return Kept(
        field,
        tuple(kept.build for kept in held),
        covers,
        len(held) == len(touched)
        and sum(len(cover.sites) for cover in covers) == len(deleted_sites(question, manifest, stored))
        and all((cover.start, cover.end) == (start, end) for cover in covers),
        rollup is None,
        tuple(kept.going for kept in held if kept.going),
    )


def _fields(question: Question) -> set[str]:
    grouped = {field for name in question.dimensions if name != TIME for field in fields_of(name)}
    return grouped | set(fields_in(question.where))


def _is_kept(name: str, field: str) -> bool:
    metric = METRICS[name]
    kept = {"sessions", "visitors"} if field in PAGE_OF else {"sessions"}
    return set(measures_of(metric)) <= kept and not tells_events_apart(metric)


def _touches(kept: KeptVisits, period: Period) -> bool:
    """Whether days on which its visits began lie within the period: the first began before the month."""
    return month_start(kept.month) - LONGEST_DAY < period.end and month_end(kept.month) > period.start


def _once(question: Question, field: str) -> bool:
    """Whether no visit counts twice because it has several values of the field."""
    if any(field in fields_of(name) for name in question.dimensions if name != TIME):
        return True
    return any(_is_one(where, field) for where in always(question.where))


def _is_one(where: Where, field: str) -> bool:
    return where.field == field and where.operator == "is" and len(where.values) == 1 and where.case_sensitive


def _covers(question: Question, manifest: Manifest, stored: Stored) -> tuple[Cover, ...]:
    """The whole days of sites within the range; without those whose days do not make its buckets."""
    found: dict[tuple[int, int], list[str]] = {}
    for site in deleted_sites(question, manifest, stored):
        if days := _whole_days(question, site, manifest):
            found.setdefault(days, []).append(site)
    return tuple(Cover(tuple(sites), *days) for days, sites in found.items())


def _whole_days(question: Question, site: str, manifest: Manifest) -> tuple[int, int] | None:
    """All that was kept lies before the first event that is left: after it the range may end anywhere."""
    period, until = question.period, manifest.raw_from[site]
    zone = manifest.zones[site].timezone if site in manifest.zones else "UTC"
    begin = day_starts(period.start, min(period.end, until), zone)
    if not {at for at in question.buckets if period.start < at < min(period.end, until)} <= set(begin):
        return None
    start = min((at for at in begin if at >= period.start), default=period.end)
    end = period.end if period.end >= until else max((at for at in begin if at <= period.end), default=start)
    return (start, end) if start < end else None
