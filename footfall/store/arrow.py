"""Columns of Python values to one Arrow table, as `Store.insert` takes it.

The Arrow schema is derived from `model.columns`. Repeating strings (LowCardinality in the
store) travel as dictionaries: a little dearer to build, and cheaper to insert than they cost.
"""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from footfall.model.columns import BY_NAME, COLUMNS, NAMES

# Typed loosely here, because the stubs of pyarrow cannot follow types that are looked up.
_new_array: Callable[..., Any] = pa.array
_of_dictionary: Callable[..., Any] = pa.DictionaryArray.from_arrays  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # as above
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


class Coded(NamedTuple):
    """A column of repeating texts: of each row the number of its value.

    OWN, instead of a number: what the row has in the column `own`, which stands before this one.
    """

    values: Sequence[str]
    numbers: npt.NDArray[np.int32]
    own: str


OWN = -1


def table(columns: Mapping[str, Sequence[Any] | Constant | Coded]) -> pa.Table:
    """All columns of `model.columns`, as lists of equal length, `Coded` or `Constant`s, to an Arrow table.

    Values: 16 bytes for UUID; ms since 1970 for times; a JSON object as text ("" for {}) for
    properties; None means unknown: NaN in a Float32, else the column's default.

    Raises ValueError when a column is missing, unknown, of another length, or holds a value
    of another type (TypeError for some).
    """
    if wrong := columns.keys() ^ BY_NAME.keys():
        raise ValueError(f"columns missing or unknown: {', '.join(sorted(wrong))}")
    lists = (values for values in columns.values() if not isinstance(values, Constant | Coded))
    rows = next((len(values) for values in lists), 0)
    every = pa.repeat(0, rows)
    arrays: list[Any] = []
    for column in COLUMNS:
        values = columns[column.name]
        if isinstance(values, Constant):
            arrays.append(_array(column.type, [values.value]).take(every))
        elif isinstance(values, Coded):
            arrays.append(_coded(values, arrays[NAMES.index(values.own)]))
        else:
            arrays.append(_array(column.type, values))
    made = pa.Table.from_arrays(arrays, schema=SCHEMA)
    made.validate()  # lengths, not values
    return made


def _coded(column: Coded, own: Any) -> Any:
    """The dictionary has each text once."""
    places: dict[str, int] = {}
    rows = column.numbers == OWN
    if rows.any():
        own = own.fill_null("") if own.null_count else own
        places = {text: place for place, text in enumerate(own.dictionary.to_pylist())}
    numbers = np.array([places.setdefault(value, len(places)) for value in column.values], np.int32)
    found = numbers[column.numbers] if len(numbers) else column.numbers
    if rows.any():
        found = np.where(rows, own.indices.to_numpy(), found)
    return _of_dictionary(_new_array(found, pa.int32()), _new_array(list(places), pa.string()))


def _array(kind: str, values: Sequence[Any]) -> Any:
    array = _new_array(values, _TYPES[kind])
    return array.fill_null(nan) if kind == "Float32" and array.null_count else array
