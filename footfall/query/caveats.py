"""What the numbers of an answer are worth, whichever way they were asked for."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from footfall.model.times import DAY_MS, to_millis
from footfall.query.catalog.measures import UNIQUE_ERROR, UNIQUE_EXACT
from footfall.query.engine import QueryResult
from footfall.query.language.periods import Period
from footfall.query.plan.gaps import LostMonth, LostRollups
from footfall.query.plan.parts import Said, Source
from footfall.query.plan.planner import REASONS, Reason

SAID_OF_REASONS = (
    f"Why it comes from there. {' '.join(f'`{name}`: {said}.' for name, said in REASONS.items())}"
)
"""For the documentation of answers."""


class Caveats(NamedTuple):
    """`error`: of estimates, None without any. Nor is exact what lacks events that were deleted or lost."""

    source: Source
    reasons: list[Reason]
    exact: bool
    error: float | None
    sampled: bool
    warnings: list[str]


def caveats_of(period: Period, found: Sequence[QueryResult], uniques: Iterable[int]) -> Caveats:
    """About an answer made of `found`, of which `uniques` are all the counts of different things."""
    counted = all(unique <= UNIQUE_EXACT for unique in uniques)
    return Caveats(
        source=_source(found),
        reasons=list(dict.fromkeys(reason for each in found for reason in each.reasons)),
        exact=counted and not any(each.missing or each.visits or each.new_since for each in found),
        error=None if counted else UNIQUE_ERROR,
        sampled=any(each.sampled for each in found),
        warnings=[*_about_visitors(period, found), *_about_events(period, found)],
    )


def complete_through(through: int | None, found: Sequence[QueryResult]) -> int | None:
    """All events acknowledged before this time (ms) are in the answer, if it was `through` when asked."""
    if through is None:
        return None
    # An answer that is shown again knows nothing of what came later.
    return min((through, *(to_millis(each.at) for each in found)))


def _about_visitors(period: Period, found: Sequence[QueryResult]) -> list[str]:
    warnings: list[str] = []
    unidentified = max((each.unidentified for each in found), default=0)
    if unidentified:
        warnings.append(f"{unidentified} events have no visitor (no address, no id): not among the visitors")
    told_new = [each for each in found if each.new_since is not None]
    if for_a_day := max((each.known_for_a_day for each in told_new), default=0):
        warnings.append(
            f"{for_a_day} events are of visitors recognised for one day only: not in new_visitors"
        )
    if since := max((each.new_since or 0 for each in told_new), default=0):
        warnings.append(
            f"new_visitors: some events before {period.iso(since)} are no longer kept: "
            "who was there only then counts as new"
        )
    several_days = period.start // DAY_MS != (period.end - 1) // DAY_MS
    if several_days and any(each.known_for_a_day for each in found):
        warnings.append(
            "visitors without an id of their own are recognised for one day (UTC): "
            "over several days they add up"
        )
    return warnings


def _about_events(period: Period, found: Sequence[QueryResult]) -> list[str]:
    warnings: list[str] = []
    if any(each.sampled for each in found):
        warnings.append("some of these events were sampled: each counts as often as its sample_weight says")
    upgraded = max((each.own_before or 0 for each in found), default=0)
    if upgraded:
        warnings.append(
            f"events stored before {period.iso(upgraded)} do not say how their visit began: "
            "each counts with its own source"
        )
    missing = dict.fromkeys(said for each in found for said in each.missing)
    warnings += [_lacking(said, period) for said in missing]
    visits = dict.fromkeys(said for each in found for said in each.visits)
    warnings += [
        f"{_named(said)}of visits before {period.iso(said.before)} only sums are kept: each counts at one "
        "site and on the day on which it began, and one over the end of a month (UTC) is two"
        for said in visits
    ]
    return warnings


def _lacking(said: Said | LostMonth | LostRollups, period: Period) -> str:
    if isinstance(said, LostMonth):
        return (
            f"events of {said.month // 100}-{said.month % 100:02} (UTC) are gone from the store: "
            "some may be missing here"
        )
    if isinstance(said, LostRollups):
        return (
            f"rollups of {period.iso(said.first)} to {period.iso(said.last)} are not all in the store: "
            "some events may be missing here"
        )
    return (
        f"{_named(said)}events before {period.iso(said.before)} are no longer kept one by one, "
        "and no rollup has all that is asked of them: some are missing here"
    )


def _source(found: Sequence[QueryResult]) -> Source:
    sources: set[Source] = {each.source for each in found}
    return sources.pop() if len(sources) == 1 else "both" if sources else "raw"


def _named(said: Said) -> str:
    return f"{', '.join(said.metrics)}: " if said.metrics else ""
