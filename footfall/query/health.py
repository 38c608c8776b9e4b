"""Whether the console runs, and whether it can answer: for monitors, without a key."""

from collections.abc import Awaitable, Callable, Sequence

from litestar import get, head
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct


class Health(Struct, frozen=True):
    """`status` is `ok`; anything else is answered with 503."""

    status: str


def health_routes(ready: Callable[[], Awaitable[dict[str, object]]]) -> Sequence[HTTPRouteHandler]:
    """The routes, which many monitors ask with HEAD. `ready` raises StoreDown or Retryable when it is not."""

    @get("/health/live", tags=["Health"], operation_id="health_live", summary="Whether the process runs")
    async def live() -> Health:
        return Health("ok")

    @get(
        "/health/ready",
        tags=["Health"],
        operation_id="health_ready",
        summary="Whether it can answer questions",
    )
    async def is_ready() -> dict[str, object]:
        return {"status": "ok"} | await ready()

    @head("/health/live", include_in_schema=False)
    async def head_live() -> None:
        pass

    @head("/health/ready", include_in_schema=False)
    async def head_ready() -> None:
        await ready()

    return live, is_ready, head_live, head_ready
