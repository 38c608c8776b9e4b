"""Whether the console runs, and whether it can answer: for monitors, without a key."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Request, get, head
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from footfall.tenants.auth import told_to
from footfall.tenants.directory import Directory


class Health(Struct, frozen=True):
    """`status` is `ok`; anything else is answered with 503."""

    status: str


def health_routes(
    ready: Callable[[], Awaitable[dict[str, object]]], directory: Directory
) -> Sequence[HTTPRouteHandler]:
    """The routes, which many monitors ask with HEAD. `ready` raises StoreDown or Retryable when it is not."""

    @get(
        "/health/live",
        tags=["Health"],
        operation_id="health_live",
        summary="Whether the process runs",
        description="It asks nothing of anything else, and needs no key.",
    )
    async def live() -> Health:
        return Health("ok")

    @get(
        "/health/ready",
        tags=["Health"],
        operation_id="health_ready",
        summary="Whether it can answer questions",
        description="`ok` or `degraded`; 503 when it cannot. Why is told to keys of the first workspace.",
    )
    async def is_ready(request: Request[Any, Any, Any]) -> dict[str, object]:
        return await told_to(request.scope, directory, ready)

    @head("/health/live", include_in_schema=False)
    async def head_live() -> None:
        pass

    @head("/health/ready", include_in_schema=False)
    async def head_ready(request: Request[Any, Any, Any]) -> None:
        await told_to(request.scope, directory, ready)

    return live, is_ready, head_live, head_ready
