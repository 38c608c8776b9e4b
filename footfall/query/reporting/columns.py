"""The columns of reports: figures, what follows from them, and the rows made of them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from footfall.query.catalog.metrics import KNOWN_METRICS, Unit
from footfall.query.language.periods import Period

Values = dict[str, Any]
"""A row by the names of its columns."""

_TYPES: Mapping[Unit, Any] = {
    "count": int,
    "uniques": int,
    "ratio": float | None,
    "seconds": float | None,
    "number": float | None,
    "money": dict[str, int],
    "time": str | None,
}


class ReportColumn(NamedTuple):
    """A metric as a column. `about` replaces its meaning in the documentation."""

    name: str
    metric: str
    about: str = ""


class Derived(NamedTuple):
    """A column that follows from the others of its row."""

    name: str
    type: Any
    about: str
    value: Callable[[Values], Any]


class By(NamedTuple):
    """What rows are grouped by, as a column.

    `numbers`: the metric that says in how many events it was sent as a number; then it is shown as one.
    """

    name: str
    about: str = ""
    dimension: str = ""
    type: Any = str
    numbers: str = ""

    def shown(self, value: Any, numbers: int) -> Any:
        """The value as it was sent."""
        if not numbers:
            return value
        with suppress(ValueError):
            return int(value)
        with suppress(ValueError):
            return float(value)
        return value

    @property
    def asked(self) -> str:
        """The dimension to ask for."""
        return self.dimension or self.name


def figures(*names: str) -> tuple[ReportColumn, ...]:
    """Metrics as columns of the same names."""
    return tuple(ReportColumn(name, name) for name in names)


def row_type(
    name: str,
    about: str,
    by: Sequence[By],
    figures: Sequence[ReportColumn],
    derived: Sequence[Derived] = (),
    *,
    chosen: bool = False,
) -> type[Struct]:
    """A Struct of these columns. `chosen`: a row has only some of `by`."""
    fields: list[Any] = []
    for each in by:
        kind = Annotated[each.type, Meta(description=each.about)] if each.about else each.type
        fields.append((each.name, kind | UnsetType, UNSET) if chosen else (each.name, kind))
    fields += [
        (each.name, Annotated[_TYPES[KNOWN_METRICS[each.metric].unit], Meta(description=_meaning(each))])
        for each in figures
    ]
    fields += [(each.name, Annotated[each.type, Meta(description=each.about)]) for each in derived]
    return defstruct(name, fields, namespace={"__doc__": about}, frozen=True, kw_only=True)


def to_row(figures: Sequence[ReportColumn], values: Sequence[Any], period: Period) -> Values:
    """The figures of a row as they are answered: times in ISO 8601."""
    shown: Values = {}
    for figure, value in zip(figures, values, strict=True):
        is_time = KNOWN_METRICS[figure.metric].unit == "time"
        shown[figure.name] = period.iso(value) if is_time and value is not None else value
    return shown


def zero_values(figures: Sequence[ReportColumn]) -> list[Any]:
    """What metrics are of no events."""
    units = [KNOWN_METRICS[figure.metric].unit for figure in figures]
    return [0 if unit in ("count", "uniques") else {} if unit == "money" else None for unit in units]


def distinct_counts(figures: Sequence[ReportColumn], rows: Sequence[Values]) -> list[int]:
    """All counts of different things in these rows."""
    names = [figure.name for figure in figures if KNOWN_METRICS[figure.metric].unit == "uniques"]
    return [row[name] for row in rows for name in names]


def with_derived(values: Values, derived: Sequence[Derived]) -> Values:
    """The row with the columns that follow from it."""
    return values | {each.name: each.value(values) for each in derived}


def _meaning(figure: ReportColumn) -> str:
    return figure.about or KNOWN_METRICS[figure.metric].meaning
