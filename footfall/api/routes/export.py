"""`GET /api/v1/export/events` and `POST /v1/export`: what there is, as a file."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa
from litestar import Request, Response, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.types import Middleware
from msgspec import Meta

from footfall.api.download import Download, file_name, warnings_header
from footfall.api.openapi import QUESTION, REPORT_REFUSALS, SECURITY, operation_asking, operation_with
from footfall.api.routes.query import MAX_BODY, Allowed, Queries
from footfall.model.times import Seconds
from footfall.query.caveats import caveats_of
from footfall.query.engine import Engine, QueryResult
from footfall.query.export.answers import MAX_EXPORT_ROWS, QueryExport, as_arrow, check_whole, question_of
from footfall.query.export.events import EventExport
from footfall.query.export.formats import Format, check_for
from footfall.query.language.params import P, RangeParams
from footfall.query.reporting.report import Context
from footfall.query.sql.export import SCHEMA

MAX_LIMIT = 1_000_000_000


class ExportParams(RangeParams, frozen=True, kw_only=True):
    """What an export of events takes, beside the filters of the reports."""

    format: Annotated[Format, Meta(description="csv, ndjson or parquet.")]  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues] -- other files than of a report
    limit: (
        Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Most rows of the file; default: all.")] | None
    ) = None
    cursor: (
        Annotated[
            str,
            Meta(
                max_length=100,
                description="Only what comes after this event: its `occurred_at,event_id`, from the last "
                "complete row of a broken download, or the header `Footfall-Next-Cursor` of the part before.",
            ),
        ]
        | None
    ) = None


class ContextOf(Protocol):
    """Reads a request's parameters. Raises Denied, Invalid."""

    def __call__(  # noqa: D102 - said above
        self, request: Request[Any, Any, Any], params: type[P], /
    ) -> Awaitable[Context[P]]: ...


_DOCUMENTED: dict[str, Any] = {
    "tags": ["Export"],
    "security": SECURITY,
    "responses": REPORT_REFUSALS
    | {
        200: ResponseSpec(
            None,
            generate_examples=False,
            description="The file. `Footfall-Rows` says how many rows it has, `Footfall-Warnings` what they "
            "do not mean, and `Footfall-Next-Cursor`, beside a `limit`, where to go on.",
        )
    },
}


def export_routes(
    engine: Engine,
    queries: Queries,
    context_of: ContextOf,
    allowed: Allowed,
    timeout: Seconds,
    middleware: Sequence[Middleware],
) -> Router:
    """The routes. `timeout`: seconds that one page may take."""

    @get(
        "/api/v1/export/events",
        operation_id="export_events",
        summary="The events of a range as a file",
        description="CSV, NDJSON or Parquet, by site and then by time. All types of events, and no bots "
        "unless they are asked for.",
        operation_class=operation_with(ExportParams, {}),
        middleware=middleware,
        **_DOCUMENTED,
    )
    async def events(request: Request[Any, Any, Any]) -> Response[None]:
        context = await context_of(request, ExportParams)
        asked = context.params
        excel = check_for(asked.program, asked.format)
        question = context.question()
        export = EventExport(engine, question, timeout)
        plan = await export.plan(asked.cursor, asked.limit)
        lacking = QueryResult([], total=0, at=0.0, missing=await engine.gone(question))
        told = caveats_of(context.period, [lacking], ())
        return Download(
            export.pages(plan),
            SCHEMA,
            format=asked.format,
            zone=ZoneInfo(context.period.timezone),
            name=file_name("events", context.period),
            rows=plan.rows,
            accept=_accepted(request),
            headers=warnings_header([*context.asked.warnings, *told.warnings])
            | ({"Footfall-Next-Cursor": plan.next_cursor} if plan.next_cursor else {}),
            excel=excel,
        )

    @post(
        "/v1/export",
        status_code=200,
        operation_id="export_query",
        summary="The answer to a query as a file",
        operation_class=operation_asking({"format": "csv", **QUESTION}),
        description=f"A question as `POST /v1/query` takes it; at most {MAX_EXPORT_ROWS} rows.",
        middleware=middleware,
        request_max_body_size=MAX_BODY,
        **_DOCUMENTED,
    )
    async def answer(request: Request[Any, Any, Any], data: JSONBody[QueryExport]) -> Response[None]:
        workspace_id = await allowed(request)
        excel = check_for(data.program, data.format)
        answered = await queries.answer(question_of(data), workspace_id)
        check_whole(data, answered.table)
        table = await asyncio.to_thread(as_arrow, data, answered.table, excel=excel)
        period = answered.asked.question.period
        return Download(
            _one(table),
            table.schema,
            format=data.format,
            zone=ZoneInfo(period.timezone),
            name=file_name("answer", period),
            rows=table.num_rows,
            accept=_accepted(request),
            headers=warnings_header(
                caveats_of(period, answered.table.found, answered.table.uniques).warnings
            ),
            excel=excel,
        )

    return Router(path="/", route_handlers=[events, answer])


async def _one(table: pa.Table) -> AsyncGenerator[pa.Table]:
    yield table


def _accepted(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("accept-encoding", "")
