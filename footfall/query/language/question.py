"""A question as the rest of `query` understands it, whoever asked it and however."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from footfall.model.entry import CLICK
from footfall.query.catalog.fields import fields_of, of_click, of_event, of_visit
from footfall.query.language.periods import Period

Operator = Literal[
    "is", "is_not", "contains", "contains_not", "matches", "matches_not", "gt", "gte", "lt", "lte"
]


class Comparison(Struct, frozen=True, tag=True):
    """The field is (contains, matches, ...) one of `values`; a number is compared with the only value."""

    field: str
    operator: Operator
    values: tuple[str | float | bool, ...]
    case_sensitive: bool = True


class And(Struct, frozen=True, tag=True):
    """All of these hold; without any, always."""

    parts: "tuple[Condition, ...]" = ()


class Or(Struct, frozen=True, tag=True):
    """One of these holds."""

    parts: "tuple[Condition, ...]"


class Not(Struct, frozen=True, tag=True):
    """It does not hold."""

    part: "Condition"


class HasDone(Struct, frozen=True, tag=True):
    """The visitor has an event in the range for which this holds. Unidentified visitors have none."""

    part: "Condition"


class InOrder(Struct, frozen=True, tag=True):
    """The event is of a visit, or of a visitor, with an event for each of `steps`, one after the other.

    `within`: ms that the last is after the first, at most; 0 for any time. `visitors`: of a visitor, in any
    visits of the range.
    """

    steps: "tuple[Condition, ...]"
    within: int = 0
    visitors: bool = False


class Reached(Struct, frozen=True, tag=True):
    """The event reaches one of the saved goals with these names: `part` holds of it."""

    names: tuple[str, ...]
    part: "Condition"


Condition = Comparison | And | Or | Not | HasDone | InOrder | Reached


def is_(field: str, *values: str) -> Comparison:
    """The field is one of these."""
    return Comparison(field, "is", values)


def is_not(field: str, *values: str) -> Comparison:
    """The field is none of these."""
    return Comparison(field, "is_not", values)


def patterns_of(where: Comparison) -> list[str]:
    """The patterns of a filter, as the store is given them."""
    if where.operator not in ("matches", "matches_not"):
        return []
    mode = "" if where.case_sensitive else "(?i)"
    return [f"{mode}{value}" for value in where.values]


def fields_in(condition: Condition) -> Iterator[str]:
    """Every field that a condition is about."""
    match condition:
        case Comparison():
            yield condition.field
        case And() | Or():
            for part in condition.parts:
                yield from fields_in(part)
        case InOrder():
            for step in condition.steps:
                yield from fields_in(step)
        case Not() | HasDone() | Reached():
            yield from fields_in(condition.part)


def renamed(condition: Condition, name: Callable[[str], str], inside: Callable[[str], str]) -> Condition:
    """The condition with other names of its fields; `inside`: of those of what else a visitor did."""
    match condition:
        case Comparison():
            return replace(condition, field=name(condition.field))
        case And() | Or():
            return replace(condition, parts=tuple(renamed(part, name, inside) for part in condition.parts))
        case Not():
            return Not(renamed(condition.part, name, inside))
        case HasDone():
            return HasDone(renamed(condition.part, inside, inside))
        case InOrder():
            return replace(condition, steps=tuple(renamed(each, inside, inside) for each in condition.steps))
        case Reached():
            return replace(condition, part=renamed(condition.part, name, inside))


def has_behaviour(condition: Condition) -> bool:
    """Whether it is about what else a visitor has done, or what else happened in a visit."""
    match condition:
        case Comparison():
            return False
        case And() | Or():
            return any(has_behaviour(part) for part in condition.parts)
        case Not() | Reached():
            return has_behaviour(condition.part)
        case HasDone() | InOrder():
            return True


def always(condition: Condition) -> Iterator[Comparison]:
    """The parts that hold of every event for which the condition does."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Reached):
        yield from always(condition.part)
    elif isinstance(condition, And):
        for part in condition.parts:
            yield from always(part)


def sites_asked(question: "Question") -> frozenset[str] | None:
    """The sites that a question is about; None for all of the workspace."""
    asked: frozenset[str] | None = None
    for where in always(question.where):
        if where.field == "site_id" and where.operator == "is" and where.case_sensitive:
            named = frozenset(str(value) for value in where.values)
            asked = named if asked is None else asked & named
    return asked


def admits_bots(condition: Condition) -> bool:
    """Whether a condition asks for bots by itself, so that they count though nothing else says so."""
    return any(
        where.field == "is_bot" and (True in where.values) == (where.operator == "is")
        for where in always(condition)
    )


class Question(Struct, frozen=True, kw_only=True):
    """Metrics by dimensions, over the events of one workspace in a period.

    `bots`: False leaves them out, True counts them only, None makes no difference.
    `buckets`: for the dimension `time`, when each begins (ms). `clocks`: for each dimension of CLOCKS that is
    asked for, from when on (ms) its clock is by how much (ms) ahead of UTC. `tags`: for the dimension `tag`,
    the links that carry each. `goals`: for the dimension `goal`, by name what an event must be.
    `order_by`: names of metrics and dimensions, "-" in front for descending.
    """

    workspace_id: str
    period: Period
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    where: Condition = And()
    bots: bool | None = False
    buckets: Sequence[int] = ()
    clocks: Mapping[str, Sequence[tuple[int, int]]] = {}
    tags: Mapping[str, tuple[str, ...]] = {}
    goals: Mapping[str, Condition] = {}
    order_by: tuple[str, ...] = ()
    limit: int = 1
    offset: int = 0


TIME = "time"
"""The dimension of buckets."""
WEEKDAY, HOUR_OF_DAY = "time:weekday", "time:hour_of_day"
CLOCKS = (WEEKDAY, HOUR_OF_DAY)
"""The dimensions of what calendars and clocks show: 1 (Monday) to 7, and 0 to 23."""
TIMES = (TIME, *CLOCKS)
"""All dimensions that say when."""


def fields_asked(question: Question) -> set[str]:
    """Every field that a question groups by or filters on; time is none."""
    conditions = [question.where, *question.goals.values()]
    grouped = {field for name in question.dimensions if name not in TIMES for field in fields_of(name)}
    return grouped.union(*map(fields_in, conditions))


def about_visits(question: Question) -> Question:
    """The question by the columns that answer it, as it is meant where visits are counted.

    Where it is about clicks only, that is the same of the click itself, which rollups have.
    """
    name = of_click if _only_clicks(question) else of_visit
    return _by_columns(question, name, of_visit)


def about_events(question: Question) -> Question:
    """The same where the events themselves are asked for."""
    return _by_columns(question, of_event, of_event)


def _only_clicks(question: Question) -> bool:
    return any(
        where.field == "event_type" and where.operator == "is" and where.values == (CLICK,)
        for where in always(question.where)
        if where.case_sensitive
    )


def _by_columns(question: Question, name: Callable[[str], str], inside: Callable[[str], str]) -> Question:
    def ordered(by: str) -> str:
        return f"-{name(by[1:])}" if by.startswith("-") else name(by)

    return replace(
        question,
        dimensions=tuple(map(name, question.dimensions)),
        where=renamed(question.where, name, inside),
        order_by=tuple(map(ordered, question.order_by)),
    )
