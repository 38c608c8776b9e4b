"""What an answer lacks because retention deleted it, or it was lost with a store or a part of it."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from footfall.model.calendar import month_end, month_start
from footfall.query.language.question import Question, sites_asked
from footfall.query.plan.archived_sessions import ArchiveSource, about_visits
from footfall.query.plan.planner import Cover, RollupSource, deleted_sites
from footfall.state.rollups.manifest import Manifest
from footfall.state.rollups.row_counts import RowCounts


class LostMonth(NamedTuple):
    """Events of this month (YYYYMM, UTC) are gone from the store: nobody knows whose, and when in it."""

    month: int


class LostRollups(NamedTuple):
    """Rollups of `first` to `last` (ms), of which a part of an answer comes, are not all in the store."""

    first: int
    last: int


def lost_rollups(question: Question, missing: Collection[tuple[int, int]]) -> tuple[LostRollups, ...]:
    """Those of the missing rollups (their first and last times, ms) that the range of a question is about."""
    period = question.period
    return tuple(
        LostRollups(first, last)
        for first, last in sorted(missing)
        if first < period.end and last >= period.start
    )


def lost_months(question: Question, months: Collection[int]) -> tuple[LostMonth, ...]:
    """Those of the months that the range of a question is about.

    Also where rollups answer: what no rollup has yet may be among what is gone.
    """
    period = question.period
    return tuple(
        LostMonth(month)
        for month in sorted(months)
        if month_start(month) < period.end and month_end(month) > period.start
    )


def missing_before(
    question: Question,
    manifest: Manifest,
    stored: RowCounts,
    rollup: RollupSource | None = None,
    kept: ArchiveSource | None = None,
) -> int | None:
    """Before this time (ms) something is missing in the answer; None: nothing is.

    `stored`: of the question's workspace; `rollup`, `kept`: what the answer comes from beside the events.
    """
    instead: list[Sequence[Cover]] = []
    if rollup:
        instead.append(rollup.covers)
    if rollup is None or about_visits(question):
        instead.append(kept.covers if kept and kept.whole else ())
    ends = list(_lost(question, manifest))
    if deleted := deleted_sites(question, manifest, stored):
        ends += [at for covers in instead for at in _ends(question, manifest, deleted, covers)]
    return max(ends, default=None)


def _lost(question: Question, manifest: Manifest) -> Iterator[int]:
    """Nothing says any more what was lost, whether the site has events since or not."""
    asked = sites_asked(question)
    for (workspace, site), until in manifest.lost_until.items():
        mine = workspace == question.workspace_id and (asked is None or site in asked)
        if mine and until > question.period.start:
            yield until


def _ends(
    question: Question, manifest: Manifest, deleted: Sequence[str], covers: Sequence[Cover]
) -> Iterator[int]:
    """Of each site that lacks something, until when, if only these covers say what deleted events said."""
    cover_of = {site: cover for cover in covers for site in cover.sites}
    for site in deleted:
        until, cover = manifest.raw_from[site], cover_of.get(site)
        if cover is None or cover.end < min(question.period.end, until):
            yield until
        elif cover.start > question.period.start:
            yield min(cover.start, until)
