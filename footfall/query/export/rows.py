"""Rows as columns of Arrow, for what is no answer of the store: of a report, or of a question."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from footfall.errors import Invalid
from footfall.model.money import in_units
from footfall.query.sql.export import JSON, TOKEN

Column = tuple[Any, Any]
"""A field and its values."""


def money_columns(name: str, values: Sequence[Mapping[str, int] | None], *, excel: bool) -> Iterator[Column]:
    """Amounts by currency: JSON in minor units; for Excel a column of each currency, in its unit."""
    if not excel:
        texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        yield pa.field(name, pa.string(), metadata={JSON: b""}), pa.array(texts, pa.string())
        return
    currencies = sorted({currency for value in values for currency in value or ()})
    for currency in currencies or [""]:
        cells = [
            None if value is None else format(in_units(currency, value.get(currency, 0)), "f")
            for value in values
        ]
        named = f"{name}_{currency}" if currency else name
        yield pa.field(named, pa.string(), metadata={TOKEN: b""}), pa.array(cells, pa.string())


def report_table(data: Any, *, excel: bool) -> pa.Table:
    """The rows of a report's answer. Raises Invalid for an answer that is several lists."""
    rows: list[dict[str, Any]] = msgspec.to_builtins(data if isinstance(data, list) else [data])
    names = list(dict.fromkeys(name for row in rows for name in row))
    fields: list[Any] = []
    columns: list[Any] = []
    for name in names:
        for field, column in _columns(name, [row.get(name) for row in rows], excel=excel):
            fields.append(field)
            columns.append(column)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _columns(name: str, values: list[Any], *, excel: bool) -> Iterator[Column]:
    kinds: set[type] = {type(value) for value in values if value is not None}
    if list in kinds:
        raise Invalid(
            "this report is several lists, and a CSV is one: ask a report that is one list (for a link, "
            "with a filter on link_id)",
            field="format",
        )
    if dict in kinds:
        if name == "revenue":
            yield from money_columns(name, values, excel=excel)
            return
        values = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        yield pa.field(name, pa.string(), metadata={JSON: b""}), pa.array(values, pa.string())
        return
    kind: Any = (
        pa.bool_() if kinds == {bool}
        else pa.int64() if kinds == {int}
        else pa.float64() if kinds and kinds <= {int, float}
        else pa.string()
    )  # fmt: skip
    if kind == pa.string():
        values = [None if value is None else str(value) for value in values]
    yield pa.field(name, kind), pa.array(values, kind)
