"""Rows of Arrow as text: CSV (RFC 4180) and NDJSON. Columns are worked on whole, not cell by cell.

Spreadsheets run text as a formula when it begins with one of = + - @ (of full width, too; some skip blanks
and what is not seen before it) or with NUL, a tab or a line break: in CSV such text gets an apostrophe in
front, which spreadsheets show as text. Numbers stay numbers.
"""

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.model.calendar import local
from footfall.query.sql.export import JSON, TOKEN

# Typed loosely, because the stubs of pyarrow do not know what its functions take and give.
_pc: Any = pc
_TextWriter = Callable[[Any, Any], Any]
"""Text that is escaped: `(values, metadata of the field)`."""

_FORMULA = r"^[\x00-\x20\x7f-\x{9F}\p{Z}\p{Cf}]*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|^[\x00\t\r\n]"
_NEEDS_QUOTES = '[",\r\n]'
_NEEDS_ESCAPES = r'["\\\x00-\x1f\x7f]'

_QUARTER = 900_000  # ms; the offset of a zone changes at no other time


def csv_header(schema: pa.Schema) -> bytes:
    """The first line: the names of the columns."""
    line = io.StringIO()
    names: Any = pa.array(schema.names, pa.string())
    csv.writer(line).writerow(_safe(names).to_pylist())
    return line.getvalue().encode()


def csv_rows(table: pa.Table, zone: ZoneInfo) -> bytes:
    """Lines of CSV that end with CR LF; null is an empty cell."""
    cells = [_cells(table, number, zone, _csv_text) for number in range(table.num_columns)]
    return _lines(cells, "", ",", "\r\n", "")


def json_rows(table: pa.Table, zone: ZoneInfo) -> bytes:
    """Lines of JSON objects that end with LF."""
    cells = [_cells(table, number, zone, _json_text) for number in range(table.num_columns)]
    named = [
        _pc.binary_join_element_wise(
            f"{_json(name)}:", cell, "", null_handling="replace", null_replacement="null"
        )
        for name, cell in zip(table.schema.names, cells, strict=True)
    ]
    return _lines(named, "{", ",", "}\n", "null")


def _lines(cells: list[Any], begin: str, between: str, end: str, null: str) -> bytes:
    """The cells of each row, joined."""
    if not len(cells[0]):
        return b""
    how = {"null_handling": "replace", "null_replacement": null}
    cells[0] = _pc.binary_join_element_wise(begin, cells[0], "", **how)
    cells[-1] = _pc.binary_join_element_wise(cells[-1], end, "", **how)
    joined = _pc.binary_join_element_wise(*cells, between, **how)
    _, offsets, data = joined.buffers()
    ends = np.frombuffer(offsets, np.int32, count=len(joined) + 1, offset=4 * joined.offset)
    return memoryview(data)[int(ends[0]) : int(ends[-1])].tobytes()


def _cells(table: pa.Table, number: int, zone: ZoneInfo, write: _TextWriter) -> Any:
    """One column as text that can stand in a row; null stays null."""
    schema: Any = table.schema
    field = schema.field(number)
    column: Any = table.column(number).combine_chunks()
    meta: Any = field.metadata or {}
    kind: Any = field.type
    if pa.types.is_dictionary(kind):
        return write(column.dictionary, meta).take(column.indices)
    if pa.types.is_timestamp(kind):
        return write(spell_times(column, zone), {TOKEN: b""})
    if pa.types.is_string(kind):
        return write(column, meta)
    return column.cast(pa.string())


def _csv_text(text: Any, meta: Any) -> Any:
    if TOKEN in meta:
        return text
    return _where(_safe(text), _NEEDS_QUOTES, _quoted)


def _safe(text: Any) -> Any:
    return _where(text, _FORMULA, lambda cells: _pc.binary_join_element_wise("'", cells, ""))


def _quoted(text: Any) -> Any:
    return _pc.binary_join_element_wise('"', _pc.replace_substring(text, '"', '""'), '"', "")


def _json_text(text: Any, meta: Any) -> Any:
    if JSON in meta:
        return text
    if TOKEN not in meta and _pc.any(_pc.match_substring_regex(text, _NEEDS_ESCAPES)).as_py():
        return pa.array([None if cell is None else _json(cell) for cell in text.to_pylist()], pa.string())
    return _pc.binary_join_element_wise('"', text, '"', "")


def _where(text: Any, pattern: str, change: Callable[[Any], Any]) -> Any:
    """`text`, changed where the pattern is found."""
    found = _pc.match_substring_regex(text, pattern)
    return _pc.if_else(found, change(text), text) if _pc.any(found).as_py() else text


def spell_times(times: Any, zone: ZoneInfo) -> Any:
    """Instants as ISO 8601 with milliseconds and the offset of the zone."""
    at = times.cast(pa.int64()).fill_null(0).to_numpy()
    quarters, which = np.unique(at // _QUARTER, return_inverse=True)
    moments = [local(int(quarter) * _QUARTER, zone) for quarter in quarters]
    offsets = [int(_offset(moment).total_seconds() * 1000) for moment in moments]
    shown = at + np.array(offsets, np.int64)[which]
    clock: Any = pa.array(shown, pa.timestamp("ms")).cast(pa.string())  # a tenth of what strftime takes
    clock = _pc.binary_replace_slice(clock, 10, 11, "T")
    suffix: Any = pa.array([moment.isoformat(timespec="seconds")[19:] for moment in moments], pa.string())
    text = _pc.binary_join_element_wise(clock, suffix.take(pa.array(which)), "")
    return _pc.if_else(times.is_valid(), text, pa.scalar(None, pa.string()))


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


def _json(value: str) -> str:
    return msgspec.json.encode(value).decode()
