"""The browsable API documentation: Swagger UI from our own files, and the OpenAPI document.

Nothing comes from another host, and the content policy lets nothing in.
"""

import asyncio
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.datastructures import ResponseHeader
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components
from litestar.response import Redirect

from footfall.api.door_paths import with_door
from footfall.errors import NotFound


def _version() -> str:
    try:
        return version("footfall")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0"


VERSION = _version()
PATH = "/docs"

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Footfall API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{PATH}/swagger-ui.css?{VERSION}">
<body>
<div id="page"><p>The API is described in <a href="/openapi.json">openapi.json</a>.</p></div>
<script src="{PATH}/swagger-ui-bundle.js?{VERSION}"></script>
<script src="{PATH}/start.js?{VERSION}"></script>
</body>
</html>
""".encode()

_START = b"""window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""

# Swagger UI styles its elements in place and draws its icons as data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    ResponseHeader(name="Content-Security-Policy", value=_POLICY),
    ResponseHeader(name="X-Content-Type-Options", value="nosniff"),
    ResponseHeader(name="Referrer-Policy", value="no-referrer"),
]


class _Page(OpenAPIRenderPlugin):
    """The page itself, at the path of the router."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del request, openapi_schema  # the page fetches the document
        return _PAGE


async def _make_schema(request: Request[Any, Any, Any]) -> None:
    """Where the schema is needed first. Litestar itself would make it in the event loop: for 140 ms."""
    await asyncio.to_thread(lambda: request.app.openapi_schema)


@get([f"/{name}" for name in (*_ASSETS, "start.js")])
async def _asset(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A file of the page; the address holds the version, so it may be kept."""
    name = request.url.path.rsplit("/", 1)[-1]
    if name in _ASSETS:
        file = files("footfall") / "_data" / "swagger-ui" / name
        if not file.is_file():
            raise NotFound("Swagger UI is not in this checkout: build the package once (uv sync does)")
        content, kind = await asyncio.to_thread(file.read_bytes), _ASSETS[name]
    else:
        content, kind = _START, "text/javascript"
    return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=86400"})


@get("/openapi.json", include_in_schema=False)
async def openapi_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The OpenAPI 3.1 document of all routes: made once, for it takes a while and needs no key."""
    state = request.app.state
    if "openapi" not in state:
        state["openapi"] = await asyncio.to_thread(
            lambda: msgspec.json.encode(
                with_door(request.app.openapi_schema.to_schema(), request.app.state["door_url"])
            )
        )
    return Response(state["openapi"], media_type="application/json")


@get("/", include_in_schema=False, sync_to_thread=False)
def home() -> Redirect:
    """People who open the console find out what it can do."""
    return Redirect(PATH)


def openapi_config(components: Components) -> OpenAPIConfig:
    """What Litestar needs to document the routes and to serve the page."""
    return OpenAPIConfig(
        title="Footfall",
        version=VERSION,
        description="Questions about clicks and events. Press *Authorize* and paste a key (one is made with "
        "`footfall keys new NAME --scope read`), then *Execute* what is filled in. The guide, with answers "
        "to each question, is `docs/api.md` and `docs/query.md` of the source.",
        components=components,
        render_plugins=[_Page()],
        openapi_router=Router(
            PATH,
            route_handlers=[_asset],
            include_in_schema=False,
            response_headers=_HEADERS,
            before_request=_make_schema,
        ),
    )
