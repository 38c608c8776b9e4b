"""`POST /api/v1/imports/clicks`: takes a file of clicks, chunk by chunk. For keys with the scope admin."""

from typing import Annotated, Any

from litestar import Request, Router, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from footfall.errors import Denied
from footfall.imports.chunk import FORMATS, MAX_LINES
from footfall.imports.clicks import Importer, Outcome
from footfall.tenants.directory import Directory
from footfall.tenants.guard import allowed, key_of, parameters

_MAX_BODY = 16 << 20


class ChunkOfLines(Struct, frozen=True, forbid_unknown_fields=True):
    """Some lines of a file of clicks, in the file's order."""

    format: Annotated[str, Meta(description=f"One of: {', '.join(FORMATS)}.", examples=list(FORMATS))]
    lines: Annotated[list[str], Meta(max_length=MAX_LINES, description="The lines, without line ends.")]
    occurrences: Annotated[
        list[int],
        Meta(
            max_length=MAX_LINES,
            description="For each line, which of the identical lines of the file it is, from 1: so each is "
            "counted once, and a chunk can be sent again.",
        ),
    ]


def import_routes(importer: Importer, directory: Directory) -> Router:
    """The routes of imports."""

    @post(
        "/api/v1/imports/clicks",
        status_code=202,
        guards=[allowed(directory, "admin"), parameters()],
        request_max_body_size=_MAX_BODY,
        operation_id="import_clicks",
        summary="Import clicks from lines of a file",
        description="The clicks keep their times and places; links that are missing are made. What was "
        "imported before is not added again. Answered when the clicks are durable.",
        tags=["Imports"],
        security=[{"key": []}],
    )
    async def import_clicks(request: Request[Any, Any, Any], data: JSONBody[ChunkOfLines]) -> Outcome:
        workspace = await directory.workspace(key_of(request).workspace_id)
        if workspace is None:
            raise Denied("the workspace of this key was deleted")
        return await importer.add(workspace, data.format, data.lines, data.occurrences)

    return Router("/", route_handlers=[import_clicks])
