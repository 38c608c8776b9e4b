"""The console: an ASGI app made from `REPORTS`, the routers of the tenants, and health.

Every report is scoped to the workspace of the key that asks; no parameter can widen that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Litestar, Request, Response, Router, get, post
from litestar.datastructures import MutableScopeHeaders, State
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Middleware
from litestar.types import Scope as AsgiScope
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from footfall import metrics
from footfall.api import docs_page, openapi
from footfall.api.concurrency import per_key
from footfall.api.disconnect import ends_with_the_client
from footfall.api.http_cache import cacheable
from footfall.api.problems import exception_handlers, strict_body
from footfall.api.report_file import csv_file, wants_csv
from footfall.api.routes.export import export_routes
from footfall.api.routes.health import health_routes
from footfall.api.routes.query import Queries, SavedOf, TagsOf, query_routes
from footfall.errors import NotFound
from footfall.http.answer_headers import NO_CONTENT, NO_REFERRER, NOSNIFF
from footfall.model.times import to_millis
from footfall.query.catalog.networks import Networks
from footfall.query.engine import Engine, RollupCatalog
from footfall.query.language.params import P, parse, wants_all
from footfall.query.language.saved import NOTHING_SAVED, SavedNames
from footfall.query.reporting.report import Context, FindLink, FindLinks, Report
from footfall.query.reports import REPORTS
from footfall.settings import Settings
from footfall.store.port import Store
from footfall.tenants.auth import authenticate, require, require_operator
from footfall.tenants.directory import Directory
from footfall.tenants.model import Key, Scope

Ready = Callable[[], Awaitable[dict[str, object]]]
"""What to say about this process when it can answer. Raises Retryable when it cannot."""

Through = Callable[[], Awaitable[datetime | None]]
"""Everything acknowledged before this time is stored; None as long as that is not known."""


async def safe_headers(message: Message, _scope: AsgiScope) -> None:
    """For `before_send`: what every answer has, unless it says otherwise itself. Nothing is kept."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in _SAFE.items():
            if name not in headers:
                headers[name] = value


_SAFE = {
    "X-Content-Type-Options": NOSNIFF,
    "Content-Security-Policy": NO_CONTENT,
    "Referrer-Policy": NO_REFERRER,
    "Cache-Control": "no-store",
}

_MAX_BODY = 512 << 10  # bytes, unless a route says otherwise: longer ones would hold the loop

_NO_DEFAULTS: Mapping[str, str] = {}


def create_app(
    *,
    store: Store,
    directory: Directory,
    find_link: FindLink,
    find_links: FindLinks,
    settings: Settings,
    ready: Ready,
    complete_through: Through | None = None,
    rollups: RollupCatalog | None = None,
    missing: Callable[[], Collection[tuple[int, int]]] = tuple,
    tags_of: TagsOf | None = None,
    saved_of: SavedOf | None = None,
    routers: Sequence[Router] = (),
) -> Litestar:
    """The console as an ASGI app. `routers` are those of the tenants; `missing` is the engine's."""
    engine = Engine(store, rollups, remember=settings.query_cache, missing=missing)
    networks = Networks(settings.asn_database)

    async def allowed(request: Request[Any, Any, Any], scope: Scope) -> Key:
        key = await authenticate(request.scope["headers"], directory)
        require(key, scope)
        return key

    async def reader(request: Request[Any, Any, Any]) -> str:
        return (await allowed(request, "read")).workspace_id

    async def through() -> int | None:
        at = await complete_through() if complete_through else None
        return at and to_millis(at.timestamp())

    def site_ids(names: str, workspace_id: str) -> str:
        """Of a parameter: domains among the names become ids."""
        bare = names.removeprefix("-")
        ids = [each for name in bare.split(",") for each in directory.site_ids(name, workspace_id)]
        return names[: len(names) - len(bare)] + ",".join(ids)

    async def context_of(
        request: Request[Any, Any, Any], params: type[P], defaults: Mapping[str, str] = _NO_DEFAULTS
    ) -> Context[P]:
        key = await allowed(request, "read")
        items = [
            (name, site_ids(value, key.workspace_id) if name == "site_id" else value)
            for name, value in request.query_params.multi_items()
        ]
        first = await engine.first_event(key.workspace_id) if wants_all(items) else None
        asked = parse(params, items, datetime.now(UTC), defaults=defaults, first=first)
        return Context(
            workspace_id=key.workspace_id,
            asked=asked,
            # Taken before the question is asked, so that what it promises is in the answer.
            complete_through=await through(),
            engine=engine,
            find_link=find_link,
            find_links=find_links,
            networks=networks,
            timeout=settings.query_timeout,
            path=request.path_params,
        )

    async def answer(report: Report[Any], request: Request[Any, Any, Any]) -> Response[Any]:
        context = await context_of(request, report.params, report.defaults)
        with_csv = wants_csv(request, context.params)
        with metrics.QUERY_SECONDS.labels(report.name).time():
            found = await report.run(context)
        if with_csv:
            return await asyncio.to_thread(csv_file, request, found, context, report.name)
        return await asyncio.to_thread(cacheable, request, found, context.period)

    asking, exporting = (
        [ends_with_the_client, per_key(directory, most, settings.query_timeout)]
        for most in (settings.query_concurrency, settings.export_concurrency)
    )

    managing = per_key(directory, settings.query_concurrency, settings.query_timeout)

    queries = Queries(
        engine,
        tags_of or _no_tags,
        through,
        settings.query_timeout,
        directory.site_ids,
        saved_of or _nothing_saved,
    )

    @get("/metrics", include_in_schema=False, middleware=[managing])
    async def scrape(request: Request[Any, Any, Any]) -> Response[bytes]:
        require_operator(await authenticate(request.scope["headers"], directory))
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @post("/v1/events", include_in_schema=False)
    async def events_elsewhere() -> None:
        raise NotFound(f"the console only answers questions; events go to {settings.door_url}/v1/events")

    return Litestar(
        route_handlers=[
            *(_route(report, answer, asking) for report in REPORTS),
            *health_routes(ready, directory),
            scrape,
            events_elsewhere,
            query_routes(queries, reader, asking),
            export_routes(engine, queries, context_of, reader, settings.query_timeout, exporting),
            docs_page.home,
            docs_page.openapi_document,
            Router("/", route_handlers=routers, middleware=[managing]),
        ],
        exception_handlers=exception_handlers,
        before_request=strict_body,
        request_max_body_size=_MAX_BODY,
        before_send=[safe_headers],
        openapi_config=docs_page.openapi_config(openapi.COMPONENTS),
        logging_config=None,
        state=State({"door_url": settings.door_url}),
    )


async def _no_tags(_: str, __: Collection[str] | None) -> Mapping[str, Sequence[str]]:
    return {}


async def _nothing_saved(_: str) -> SavedNames:
    return NOTHING_SAVED


def _route(
    report: Report[Any],
    answer: Callable[[Report[Any], Request[Any, Any, Any]], Awaitable[Response[Any]]],
    middleware: Sequence[Middleware],
) -> HTTPRouteHandler:
    """The route of a report. It takes the request only; the parameters are documented by hand."""

    async def handler(request: Request[Any, Any, Any]) -> Any:
        return await answer(report, request)

    handler.__annotations__["return"] = openapi.answer_of(report)
    return get(
        report.path,
        operation_id=f"report_{report.name}",
        summary=report.title,
        description=report.description,
        response_description="The answer.",
        tags=["Stats" if report.path.startswith("/v1/stats") else "Analytics"],
        security=openapi.SECURITY,
        middleware=middleware,
        responses=openapi.LINK_REFUSALS if "{" in report.path else openapi.REPORT_REFUSALS,
        operation_class=openapi.operation_with(report.params, report.defaults),
    )(handler)
