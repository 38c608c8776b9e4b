"""`/api/v1/goals` and `/api/v1/segments`: what questions name, of the workspace whose key asks."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from litestar import Request, Router, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, replace

from footfall.api.guard import allowed, key_of, parameters
from footfall.api.openapi import SECURITY, operation_asking
from footfall.api.problems import refusals
from footfall.api.routes.query import SavedOf
from footfall.api.views import Listed, listed, shown_moment
from footfall.model.ids import short_id
from footfall.query.language.filters import Filters
from footfall.query.language.saved import SavedNames, check_goal, saved_names
from footfall.tenants.directory import Directory
from footfall.tenants.fields import MAX_PAGE
from footfall.tenants.model import Goal, Segment
from footfall.tenants.tenants import Tenants

Asked = Request[Any, Any, Any]
InPath = Annotated[str, PathParameter(description="Its `id`, as the list shows it.")]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="How many at most.")]
Offset = Annotated[int, QueryParameter(ge=0, le=10**9, description="How many to pass over.")]

_MAX_BODY = 256 << 10
_REFUSALS = {
    400: "A parameter or field is unknown or wrong.",
    401: "Missing or unknown key.",
    403: "The key lacks this scope.",
}
_NEW = _REFUSALS | {409: "The name is taken, or there are too many."}
_ONE = _REFUSALS | {404: "This workspace has no such thing."}
_CHANGED = _ONE | {409: "The name is taken."}

SiteId = Annotated[
    str | None, Meta(description="Of this site's events only; of all of the workspace, if it is null.")
]
EventType = Annotated[
    str,
    Meta(
        description="The type of events that reach it: that of a page view, if there is none, or of an "
        "`engagement` event where there is a `scroll_depth`.",
        examples=["Signup"],
    ),
]
Page = Annotated[
    str,
    Meta(
        description="Which `page_path` they have: `*` is all but a slash, `**` is anything.",
        examples=["/blog/**"],
    ),
]
ScrollDepth = Annotated[
    float, Meta(description="Percent of the page that were seen, at least.", ge=0, le=100)
]
Properties = Annotated[
    dict[str, str], Meta(description="Values of their properties; at most 10.", examples=[{"plan": "pro"}])
]
FilterTree = Annotated[
    list[Any],
    Meta(
        description="Filters as of `POST /v1/query`; all must hold.",
        examples=[[["is", "country_code", ["DE", "AT"]]]],
    ),
]


class NewGoal(Struct, frozen=True, forbid_unknown_fields=True):
    """A goal to be saved: an `event_type`, a `page` or a `scroll_depth`, or more than one of these."""

    name: Annotated[
        str, Meta(description="How questions name it: `Visit /page` or the event's type, if it is left out.")
    ] = ""
    site_id: SiteId = None
    event_type: EventType = ""
    page: Page = ""
    scroll_depth: ScrollDepth = 0
    properties: Properties = {}


class GoalChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a goal; what is left out stays."""

    name: str | UnsetType = UNSET
    site_id: SiteId | UnsetType = UNSET
    event_type: EventType | UnsetType = UNSET
    page: Page | UnsetType = UNSET
    scroll_depth: ScrollDepth | UnsetType = UNSET
    properties: Properties | UnsetType = UNSET


class GoalView(Struct, frozen=True):
    """A goal. An event reaches it for which all holds that is said here."""

    id: str
    name: str
    site_id: str | None
    event_type: str
    page: str
    scroll_depth: float
    properties: dict[str, str]
    created_at: datetime


class NewSegment(Struct, frozen=True, forbid_unknown_fields=True):
    """A segment to be saved."""

    name: Annotated[str, Meta(description="How questions name it.", examples=["German phones"])]
    filters: FilterTree
    site_id: SiteId = None


class SegmentChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a segment; what is left out stays."""

    name: str | UnsetType = UNSET
    filters: FilterTree | UnsetType = UNSET
    site_id: SiteId | UnsetType = UNSET


class SegmentView(Struct, frozen=True):
    """A segment: filters under a name."""

    id: str
    name: str
    site_id: str | None
    filters: list[Any]
    created_at: datetime


def saved_of(tenants: Tenants) -> SavedOf:
    """What questions of a workspace may name."""

    async def saved(workspace_id: str) -> SavedNames:
        goals, segments = await asyncio.gather(
            tenants.goals.every(workspace_id), tenants.segments.every(workspace_id)
        )
        return saved_names(goals, segments)

    return saved


def saved_routes(tenants: Tenants, directory: Directory) -> list[Router]:
    """The routes of goals and segments."""
    common: dict[str, Any] = {"security": SECURITY, "request_max_body_size": _MAX_BODY}
    return [
        Router("/api/v1/goals", route_handlers=_goals(tenants, directory), tags=["Goals"], **common),
        Router("/api/v1/segments", route_handlers=_segments(tenants, directory), tags=["Segments"], **common),
    ]


def _goals(tenants: Tenants, directory: Directory) -> list[HTTPRouteHandler]:
    may_read, may_write = allowed(directory, "read"), allowed(directory, "admin")

    @post(
        summary="Save a goal",
        description='Questions name it: `["is", "goal", ["Signup"]]`, and the dimension `goal`.',
        operation_id="create_goal",
        operation_class=operation_asking({"name": "Reads the blog", "page": "/blog/**"}),
        guards=[may_write, parameters()],
        responses=refusals(_NEW),
    )
    async def create(request: Asked, data: JSONBody[NewGoal]) -> GoalView:
        given = _columns(asdict(data))
        goal = Goal(short_id("goal"), key_of(request).workspace_id, **given)
        await asyncio.to_thread(check_goal, goal)
        return _goal(await tenants.goals.create(goal))

    known = parameters("limit", "offset")

    @get(
        summary="Goals",
        description="Of the workspace, newest first.",
        operation_id="goals",
        guards=[may_read, known],
        responses=refusals(_REFUSALS),
    )
    async def every(request: Asked, limit: Limit = 100, offset: Offset = 0) -> Listed[GoalView]:
        page = await tenants.goals.page(key_of(request).workspace_id, limit, offset)
        return listed([_goal(goal) for goal in page.items], page.total, limit, offset)

    @patch(
        "/{goal_id:str}",
        summary="Change a goal",
        description="What is left out stays. Answers about the past change with it.",
        operation_id="update_goal",
        operation_class=operation_asking({"page": "/blog/*"}),
        guards=[may_write, parameters()],
        responses=refusals(_CHANGED),
    )
    async def change(request: Asked, goal_id: InPath, data: JSONBody[GoalChange]) -> GoalView:
        mine, new = key_of(request).workspace_id, _columns(_given(data))
        if old := await tenants.goals.one(mine, goal_id):
            await asyncio.to_thread(check_goal, replace(old, **new))
        return _goal(await tenants.goals.update(mine, goal_id, new))

    @delete(
        "/{goal_id:str}",
        summary="Delete a goal",
        description="Its events stay.",
        operation_id="delete_goal",
        guards=[may_write, parameters()],
        responses=refusals(_ONE),
    )
    async def remove(request: Asked, goal_id: InPath) -> None:
        await tenants.goals.delete(key_of(request).workspace_id, goal_id)

    return [create, every, change, remove]


def _segments(tenants: Tenants, directory: Directory) -> list[HTTPRouteHandler]:
    may_read, may_write = allowed(directory, "read"), allowed(directory, "admin")
    saved = saved_of(tenants)

    async def check(workspace_id: str, filters: Sequence[Any]) -> None:
        there = await saved(workspace_id)
        # None of the segments: one is no part of another.
        reads = Filters(lambda _: (), 0, SavedNames(there.goals, {}))
        await asyncio.to_thread(reads.read, list(filters))

    @post(
        summary="Save a segment",
        description='Questions name it: `["is", "segment", ["German phones"]]`.',
        operation_id="create_segment",
        operation_class=operation_asking(
            {
                "name": "German phones",
                "filters": [["is", "country_code", ["DE"]], ["is", "device_type", ["mobile"]]],
            }
        ),
        guards=[may_write, parameters()],
        responses=refusals(_NEW),
    )
    async def create(request: Asked, data: JSONBody[NewSegment]) -> SegmentView:
        mine = key_of(request).workspace_id
        await check(mine, data.filters)
        given = _columns(asdict(data))
        segment = Segment(short_id("segment"), mine, **given)
        return _segment(await tenants.segments.create(segment))

    known = parameters("limit", "offset")

    @get(
        summary="Segments",
        description="Of the workspace, newest first.",
        operation_id="segments",
        guards=[may_read, known],
        responses=refusals(_REFUSALS),
    )
    async def every(request: Asked, limit: Limit = 100, offset: Offset = 0) -> Listed[SegmentView]:
        page = await tenants.segments.page(key_of(request).workspace_id, limit, offset)
        return listed([_segment(segment) for segment in page.items], page.total, limit, offset)

    @patch(
        "/{segment_id:str}",
        summary="Change a segment",
        description="What is left out stays.",
        operation_id="update_segment",
        operation_class=operation_asking({"name": "Phones in Germany"}),
        guards=[may_write, parameters()],
        responses=refusals(_CHANGED),
    )
    async def change(request: Asked, segment_id: InPath, data: JSONBody[SegmentChange]) -> SegmentView:
        mine = key_of(request).workspace_id
        if data.filters is not UNSET:
            await check(mine, data.filters)
        return _segment(await tenants.segments.update(mine, segment_id, _columns(_given(data))))

    @delete(
        "/{segment_id:str}",
        summary="Delete a segment",
        description="Questions that name it are refused from then on.",
        operation_id="delete_segment",
        guards=[may_write, parameters()],
        responses=refusals(_ONE),
    )
    async def remove(request: Asked, segment_id: InPath) -> None:
        await tenants.segments.delete(key_of(request).workspace_id, segment_id)

    return [create, every, change, remove]


def _given(change: Struct) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(change).items() if value is not UNSET}


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of what was given: no site is all of them."""
    return {name: "" if name == "site_id" and value is None else value for name, value in given.items()}


def _goal(goal: Goal) -> GoalView:
    return GoalView(
        goal.id,
        goal.name,
        goal.site_id or None,
        goal.event_type,
        goal.page,
        goal.scroll_depth,
        goal.properties,
        shown_moment(goal.created_at),
    )


def _segment(segment: Segment) -> SegmentView:
    at = shown_moment(segment.created_at)
    return SegmentView(segment.id, segment.name, segment.site_id or None, segment.filters, at)
