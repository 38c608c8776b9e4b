"""`POST /api/v1/imports/...`: takes a file, chunk by chunk. For keys with the scope admin."""

import asyncio
from typing import Annotated, Any

from litestar import Request, Router, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta, Struct

from footfall.api.guard import allowed, key_of, parameters
from footfall.api.long_body import LongRequest, read_long_body
from footfall.api.openapi import operation_asking
from footfall.api.problems import refusals
from footfall.errors import Denied, Invalid
from footfall.imports.access_log import importer as access_log
from footfall.imports.access_log.importer import AccessLogImporter
from footfall.imports.clicks import importer as clicks
from footfall.imports.clicks.chunk import FORMATS, MAX_LINES
from footfall.imports.clicks.importer import ClickImporter
from footfall.imports.intake import let_go
from footfall.tenants.directory import Directory
from footfall.tenants.model import Workspace

_MAX_BODY = 16 << 20
_REFUSALS = {
    400: "A field is unknown or wrong.",
    401: "Missing or unknown key.",
    403: "The key lacks this scope.",
    413: "The chunk is too large.",
    503: "The events cannot be kept now; send the chunk again after `Retry-After` seconds.",
}

_Lines = Annotated[list[str], Meta(max_length=MAX_LINES, description="The lines, without line ends.")]
_Again = Annotated[
    bool,
    Meta(
        description="Look at lines that were imported before, too. Their events are not added twice "
        "as long as they are stored."
    ),
]


class ChunkOfLines(Struct, frozen=True, forbid_unknown_fields=True):
    """Some lines of a file of clicks, in the file's order."""

    format: Annotated[str, Meta(description=f"One of: {', '.join(FORMATS)}.", examples=list(FORMATS))]
    lines: _Lines
    occurrences: Annotated[
        list[int],
        Meta(
            max_length=MAX_LINES,
            description="For each line, which of the identical lines of the file it is, from 1: so each is "
            "counted once, and a chunk can be sent again.",
        ),
    ]
    again: _Again = False


class ChunkOfAccessLog(Struct, frozen=True, forbid_unknown_fields=True):
    """Some lines of an access log, in the file's order."""

    site_id: Annotated[str, Meta(max_length=200, description="The site that page views belong to.")]
    lines: _Lines
    occurrences: Annotated[
        list[int],
        Meta(
            max_length=MAX_LINES,
            description="For each line, which of the lines it is, from 1, that differ at most in the "
            "client's address.",
        ),
    ]
    origin: Annotated[
        str,
        Meta(
            max_length=300,
            description="Where the site is, as in https://www.example.com. Without it the host that a line "
            "names, or else the site's first origin.",
        ),
    ] = ""
    format: Annotated[
        str,
        Meta(
            max_length=4000,
            description="nginx's `log_format` or Apache's `LogFormat`, or `haproxy {Host|User-Agent}` with "
            "the captured headers. Without it each line is looked at.",
        ),
    ] = ""
    fields: Annotated[
        str,
        Meta(
            max_length=4000,
            description="Of the W3C's format: what the last `#Fields:` before the first of these lines said.",
        ),
    ] = ""
    pages: Annotated[
        list[str],
        Meta(
            max_length=100,
            description="What is a page although it looks like a file: extensions (`pdf`), paths "
            "(`/wiki/*`).",
        ),
    ] = []
    dry_run: Annotated[bool, Meta(description="Only say what would be added.")] = False
    again: _Again = False


def import_routes(importer: ClickImporter, access_logs: AccessLogImporter, directory: Directory) -> Router:
    """The routes of imports."""
    return Router(
        "/api/v1/imports",
        route_handlers=[_clicks(importer, directory), _access_log(access_logs, directory)],
        guards=[allowed(directory, "admin"), parameters()],
        request_class=LongRequest,
        before_request=read_long_body,
        request_max_body_size=_MAX_BODY,
        tags=["Imports"],
        security=[{"key": []}],
    )


def _clicks(importer: ClickImporter, directory: Directory) -> HTTPRouteHandler:
    @post(
        "/clicks",
        status_code=202,
        operation_id="import_clicks",
        operation_class=operation_asking(
            {
                "format": "bitly",
                "lines": [
                    '{"t": 1331923247, "g": "wfLQtf", "h": "spring", "u": "https://example.com", "c": "DE"}'
                ],
                "occurrences": [1],
            }
        ),
        summary="Import clicks from lines of a file",
        description="The clicks keep their times and places; links that are missing are made. What was "
        "imported before is not added again. Answered when the clicks are durable.",
        responses=refusals(_REFUSALS),
    )
    async def import_clicks(
        request: Request[Any, Any, Any], data: JSONBody[ChunkOfLines]
    ) -> clicks.ClicksOutcome:
        workspace = await _workspace(directory, request)
        try:
            return await importer.add(workspace, data.format, data.lines, data.occurrences, again=data.again)
        finally:
            await asyncio.to_thread(let_go, data.lines)

    return import_clicks


def _access_log(access_logs: AccessLogImporter, directory: Directory) -> HTTPRouteHandler:
    @post(
        "/access-log",
        status_code=202,
        operation_id="import_access_log",
        operation_class=operation_asking(
            {
                "site_id": "site_k3v9x2m4tq",
                "lines": [
                    '192.0.2.1 - - [20/May/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"'
                ],
                "occurrences": [1],
                "dry_run": True,
            }
        ),
        summary="Import clicks and page views from lines of an access log",
        description="Requests that a link of the workspace redirected become clicks, pages page views; the "
        "rest is skipped, with a reason. What was received live, or imported before, is not added again. "
        "Addresses are used for country and device, and not kept. Answered when the events are durable.",
        responses=refusals(_REFUSALS),
    )
    async def import_access_log(
        request: Request[Any, Any, Any], data: JSONBody[ChunkOfAccessLog]
    ) -> access_log.AccessLogOutcome:
        workspace = await _workspace(directory, request)
        site = await directory.site(data.site_id)
        if site is None or site.workspace_id != workspace.id:
            raise Invalid("no site of this workspace has this id", field="site_id")
        try:
            return await access_logs.add(
                workspace,
                site,
                data.lines,
                data.occurrences,
                origin=data.origin,
                dry_run=data.dry_run,
                again=data.again,
                format_name=data.format,
                fields=data.fields,
                pages=data.pages,
            )
        finally:
            await asyncio.to_thread(let_go, data.lines)

    return import_access_log


async def _workspace(directory: Directory, request: Request[Any, Any, Any]) -> Workspace:
    workspace = await directory.workspace(key_of(request).workspace_id)
    if workspace is None:
        raise Denied("the workspace of this key was deleted")
    return workspace
