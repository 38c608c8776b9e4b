"""What a question is answered with: plain rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, cast

import msgspec

from footfall.errors import FootfallError

Row = dict[str, Any]

_TIMES = frozenset({"time", "bucket", "bucket_end"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of an answer, and what the console says of them.

    `rows`: one dict a row; a report about one thing has one row. `meta`: what the numbers are
    worth, see the reference of the API. `query`: the question as it was understood. `columns`: the
    names of the columns where they are known without rows.
    """

    rows: list[Row]
    meta: dict[str, Any]
    query: dict[str, Any]
    columns: tuple[str, ...] = field(default=(), repr=False)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_polars(self) -> Any:
        """The rows as a `polars.DataFrame`, times in its zone. Raises ImportError without polars."""
        polars: Any = _optional("polars")
        if not self.rows:
            return polars.DataFrame(schema=list(self.columns))
        frame = polars.from_dicts(self.rows, infer_schema_length=None)
        for name, kind in self._times():
            column = polars.col(name)
            read = (
                column.str.to_date()
                if kind == "date"
                else column.str.to_datetime(time_zone="UTC").dt.convert_time_zone(self._zone)
            )
            frame = frame.with_columns(read)
        return frame

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`, times in its zone. Raises ImportError without pandas."""
        pandas: Any = _optional("pandas")
        frame = pandas.DataFrame(self.rows, columns=None if self.rows else list(self.columns))
        for name, kind in self._times():
            if kind == "date":
                frame[name] = pandas.to_datetime(frame[name], format="%Y-%m-%d")
            else:
                read = pandas.to_datetime(frame[name], utc=True, format="ISO8601")
                frame[name] = read.dt.tz_convert(self._zone)
        return frame

    @property
    def _zone(self) -> str:
        return str(self.query.get("timezone") or "UTC")

    def _times(self) -> Iterator[tuple[str, str]]:
        """The columns of times, and whether they are days ("date") or moments ("time")."""
        for name in self.columns:
            if name in _TIMES or name.startswith("time:") or name.endswith("_at"):
                texts = [row[name] for row in self.rows if row.get(name) is not None]
                if texts and all(isinstance(text, str) and _DAY.fullmatch(text) for text in texts):
                    yield name, "date"
                elif texts and all(isinstance(text, str) and _MOMENT.fullmatch(text) for text in texts):
                    yield name, "time"


def read_report(body: bytes) -> Result:
    """The answer of a report: `{"data": [...] or {...}, "meta": {...}}`. Raises FootfallError."""
    document = _document(body, "data", "meta")
    data: Any = document["data"]
    rows = cast("list[Row]", data if isinstance(data, list) else [data])
    return Result(rows, document["meta"], document["meta"].get("query") or {}, tuple(rows[0]) if rows else ())


def read_thing(body: bytes) -> Result:
    """One thing that was made, as a row. Raises FootfallError."""
    document = _document(body, "id")
    return Result([document], {}, {}, tuple(document))


def read_query(body: bytes, dimensions: Sequence[str], metrics: Sequence[str]) -> Result:
    """The answer of a query, each of its rows under the names asked for. Raises FootfallError.

    With `compare` a metric has two more columns: `visitors_before` and `visitors_change`.
    """
    document = _document(body, "results", "meta")
    rows = [_row(row, dimensions, metrics) for row in document["results"]]
    return Result(rows, document["meta"], document.get("query") or {}, (*dimensions, *metrics))


def _row(result: Mapping[str, Any], dimensions: Sequence[str], metrics: Sequence[str]) -> Row:
    row = dict(zip(dimensions, result.get("dimensions") or (), strict=False))
    row |= zip(metrics, result["metrics"], strict=True)
    compared: Mapping[str, Any] | None = result.get("comparison")
    if compared:
        row |= zip([f"{name}_before" for name in metrics], compared.get("metrics") or (), strict=False)
        row |= zip([f"{name}_change" for name in metrics], compared.get("change") or (), strict=False)
    return row


def _document(body: bytes, *members: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict) or any(name not in document for name in members):
        raise FootfallError("that is no answer of Footfall's console; is console_url right?")
    return cast("dict[str, Any]", document)


def _optional(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"to_{name}() needs {name}: pip install {name}", name=name) from error
