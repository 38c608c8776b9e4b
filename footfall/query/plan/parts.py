"""A question in parts: each metric from what has it.

Where events were deleted, one metric may still be answered in full from rollups while another one
in the same question needs the events. None of them may say less than it would if it was asked
alone, so such a question is answered in parts, and each part says what it lacks.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from footfall.query.catalog.metrics import KNOWN_METRICS
from footfall.query.language.question import Question
from footfall.query.plan.archived_sessions import (
    ArchiveSource,
    about_pages_of_visits,
    about_visits,
    archive_source,
)
from footfall.query.plan.gaps import missing_before
from footfall.query.plan.planner import Reason, RollupSource, deleted_sites, plan
from footfall.state.rollups.manifest import Manifest
from footfall.state.rollups.row_counts import RowCounts

Source = Literal["raw", "rollup", "both"]


class PlanPart(Struct, frozen=True):
    """Some metrics of a question, and what they come from beside the events.

    `reason`: why these. `missing`: before this time (ms) they lack something; `visits`: they are about
    visits of which those before it are known by what was kept of them. None: nothing is to be said.
    """

    metrics: tuple[str, ...]
    reason: Reason
    rollup: RollupSource | None = None
    kept: ArchiveSource | None = None
    missing: int | None = None
    visits: int | None = None


class Said(NamedTuple):
    """Something is to be said of what was before a time (ms), in these metrics; () means in all."""

    before: int
    metrics: tuple[str, ...] = ()


def parts_of(question: Question, manifest: Manifest, stored: RowCounts, small: int) -> tuple[PlanPart, ...]:
    """One part where that lacks nothing; else as many as needed. `small`: see the planner."""
    whole = _part(question, manifest, stored, small)
    if whole.missing is None:
        return (whole,)
    parts: list[PlanPart] = []
    for name in question.metrics:
        alone = msgspec.structs.replace(question, metrics=(name,))
        part = _part(alone, manifest, stored, small)
        for place, other in enumerate(parts):
            if part == msgspec.structs.replace(other, metrics=part.metrics):
                parts[place] = msgspec.structs.replace(other, metrics=(*other.metrics, name))
                break
        else:
            parts.append(part)
    return tuple(parts)


def source_of(parts: Sequence[PlanPart]) -> Source:
    """Where an answer of these parts comes from."""
    found: set[Source] = {_source(part) for part in parts}
    return found.pop() if len(found) == 1 else "both"


def reasons_of(parts: Sequence[PlanPart]) -> tuple[Reason, ...]:
    """Why it comes from there: each reason once."""
    return tuple(dict.fromkeys(part.reason for part in parts))


def missing_in(parts: Sequence[PlanPart]) -> tuple[Said, ...]:
    """What the answer lacks."""
    return _said([(part.missing, part.metrics) for part in parts])


def visits_in(question: Question, parts: Sequence[PlanPart]) -> tuple[Said, ...]:
    """Of what the answer knows visits by what was kept of them only."""
    every = about_pages_of_visits(question)
    found: list[tuple[int | None, tuple[str, ...]]] = []
    for part in parts:
        whole = every or (part.kept is not None and part.kept.alone)
        said = tuple(name for name in part.metrics if whole or KNOWN_METRICS[name].over_sessions)
        found.append((part.visits, said))
        found.append((None, tuple(set(part.metrics) - set(said))))
    return _said(found)


def _said(found: Sequence[tuple[int | None, tuple[str, ...]]]) -> tuple[Said, ...]:
    names: dict[int, list[str]] = {}
    for before, metrics in found:
        if before is not None and metrics:
            names.setdefault(before, []).extend(metrics)
    if len(names) == 1 and all(before is not None for before, metrics in found if metrics):
        return tuple(Said(before) for before in names)
    return tuple(Said(before, tuple(metrics)) for before, metrics in sorted(names.items()))


def _part(question: Question, manifest: Manifest, stored: RowCounts, small: int) -> PlanPart:
    rollup, reason = plan(question, manifest, stored, small)
    kept = archive_source(question, manifest, stored, rollup)
    return PlanPart(
        question.metrics,
        reason,
        rollup,
        kept,
        missing_before(question, manifest, stored, rollup, kept),
        _visits_before(question, manifest, stored, kept),
    )


def _visits_before(
    question: Question, manifest: Manifest, stored: RowCounts, kept: ArchiveSource | None
) -> int | None:
    """A visit over several of the sites asked about is one: if it lost events at one of them, it is cut."""
    if not about_visits(question) and not (kept and kept.alone):
        return None
    sites = deleted_sites(question, manifest, stored)
    return max((manifest.raw_from[site] for site in sites), default=None)


def _source(part: PlanPart) -> Source:
    if part.kept:
        return "both"
    if part.rollup is None:
        return "raw"
    return "both" if part.rollup.edges or part.rollup.watermarks else "rollup"
