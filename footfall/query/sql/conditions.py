"""Conditions as SQL: every value travels as a parameter."""

from collections.abc import Callable
from typing import assert_never

from footfall.model.folding import folded
from footfall.query.catalog.fields import KINDS, PROPERTY
from footfall.query.language.question import (
    And,
    Comparison,
    Condition,
    HasDone,
    InOrder,
    Not,
    Or,
    Reached,
    patterns_of,
)
from footfall.store.statement import Values

_COMPARED = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

_MOST_SEARCHED = 255  # texts that multiSearchAny takes


class Conditions:
    """Writes conditions for one statement.

    `field` gives a field's SQL in the source at hand, `who` a SELECT of the visitors (or visits) that have
    done something.
    """

    def __init__(
        self, values: Values, field: Callable[[str], str], who: Callable[[HasDone | InOrder], str]
    ) -> None:
        self._values = values
        self._field = field
        self._who = who

    def sql(self, condition: Condition) -> str:
        """In parentheses where that is needed to be joined with AND."""
        match condition:
            case Comparison():
                return self._where(condition)
            case And():
                return " AND ".join(self.sql(part) for part in condition.parts) or "1"
            case Or():
                return f"({' OR '.join(f'({self.sql(part)})' for part in condition.parts) or '0'})"
            case Not():
                return f"NOT ({self.sql(condition.part)})"
            case HasDone() | InOrder():
                key = key_of(condition)
                return f"({key} != 0 AND {key} IN ({self._who(condition)}))"
            case Reached():
                return self.sql(condition.part)
            case _:
                assert_never(condition)

    def _where(self, where: Comparison) -> str:
        field, kind = self._field(where.field), KINDS.get(where.field, "text")
        if where.operator in _COMPARED:
            return self._compared(_COMPARED[where.operator], where.values[0], field, kind)
        positive = self._one_of(where, field, kind)
        return f"NOT ({positive})" if where.operator.endswith("_not") else f"({positive})"

    def _compared(self, sign: str, value: str | float, field: str, kind: str) -> str:
        """Whole numbers are compared as such: beyond 2^53 not each of them is a Float64."""
        bound = self._values.add(float(value), "Float64")
        if kind != "text":
            return f"toFloat64({field}) {sign} {bound}"
        compared = f"toFloat64OrNull({field}) {sign} {bound}"
        if float(value).is_integer():
            whole = self._values.add(str(int(value)), "Int128")
            compared = f"ifNull(toInt128OrNull({field}) {sign} {whole}, {compared})"
        return f"ifNull({compared}, 0)"

    def _one_of(self, where: Comparison, field: str, kind: str) -> str:
        add = self._values.add
        values = list(where.values)
        if where.operator in ("contains", "contains_not"):
            if "" in values:  # ClickHouse does not find it in every text, among others
                return "1"
            parts = [values[at : at + _MOST_SEARCHED] for at in range(0, len(values), _MOST_SEARCHED)]
            texts = [add(part, "Array(String)") for part in parts]
            if where.case_sensitive:
                return " OR ".join(f"multiSearchAny({field}, {text})" for text in texts)
            # Not multiSearchAnyCaseInsensitiveUTF8: 250 texts that are alike take it 8 s, without an end.
            texts = [f"arrayMap(x -> {folded('x')}, {text})" for text in texts]
            # Nothing is left of a joiner, and that is in every text, too.
            return " OR ".join(
                f"has({text}, '') OR multiSearchAny({folded(field)}, {text})" for text in texts
            )
        if where.operator in ("matches", "matches_not"):
            return " OR ".join(f"match({field}, {add(each, 'String')})" for each in patterns_of(where))
        if kind == "number":
            return f"toFloat64({field}) IN {add(values, 'Array(Float64)')}"
        if kind == "bool":
            return f"{field} IN {add([int(value is True) for value in values], 'Array(UInt8)')}"
        if not where.case_sensitive:
            # Both by the store, whose Unicode may be another version than Python's.
            texts = f"arrayMap(x -> {folded('x')}, {add(values, 'Array(String)')})"
            return f"has({texts}, {folded(field)})"
        return f"{field} IN {add(values, 'Array(String)')}"


def key_of(done: HasDone | InOrder) -> str:
    """The column that says who has done it."""
    return "session_id" if isinstance(done, InOrder) and not done.visitors else "visitor_id"


def is_property(name: str) -> bool:
    """Whether a field is a property of any name."""
    return name.startswith(PROPERTY)
