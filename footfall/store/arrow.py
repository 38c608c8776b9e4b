"""Columns of Python values to one Arrow table, as `Store.insert` takes it.

The Arrow schema is derived from `model.columns`. Repeating strings (LowCardinality in the
store) travel as dictionaries: a little dearer to build, and cheaper to insert than they cost.
"""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import pyarrow as pa

from footfall.model.columns import BY_NAME, COLUMNS

# Typed loosely here, because the stubs of pyarrow cannot follow types that are looked up.
_new_array: Callable[..., Any] = pa.array
_TYPES: dict[str, Any] = {
    "UUID": pa.binary(16),
    "String": pa.string(),
    "LowCardinality(String)": pa.dictionary(pa.int32(), pa.string()),
    "JSON": pa.string(),
    "DateTime64(3, 'UTC')": pa.timestamp("ms", "UTC"),
    "Bool": pa.bool_(),
    "Float32": pa.float32(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
}

SCHEMA: pa.Schema = pa.schema([pa.field(column.name, _TYPES[column.type]) for column in COLUMNS])


class Constant(NamedTuple):
    """One value for every row of a column."""

    value: Any


def table(columns: Mapping[str, Sequence[Any] | Constant]) -> pa.Table:
    """All columns of `model.columns`, as lists of equal length or `Constant`s, to an Arrow table.

    Values: 16 bytes for UUID; ms since 1970 for times; a JSON object as text ("" for {}) for
    properties; None means unknown: NaN in a Float32, else the column's default.

    Raises ValueError when a column is missing, unknown, of another length, or holds a value
    of another type (TypeError for some).
    """
    if wrong := columns.keys() ^ BY_NAME.keys():
        raise ValueError(f"columns missing or unknown: {', '.join(sorted(wrong))}")
    rows = next((len(values) for values in columns.values() if not isinstance(values, Constant)), 0)
    every = pa.repeat(0, rows)
    arrays: list[Any] = []
    for column in COLUMNS:
        values = columns[column.name]
        if isinstance(values, Constant):
            arrays.append(_array(column.type, [values.value]).take(every))
        else:
            arrays.append(_array(column.type, values))
    made = pa.Table.from_arrays(arrays, schema=SCHEMA)
    made.validate()  # lengths, not values
    return made


def _array(kind: str, values: Sequence[Any]) -> Any:
    array = _new_array(values, _TYPES[kind])
    return array.fill_null(nan) if kind == "Float32" and array.null_count else array
