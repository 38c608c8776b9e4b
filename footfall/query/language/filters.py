"""Filters as the query language writes them, read into conditions.

The grammar is that of Plausible's Stats API v2: `["is", "country_code", ["DE", "FR"]]`,
`["and", [...]]`, `["or", [...]]`, `["not", filter]`, `["has_done", filter]`,
`["has_not_done", filter]`, `["sequence", [filter, ...], {"by": "visitors", "within": 3600}]`.
"""

from collections.abc import Callable
from typing import Any as AnyValue
from typing import cast, get_args

from footfall.errors import Invalid
from footfall.query.catalog.fields import KINDS, SAID_OF_FIELDS, SEGMENT, SESSION_FIELDS, TAG, find_field
from footfall.query.language.patterns import check_pattern
from footfall.query.language.question import (
    And,
    Comparison,
    Condition,
    HasDone,
    InOrder,
    Not,
    Operator,
    Or,
    Reached,
    fields_in,
    has_behaviour,
    is_,
    patterns_of,
)
from footfall.query.language.refusals import hint, unknown
from footfall.query.language.saved import (
    GOAL_NAMES,
    NOTHING_SAVED,
    SavedNames,
    goals_meant,
    known_name,
)

MAX_DEPTH = 8
MAX_FILTERS = 50
MAX_STEPS = 10
"""Of one sequence."""
MAX_VALUES = 1000
"""Of one filter."""
MAX_VALUES_IN_ALL = 2000
MAX_PATTERNS = 20
MAX_LINKS = 10_000
"""That the tags of all filters together stand for."""
MAX_LENGTH = 2000

_COMPARED = ("gt", "gte", "lt", "lte")
_PATTERNS = ("matches", "matches_not")
_TEXT_ONLY = ("contains", "contains_not", *_PATTERNS)
_OPERATORS: tuple[Operator, ...] = get_args(Operator)
_ALL_OPERATORS = (*_OPERATORS, "and", "or", "not", "has_done", "has_not_done", "sequence")
_LONGEST = 10 * 366 * 86_400  # seconds of a sequence


class Filters:
    """Reads the filters of one question. `links_of` gives the links that carry one of some tags.

    What it reads is bounded in all, however it is spread over filters: `values` were counted before.
    Patterns are compiled: call it in a thread.
    """

    def __init__(
        self,
        links_of: Callable[[tuple[str, ...]], tuple[str, ...]],
        values: int = 0,
        saved: SavedNames = NOTHING_SAVED,
    ) -> None:
        self._links_of = links_of
        self._saved = saved
        self._inside = ""
        self._filters = self._patterns = self._links = 0
        self._values = values

    def read(self, filters: list[AnyValue]) -> Condition:
        """All of these. Raises Invalid, naming the filter or the limit."""
        return And(tuple(self._filter(each, f"filters[{number}]", 1) for number, each in enumerate(filters)))

    def _filter(self, given: AnyValue, where: str, depth: int) -> Condition:
        self._filters += 1
        if self._filters > MAX_FILTERS:
            raise Invalid(f"filters: at most {MAX_FILTERS} in a question", field="filters")
        if depth > MAX_DEPTH:
            raise Invalid(f"{where}: filters may be nested {MAX_DEPTH} deep", field=where)
        if not isinstance(given, list) or not given or not isinstance(given[0], str):
            raise Invalid(f'{where}: a filter is a list such as ["is", "country_code", ["DE"]]', field=where)
        parts = cast("list[AnyValue]", given)
        operator = parts[0]
        if operator in ("and", "or"):
            return self._joined(operator, parts, where, depth)
        if operator in ("not", "has_done", "has_not_done"):
            if len(parts) != 2:  # the operator and a filter
                raise Invalid(f'{where}: write ["{operator}", filter]', field=where)
            inner = self._filter(parts[1], f"{where}[1]", depth + 1)
            return Not(inner) if operator == "not" else _behaviour(operator, inner, where)
        if operator == "sequence":
            return self._sequence(parts, where, depth)
        if operator not in _OPERATORS:
            raise unknown(where, operator, _ALL_OPERATORS)
        return self._where(operator, parts, where, depth)

    def _joined(self, operator: str, parts: list[AnyValue], where: str, depth: int) -> Condition:
        inner = parts[1] if len(parts) == 2 else None  # the operator and a list
        if not isinstance(inner, list) or not inner:
            raise Invalid(f'{where}: write ["{operator}", [filter, filter, ...]]', field=where)
        read = tuple(
            self._filter(each, f"{where}[1][{number}]", depth + 1)
            for number, each in enumerate(cast("list[AnyValue]", inner))
        )
        return And(read) if operator == "and" else Or(read)

    def _sequence(self, parts: list[AnyValue], where: str, depth: int) -> Condition:
        steps = parts[1] if len(parts) in (2, 3) else None  # the operator, the steps, and perhaps how
        if not isinstance(steps, list) or not 1 <= len(cast("list[AnyValue]", steps)) <= MAX_STEPS:
            raise Invalid(
                f'{where}: write ["sequence", [filter, filter, ...]], with at most {MAX_STEPS} filters',
                field=where,
            )
        read = tuple(
            _of_events("sequence", self._filter(each, f"{where}[1][{number}]", depth + 1), where)
            for number, each in enumerate(cast("list[AnyValue]", steps))
        )
        by, within = _how(parts[2] if len(parts) > 2 else {}, where)
        return InOrder(read, within, visitors=by == "visitors")

    def _where(self, operator: Operator, parts: list[AnyValue], where: str, depth: int) -> Condition:
        if len(parts) not in (3, 4) or not isinstance(parts[1], str):
            raise Invalid(f'{where}: write ["{operator}", "field", [values]]', field=where)
        if parts[1] == SEGMENT:
            return self._segments(operator, parts, where, depth)
        values = self._counted(operator, _values(parts[2], where), where)
        exact = _case_sensitive(parts[3] if len(parts) > 3 else {}, where)
        if parts[1] in GOAL_NAMES:
            return self._reached(operator, values, where, case_sensitive=exact)
        if parts[1] == TAG:
            return self._tagged(operator, values, where)
        if parts[1] in SAID_OF_FIELDS:
            fields = ", ".join(SAID_OF_FIELDS[parts[1]].fields)
            raise Invalid(f"{where}: {parts[1]} cannot be filtered on; filter on {fields}", field=where)
        kind = find_field_with_hint(parts[1], where)
        condition = Comparison(parts[1], operator, _of_kind(operator, kind, values, where), exact)
        for pattern in patterns_of(condition):
            check_pattern(pattern, where)
        return condition

    def _segments(self, operator: str, parts: list[AnyValue], where: str, depth: int) -> Condition:
        """What one of these segments says: its filters count as if they were written here."""
        names = _values(parts[2], where)
        if operator not in ("is", "is_not") or len(parts) > 3 or self._inside:  # 3: no modifier
            raise Invalid(
                f"{where}: a segment is named with is and is_not, outside of other segments", field=where
            )
        read: list[Condition] = []
        for name in names:
            self._inside = known_name("segment", name, self._saved.segments, where)
            try:
                filters = [
                    self._filter(each, where, depth + 1) for each in self._saved.segments[self._inside]
                ]
            except Invalid as error:
                raise Invalid(f"{where}: segment {name!r}: {error}", field=where) from None
            self._inside = ""
            read.append(And(tuple(filters)))
        condition = read[0] if len(read) == 1 else Or(tuple(read))
        return condition if operator == "is" else Not(condition)

    def _reached(
        self, operator: Operator, values: list[AnyValue], where: str, *, case_sensitive: bool
    ) -> Condition:
        """That an event reaches one of the goals that are called, or contain, one of these."""
        names = goals_meant(operator, values, self._saved.goals, where, case_sensitive=case_sensitive)
        condition = Reached(names, Or(tuple(self._saved.goals[name] for name in names)))
        if len(names) == 1:
            condition = Reached(names, self._saved.goals[names[0]])
        return Not(condition) if operator.endswith("_not") else condition

    def _counted(self, operator: Operator, values: list[AnyValue], where: str) -> list[AnyValue]:
        """The values, if they and those before are not too many."""
        self._values += len(values)
        if self._values > MAX_VALUES_IN_ALL:
            raise Invalid(
                f"{where}: at most {MAX_VALUES_IN_ALL:,} values in a question, in all its filters together",
                field=where,
            )
        if operator in _PATTERNS:
            self._patterns += len(values)
            if self._patterns > MAX_PATTERNS:
                raise Invalid(
                    f"{where}: at most {MAX_PATTERNS} patterns in a question, in all its filters together",
                    field=where,
                )
        return values

    def _tagged(self, operator: Operator, values: list[AnyValue], where: str) -> Condition:
        if operator not in ("is", "is_not") or not all(isinstance(value, str) for value in values):
            raise Invalid(f"{where}: {TAG} is compared with is and is_not, and text", field=where)
        links = self._links_of(tuple(values))
        self._links += len(links)
        if self._links > MAX_LINKS:
            raise Invalid(
                f"{where}: the tags of a question's filters stand for at most {MAX_LINKS:,} links in all",
                field=where,
            )
        condition = is_("link_id", *links)
        return condition if operator == "is" else Not(condition)


def find_field_with_hint(name: str, what: str, beside: tuple[str, ...] = ()) -> str:
    """As `fields.find_field`; the refusal proposes what was perhaps meant, of fields and of `beside`."""
    return find_field(name, what, hint(name, (*KINDS, *beside)))


def _behaviour(operator: str, inner: Condition, where: str) -> Condition:
    done = HasDone(_of_events(operator, inner, where))
    return done if operator == "has_done" else Not(done)


def _of_events(operator: str, inner: Condition, where: str) -> Condition:
    if SESSION_FIELDS & set(fields_in(inner)) or has_behaviour(inner):
        raise Invalid(
            f"{where}: {operator} takes filters on fields of an event, no entry or exit page, no "
            "has_done, no has_not_done, no sequence",
            field=where,
        )
    return inner


def _how(given: AnyValue, where: str) -> tuple[str, int]:
    """Whose sequence it is, and the ms that it may last; 0 for any time."""
    if isinstance(given, dict):
        known = cast("dict[str, AnyValue]", given)
        by, within = known.get("by", "visits"), known.get("within")
        if set(known) <= {"by", "within"} and by in ("visits", "visitors"):
            if within is None:
                return by, 0
            if _is_number(within) and 0 < within <= _LONGEST:
                return by, max(1, round(within * 1000))
    raise Invalid(
        f'{where}: a sequence may say {{"by": "visits"}} or "visitors", and {{"within": seconds}}, up to '
        f"{_LONGEST:,}",
        field=where,
    )


def _values(given: AnyValue, where: str) -> list[AnyValue]:
    values = cast("list[AnyValue]", given) if isinstance(given, list) else [given]
    if not 1 <= len(values) <= MAX_VALUES:
        raise Invalid(f"{where}: 1 to {MAX_VALUES} values", field=where)
    return values


def _case_sensitive(modifiers: AnyValue, where: str) -> bool:
    if isinstance(modifiers, dict):
        known = cast("dict[str, AnyValue]", modifiers)
        value = known.get("case_sensitive", True)
        if set(known) <= {"case_sensitive"} and isinstance(value, bool):
            return value
    raise Invalid(f'{where}: the only modifier is {{"case_sensitive": false}}', field=where)


def _of_kind(
    operator: Operator, kind: str, values: list[AnyValue], where: str
) -> tuple[str | float | bool, ...]:
    """The values, checked. Raises Invalid."""
    if operator in _COMPARED:
        if kind == "bool" or len(values) != 1 or not _is_number(values[0]):
            raise Invalid(f"{where}: {operator} compares with one number", field=where)
        return (values[0],)
    if operator in _TEXT_ONLY and kind != "text":
        raise Invalid(f"{where}: {operator} is for text; use is, is_not, gt, gte, lt, lte", field=where)
    if kind == "number":
        if not all(_is_number(value) for value in values):
            raise Invalid(f"{where}: the values must be numbers", field=where)
        return tuple(float(value) for value in values)
    if kind == "bool":
        if not all(isinstance(value, bool) for value in values):
            raise Invalid(f"{where}: the values must be true or false", field=where)
        return tuple(values)
    if not all(isinstance(value, str) and len(value) <= MAX_LENGTH for value in values):
        raise Invalid(f"{where}: the values must be text of at most {MAX_LENGTH} characters", field=where)
    return tuple(values)


def _is_number(value: AnyValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
