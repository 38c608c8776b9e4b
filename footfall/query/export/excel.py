"""A table as Excel reads it by double-click: what it would take for something else is written otherwise.

Times have no T and no offset (they are those of the zone that was asked for), numbers four digits behind the
point, and text that looks like a long number (an id) an apostrophe in front, else its digits are lost.
"""

from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from footfall.query.export.text import csv_header, csv_rows, spell_times
from footfall.query.sql.export import TOKEN

# Typed loosely, because the stubs of pyarrow do not know what its functions take and give.
_pc: Any = pc

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()
"""By this Excel sees that the file is UTF-8."""

_DIGITS = 4
_TIME = r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$"
_LIKE_A_NUMBER = r"^(\d{12,}|0\d+|\d+[eE]\d+)$"


def excel_header(schema: pa.Schema) -> bytes:
    """The first line, behind the mark of UTF-8."""
    return _BOM + csv_header(schema)


def excel_rows(table: pa.Table, zone: ZoneInfo) -> bytes:
    """Lines of CSV, as `csv_rows` gives them, of what Excel understands."""
    schema: Any = table.schema
    fields: list[Any] = []
    columns: list[Any] = []
    for number, field in enumerate(schema):
        column: Any = table.column(number).combine_chunks()
        kind: Any = field.type
        meta: Any = field.metadata
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
        if pa.types.is_timestamp(kind):
            column, meta = _plain(spell_times(column, zone)), {TOKEN: b""}
        elif pa.types.is_floating(kind):
            column = _pc.round(column, ndigits=_DIGITS)
        elif pa.types.is_string(column.type):
            column = _guarded(_plain(column))
            # Neither needs quotes, and a time is no formula.
        fields.append(pa.field(field.name, column.type, metadata=meta))
        columns.append(column)
    return csv_rows(pa.Table.from_arrays(columns, schema=pa.schema(fields)), zone)


def _plain(text: Any) -> Any:
    """Times in ISO 8601 as `2026-10-05 10:00:00`; other text as it is."""
    return _pc.replace_substring_regex(text, _TIME, r"\1 \2")


def _guarded(text: Any) -> Any:
    found = _pc.match_substring_regex(text, _LIKE_A_NUMBER)
    return _pc.if_else(found, _pc.binary_join_element_wise("'", text, ""), text)
