"""Saved goals and segments, as questions name them."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from footfall.errors import Invalid
from footfall.model.folding import fold
from footfall.query.catalog.fields import GOAL, PROPERTY
from footfall.query.language.patterns import check_pattern
from footfall.query.language.question import And, Comparison, Condition, Operator, Or, Reached, is_
from footfall.tenants.model import Goal, Segment

GOAL_NAMES = (GOAL, "event:goal")
"""What the goals of an event are called, by us and by Plausible."""
MAX_GOALS = 100
"""That one question tells apart."""
_SHOWN = 20  # names in a message


class SavedNames(NamedTuple):
    """What a question may name: goals with what an event must be, segments with their filters."""

    goals: Mapping[str, Condition]
    segments: Mapping[str, list[Any]]


NOTHING_SAVED = SavedNames({}, {})


def saved_names(goals: Iterable[Goal], segments: Iterable[Segment]) -> SavedNames:
    """Those of a workspace. What has one name at several sites is one thing: each is of its own site."""
    conditions: dict[str, list[Condition]] = {}
    for goal in sorted(goals, key=lambda goal: (goal.name, goal.site_id)):
        conditions.setdefault(goal.name, []).append(goal_condition(goal))
    filters: dict[str, list[list[Any]]] = {}
    for segment in sorted(segments, key=lambda segment: (segment.name, segment.site_id)):
        of_site = [["is", "site_id", [segment.site_id]]] if segment.site_id else []
        filters.setdefault(segment.name, []).append([*of_site, *segment.filters])
    return SavedNames(
        {name: each[0] if len(each) == 1 else Or(tuple(each)) for name, each in conditions.items()},
        {
            name: each[0] if len(each) == 1 else [["or", [["and", one] for one in each]]]
            for name, each in filters.items()
        },
    )


def goal_condition(goal: Goal) -> Condition:
    """What an event must be to reach a goal."""
    kind = goal.event_type or ("engagement" if goal.scroll_depth else "page_view")
    parts = [is_("event_type", kind)]
    if goal.site_id:
        parts.append(is_("site_id", goal.site_id))
    if goal.page:
        parts.append(_page(goal.page))
    if goal.scroll_depth:
        parts.append(Comparison(f"{PROPERTY}scroll_depth", "gte", (goal.scroll_depth,)))
    parts += [is_(f"{PROPERTY}{name}", value) for name, value in sorted(goal.properties.items())]
    return And(tuple(parts))


def check_goal(goal: Goal) -> None:
    """Raises Invalid for a page whose pattern is too large. Call it in a thread: it is compiled."""
    if "*" in goal.page:
        check_pattern(page_pattern(goal.page), "page")


def page_pattern(page: str) -> str:
    """The regular expression of a page with stars: `*` is all but a slash, `**` is anything."""
    parts = re.split(r"(\*+)", page)
    said = ["[^/]*" if part == "*" else "(?s:.*)" if part[:1] == "*" else re.escape(part) for part in parts]
    return f"^{''.join(said)}$"


def _page(page: str) -> Comparison:
    if "*" in page:
        return Comparison("page_path", "matches", (page_pattern(page),))
    return is_("page_path", page)


def goals_meant(
    operator: Operator, values: Collection[Any], goals: Collection[str], where: str, *, case_sensitive: bool
) -> tuple[str, ...]:
    """The goals that a filter is about. Raises Invalid."""
    if operator not in ("is", "is_not", "contains", "contains_not"):
        raise Invalid(f"{where}: {GOAL} is compared with is, is_not, contains and contains_not", field=where)
    if operator in ("is", "is_not") and case_sensitive:
        return tuple(dict.fromkeys(known_name(GOAL, value, goals, where) for value in values))
    if not all(isinstance(value, str) for value in values):
        raise Invalid(f"{where}: the values must be names of goals", field=where)

    def said(text: str) -> str:
        return text if case_sensitive else fold(text)

    wanted = [said(value) for value in values]
    if operator in ("is", "is_not"):
        return tuple(name for name in goals if said(name) in wanted)
    return tuple(name for name in goals if any(value in said(name) for value in wanted))


def goals_told_apart(where: Condition, saved: SavedNames) -> Mapping[str, Condition]:
    """The goals of the dimension: those filtered by, or all that there are. Raises Invalid."""
    names = list(saved.goals)
    for filtered in _reached(where):
        names = [name for name in names if name in filtered.names]
    if len(names) > MAX_GOALS:
        raise Invalid(
            f"dimensions: a question groups by at most {MAX_GOALS} goals, and there are more; filter by goal",
            field="dimensions",
        )
    return {name: saved.goals[name] for name in names}


def _reached(where: Condition) -> Iterator[Reached]:
    """The goals of which one is reached by every event for which a condition holds."""
    if isinstance(where, And):
        for part in where.parts:
            yield from _reached(part)
    elif isinstance(where, Reached):
        yield where


def known_name(what: str, name: object, known: Collection[str], where: str) -> str:
    """The name, if there is something called so. Raises Invalid, which says what there is."""
    if isinstance(name, str) and name in known:
        return name
    near = difflib.get_close_matches(str(name)[:100], known, 1, 0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    names = ", ".join(sorted(known)[:_SHOWN])
    there = f" There are {names}" if names else f" There are no saved {what}s"
    raise Invalid(f"{where}: no {what} is called {str(name)[:100]!r}{hint or '.'}{there}", field=where)
