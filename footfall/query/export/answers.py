"""The answer of `POST /v1/query` as a table of Arrow, a column for each dimension and metric."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from msgspec import Meta, field

from footfall.errors import Invalid
from footfall.query.answers import Row, Table
from footfall.query.catalog.fields import KINDS
from footfall.query.catalog.metrics import METRICS
from footfall.query.export.formats import For, Format
from footfall.query.export.rows import money_columns
from footfall.query.language.body import MAX_ROWS, Pagination, Query
from footfall.query.language.params import FOR_EXCEL
from footfall.query.language.question import CLOCKS

MAX_EXPORT_ROWS = 100_000

_UNITS: dict[str, Any] = {
    "count": pa.int64(),
    "uniques": pa.int64(),
    "time": pa.string(),
}
_DIMENSIONS: dict[str, Any] = {"number": pa.int64(), "bool": pa.bool_()}


class ExportPagination(Pagination, frozen=True, forbid_unknown_fields=True):
    """Which rows of the answer."""

    limit: Annotated[int, Meta(ge=1, le=MAX_EXPORT_ROWS)] = MAX_EXPORT_ROWS


class QueryExport(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question as `POST /v1/query` takes it, and the format of the answer."""

    format: Annotated[Format, Meta(description="csv, ndjson or parquet.")]
    program: Annotated[For | None, Meta(description=FOR_EXCEL)] = field(default=None, name="for")
    pagination: ExportPagination = ExportPagination()


def question_of(asked: QueryExport) -> QueryExport:
    """What to ask: with a comparison, fewer rows."""
    if asked.compare is None or asked.pagination.limit <= MAX_ROWS:
        return asked
    fewer = msgspec.structs.replace(asked.pagination, limit=MAX_ROWS)
    return msgspec.structs.replace(asked, pagination=fewer)


def check_whole(asked: QueryExport, table: Table) -> None:
    """Raises Invalid when there are more rows than an export can have, and nobody asked for fewer."""
    most = MAX_EXPORT_ROWS if asked.compare is None else MAX_ROWS
    if asked.pagination.limit == MAX_EXPORT_ROWS and table.total - asked.pagination.offset > most:
        raise Invalid(
            f"the answer has {table.total} rows, and an export at most {most}"
            f"{'' if asked.compare is None else ' with compare'}: "
            "narrow the question, or take a part of it with pagination",
            field="pagination.limit",
        )


def as_arrow(asked: Query, table: Table, *, excel: bool = False) -> pa.Table:
    """The dimensions, then the metrics; with a comparison, then `previous:METRIC` and `change:METRIC`.

    Amounts of money are JSON, {"EUR": 1999}; for Excel columns of each currency, in its unit.
    """
    rows = table.rows
    fields: list[Any] = []
    columns: list[Any] = []
    for place, name in enumerate(asked.dimensions):
        kind = _DIMENSIONS.get("number" if name in CLOCKS else KINDS.get(name, "text"), pa.string())
        fields.append(pa.field(name, kind))
        columns.append(pa.array([row.dimensions[place] for row in rows], kind))

    def add(name: str, metric: str, values: Sequence[Any]) -> None:
        unit = METRICS[metric].unit
        kind = _UNITS.get(unit, pa.float64())
        if unit == "money":
            for column_field, column in money_columns(name, values, excel=excel):
                fields.append(column_field)
                columns.append(column)
            return
        fields.append(pa.field(name, kind))
        columns.append(pa.array(values, kind))

    for place, name in enumerate(asked.metrics):
        add(name, name, [row.metrics[place] for row in rows])
    if asked.compare is not None:
        for place, name in enumerate(asked.metrics):
            add(f"previous:{name}", name, [_compared(row).metrics[place] for row in rows])
            fields.append(pa.field(f"change:{name}", pa.float64()))
            columns.append(pa.array([_compared(row).change[place] for row in rows], pa.float64()))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _compared(row: Row) -> Any:
    return row.comparison
