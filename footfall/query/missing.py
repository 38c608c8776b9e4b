"""What an answer lacks because retention deleted it."""

from footfall.query.kept import Kept, about_visits
from footfall.query.planner import Rollup, deleted_sites
from footfall.query.question import Question
from footfall.state.manifest import Manifest
from footfall.state.stored import Stored


def missing_before(
    question: Question,
    manifest: Manifest,
    stored: Stored,
    rollup: Rollup | None = None,
    kept: Kept | None = None,
) -> int | None:
    """Before this time (ms) something is missing in the answer; None: nothing is.

    `stored`: of the question's workspace; `rollup`, `kept`: what the answer comes from beside the events.
    """
    deleted = deleted_sites(question, manifest, stored)
    if not deleted:
        return None
    if kept and kept.alone:
        whole = kept.whole
    elif about_visits(question) and not (kept and kept.whole):
        whole = False
    else:
        whole = rollup is not None and all(_is_covered(site, question, manifest, rollup) for site in deleted)
    if not whole:
        return max(manifest.raw_from[site] for site in deleted)
    return manifest.rollups_from if manifest.rollups_from > question.period.start else None


def _is_covered(site: str, question: Question, manifest: Manifest, rollup: Rollup) -> bool:
    """Whether the rollup is about all of the range in which the site's events were deleted."""
    start, end = question.period.start, min(question.period.end, manifest.raw_from[site])
    return any(site in cover.sites and cover.start <= start and end <= cover.end for cover in rollup.covers)
