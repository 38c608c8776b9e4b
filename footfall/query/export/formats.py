"""The formats of exports. An encoder is fed pages of Arrow and gives bytes as they become ready."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from footfall.errors import Invalid
from footfall.query.export.excel import excel_header, excel_rows
from footfall.query.export.text import csv_header, csv_rows, json_rows

_SLICE = 8192  # rows

Format = Literal["csv", "ndjson", "parquet"]
For = Literal["excel"]


class Encoder(Protocol):
    """Of one export. What the calls give, joined, is the file."""

    def add(self, table: pa.Table) -> Iterator[bytes]: ...  # noqa: D102 - said above

    def end(self) -> bytes: ...  # noqa: D102 - said above


class _Text:
    def __init__(self, begin: bytes, rows: Callable[[pa.Table, ZoneInfo], bytes], zone: ZoneInfo) -> None:
        self._begin = begin
        self._rows = rows
        self._zone = zone

    def add(self, table: pa.Table) -> Iterator[bytes]:
        yield self._begin
        self._begin = b""
        for first in range(0, table.num_rows, _SLICE):  # text is much larger than columns
            yield self._rows(table.slice(first, _SLICE), self._zone)

    def end(self) -> bytes:
        return self._begin


class _Parquet:
    """Each page is one row group; only their places in the file are remembered."""

    def __init__(self, schema: pa.Schema) -> None:
        fields: Any = schema  # the stubs of pyarrow do not know the types of fields
        repeating: Any = [each.name for each in fields if pa.types.is_dictionary(each.type)]
        self._sink = _Sink()
        self._writer: Any = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            schema,
            compression="zstd",
            use_dictionary=repeating,
            store_schema=False,  # text reads back as text, not as dictionaries of Arrow
        )

    def add(self, table: pa.Table) -> Iterator[bytes]:
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)
        yield self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


class _Sink(io.RawIOBase):
    """Holds what was written since it was last taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def check_for(program: For | None, file: str | None) -> bool:
    """Whether a file is for Excel. Raises Invalid where it is no CSV."""
    if program is not None and file != "csv":
        raise Invalid("for=excel goes with format=csv", field="for")
    return program is not None


class FileFormat(NamedTuple):
    """`compressed`: the file is compressed inside, so it is not again on its way."""

    media_type: str
    encoder: Callable[[pa.Schema, ZoneInfo], Encoder]
    compressed: bool = False


def _csv(schema: pa.Schema, zone: ZoneInfo) -> Encoder:
    return _Text(csv_header(schema), csv_rows, zone)


def _ndjson(_: pa.Schema, zone: ZoneInfo) -> Encoder:
    return _Text(b"", json_rows, zone)


def _parquet(schema: pa.Schema, _: ZoneInfo) -> Encoder:
    return _Parquet(schema)


def _excel(schema: pa.Schema, zone: ZoneInfo) -> Encoder:
    return _Text(excel_header(schema), excel_rows, zone)


EXCEL = FileFormat("text/csv; charset=utf-8", _excel)
"""CSV for double-click."""

FORMATS: Mapping[Format, FileFormat] = {
    "csv": FileFormat("text/csv; charset=utf-8", _csv),
    "ndjson": FileFormat("application/x-ndjson", _ndjson),
    "parquet": FileFormat("application/vnd.apache.parquet", _parquet, compressed=True),
}
"""Every format. Times are in the zone in text, and instants in Parquet."""
