"""The rows of a report as a file of CSV: with `format=csv`, or where a client accepts it rather than JSON."""

from collections.abc import AsyncGenerator
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from litestar import Request

from footfall.api.download import Download, file_name, warnings_header, weights
from footfall.query.export.formats import check_for
from footfall.query.export.rows import report_table
from footfall.query.language.params import Params
from footfall.query.reporting.report import Answer, Context


def wants_csv(request: Request[Any, Any, Any], params: Params) -> bool:
    """Whether to answer with CSV. Raises Invalid where Excel is asked for, and no CSV."""
    asked = params.format
    if asked is None:
        accepted = weights(request.headers.get("accept", ""))
        csv = accepted.get("text/csv", 0.0)
        asked = "csv" if csv > 0 and csv >= accepted.get("application/json", 0.0) else "json"
    check_for(params.program, asked)
    return asked == "csv"


def csv_file(
    request: Request[Any, Any, Any], answer: Answer[Any], context: Context[Any], name: str
) -> Download:
    """The answer's rows, and its warnings in a header. Raises Invalid for an answer that is several lists."""
    excel = context.params.program is not None
    table = report_table(answer.data, excel=excel)
    return Download(
        _one(table),
        table.schema,
        format="csv",
        zone=ZoneInfo(context.period.timezone),
        name=file_name(name, context.period),
        rows=table.num_rows,
        accept=request.headers.get("accept-encoding", ""),
        headers=warnings_header(answer.meta.warnings) | {"Vary": "Accept, Accept-Encoding, Authorization"},
        excel=excel,
    )


async def _one(table: pa.Table) -> AsyncGenerator[pa.Table]:
    yield table
