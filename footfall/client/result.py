"""What a question is answered with: plain rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, cast

import msgspec

from footfall.errors import FootfallError

Row = dict[str, Any]


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
        """The rows as a `polars.DataFrame`. Raises ImportError when polars is not installed."""
        polars: Any = _optional("polars")
        if not self.rows:
            return polars.DataFrame(schema=list(self.columns))
        return polars.from_dicts(self.rows, infer_schema_length=None)

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`. Raises ImportError when pandas is not installed."""
        pandas: Any = _optional("pandas")
        return pandas.DataFrame(self.rows, columns=None if self.rows else list(self.columns))


def read_report(body: bytes) -> Result:
    """The answer of a report: `{"data": [...] or {...}, "meta": {...}}`. Raises FootfallError."""
    document = _document(body, "data", "meta")
    data: Any = document["data"]
    rows = cast("list[Row]", data if isinstance(data, list) else [data])
    return Result(rows, document["meta"], document["meta"].get("query") or {}, tuple(rows[0]) if rows else ())


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
