"""`/api/v1/retention`: what is deleted when, before it is. `/api/v1/rollups`: a month built again."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, Router, get, post, put
from litestar.params import JSONBody
from msgspec import Meta, Struct

from footfall.api.guard import allowed, key_of, parameters
from footfall.api.openapi import operation_asking
from footfall.api.problems import refusals
from footfall.errors import Conflict, Denied, Invalid
from footfall.model.times import DAY, Millis
from footfall.retention.plan import Month
from footfall.retention.policy import Retention
from footfall.rollups.maintenance import RollupMaintainer
from footfall.state.ranges import iso
from footfall.tenants.directory import LOCAL_KEY, Directory
from footfall.units import FOREVER, spell_time


class Planned(Struct, frozen=True, kw_only=True):
    """The raw events of one site that occurred in one month (UTC)."""

    month: str
    site_id: str
    events: int
    newest: Annotated[str, Meta(description="When the youngest of them occurred or was received.")]
    deleted_after: Annotated[str | None, Meta(description="null: never")]
    due: Annotated[
        bool,
        Meta(
            description="They are old enough. They are announced the next night, and deleted the one after."
        ),
    ]
    announced: Annotated[
        str | None, Meta(description="Since when; they are deleted the first night 20 hours later.")
    ]
    unsliced: Annotated[int, Meta(description="Events no rollup has yet; until then none is deleted.")]


class RetentionMeta(Struct, frozen=True, kw_only=True):
    """For how long things are kept, where a site says nothing else; null: for ever."""

    raw_days: float | None
    rollup_days: float | None
    warnings: Annotated[list[str], Meta(description="What answers lose by these settings.")]


class RetentionAnswer(Struct, frozen=True):
    """The answer."""

    data: list[Planned]
    meta: RetentionMeta


class SiteRetention(Struct, frozen=True, forbid_unknown_fields=True):
    """For how many days raw events of a site are kept: 0 for ever, null as in the settings."""

    site_id: Annotated[str, Meta(description="The site's id.")]
    raw_days: Annotated[
        Annotated[int, Meta(ge=0, le=36_500)] | None,
        Meta(description="0: for ever; null: as in the settings."),
    ]


class Rebuild(Struct, frozen=True, forbid_unknown_fields=True):
    """The month whose rollups are to be built again."""

    month: Annotated[str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2026-03"])]


class Rebuilt(Struct, frozen=True):
    """From how many events."""

    events: int


def retention_routes(retention: Retention, rollups: RollupMaintainer | None, directory: Directory) -> Router:
    """The routes. `rollups`: None where another process keeps them."""
    refused = {
        401: "Missing or unknown key.",
        403: "The key lacks the scope admin.",
        503: "The store or the database does not answer; try again after `Retry-After`.",
    }

    @get(
        "/api/v1/retention",
        guards=[allowed(directory, "admin"), parameters()],
        operation_id="retention",
        summary="Which raw events are kept until when",
        description="By month and site. What is `due` is announced at night and deleted the night after; "
        "its rollups stay.",
        responses=refusals(refused),
        tags=["Retention"],
        security=[{"key": []}],
    )
    async def plan(request: Request[Any, Any, Any]) -> RetentionAnswer:
        return await _answer(retention, key_of(request).workspace_id)

    @put(
        "/api/v1/retention",
        guards=[allowed(directory, "admin"), parameters()],
        operation_id="set_retention",
        description="`raw_days`: 0 for ever, null as in the settings. A month of events goes the night "
        "after it was announced, at the earliest.",
        operation_class=operation_asking({"site_id": "site_k3v9x2m4tq", "raw_days": 400}),
        summary="Keep raw events of a site for another number of days",
        responses=refusals({400: "The body is wrong, or the workspace has no such site.", **refused}),
        tags=["Retention"],
        security=[{"key": []}],
    )
    async def change(request: Request[Any, Any, Any], data: JSONBody[SiteRetention]) -> RetentionAnswer:
        workspace_id = key_of(request).workspace_id
        site = await directory.site(data.site_id)
        if site is None or site.workspace_id != workspace_id:
            raise Invalid("site_id must be the id of a site of this workspace", field="site_id")
        await retention.set_raw_days(data.site_id, data.raw_days)
        return await _answer(retention, workspace_id)

    @post(
        "/api/v1/rollups/rebuild",
        guards=[allowed(directory, "admin"), parameters()],
        operation_id="rebuild_rollups",
        operation_class=operation_asking({"month": "2026-03"}),
        summary="Build the rollups of a month again from the events",
        description="For commands on the machine itself (`footfall verify --repair`): it concerns all "
        "workspaces, and takes seconds for each million events.",
        responses=refusals(
            {400: "The body is wrong.", 409: "The month's events are not all there any more.", **refused}
        ),
        status_code=200,
        tags=["Ledger"],
        security=[{"key": []}],
    )
    async def rebuild(request: Request[Any, Any, Any], data: JSONBody[Rebuild]) -> Rebuilt:
        if key_of(request).id != LOCAL_KEY.id:
            raise Denied("only a command on the machine itself may build rollups again", known=True)
        if rollups is None:
            raise Conflict("another process keeps the rollups")
        return Rebuilt(await rollups.rebuild(int(data.month.replace("-", ""))))

    return Router("/", route_handlers=[plan, change, rebuild])


async def _answer(retention: Retention, workspace_id: str) -> RetentionAnswer:
    now = int(datetime.now(UTC).timestamp() * 1000)
    raw, rollups = retention.settings
    announced = await retention.announced()
    months = await retention.plan(workspace_id)
    return RetentionAnswer(
        [_planned(each, now, announced.get(each.item)) for each in months],
        RetentionMeta(
            raw_days=_days(raw), rollup_days=_days(rollups), warnings=_warnings(raw, rollups, months)
        ),
    )


def _warnings(raw: float, rollups: float, months: Iterable[Month]) -> list[str]:
    """Of rollups that go before events do, here or at a site with days of its own."""
    longer = {each.site_id or "-" for each in months if each.kept > rollups}
    if raw <= rollups and not longer:
        return []
    where = f" (of {', '.join(sorted(longer))})" if raw <= rollups else ""
    said = (
        f"rollups are kept {spell_time(rollups)}, and events{where} longer: what is older than the rollups "
        "is answered from the events alone, which takes as long as they are many"
    )
    return [said]


def _days(kept: float) -> float | None:
    return None if kept == FOREVER else kept / DAY


def _planned(each: Month, now: Millis, announced: int | None) -> Planned:
    return Planned(
        month=f"{each.month // 100}-{each.month % 100:02}",
        site_id=each.site_id,
        events=each.events,
        newest=iso(each.newest),
        deleted_after=None if each.deleted_after is None else iso(each.deleted_after),
        due=each.is_due(now),
        announced=None if announced is None else iso(announced * 1000),
        unsliced=each.unsliced,
    )
