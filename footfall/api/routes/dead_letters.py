"""`/api/v1/dead-letters`: what could not be stored, for keys with the scope admin."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct

from footfall.api.guard import allowed, key_of, parameters
from footfall.api.openapi import operation_asking
from footfall.api.problems import refusals
from footfall.api.views import Listed, listed
from footfall.model.ids import format_event_id
from footfall.model.record import JsonObject, SenderContext
from footfall.state.dead_letters.letter import DeadLetter, Status, parse_position
from footfall.state.dead_letters.letters import DeadLetters
from footfall.tenants.directory import Directory
from footfall.tenants.fields import MAX_PAGE

Asked = Request[Any, Any, Any]
InPath = Annotated[str, PathParameter(description="Its `position`, as the list shows it.")]

_MAX_BODY = 4096
_SHOWN = 4096
_ID = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REFUSALS = {
    400: "A parameter or field is unknown or wrong.",
    401: "Missing or unknown key.",
    403: "The key lacks the scope admin.",
    503: "The database is busy; try again after `Retry-After` seconds.",
}
_ONE = _REFUSALS | {404: "This workspace has no dead letter there."}

Reason = Annotated[str, Meta(min_length=1, max_length=64, description="Why they could not be stored.")]


class LetterView(Struct, frozen=True):
    """A dead letter. Its position names it, and is kept when it is stored after all."""

    position: str
    site_id: str
    reason: str
    detail: str
    status: Annotated[
        Status, Meta(description="`kept` until you decide, `due` for a retry, `retrying` just now.")
    ]
    retryable: Annotated[bool, Meta(description="False when nothing is left of a damaged record.")]
    events: int
    received_hour: datetime
    failed_at: datetime
    attempts: int
    backfilled: bool
    size: Annotated[int, Meta(description="Bytes of what is kept, or could not be read.")]
    digest: Annotated[
        str,
        Meta(description="SHA-256 in hex of a record of which an older version kept no more; else empty."),
    ]


class EventView(Struct, frozen=True):
    """The event as it would be stored, without what identifies the visitor."""

    event_id: str
    event_type: str
    event_version: int
    occurred_at: Annotated[datetime | None, Meta(description="Null when no calendar has that time.")]
    received_at: datetime
    source: str
    link_id: str
    short_code: str
    destination_url: str
    page_url: str
    referrer: str
    user_agent: str
    country_code: str
    properties: Annotated[JsonObject | str, Meta(description="As text, if they are no JSON object.")]


class WholeLetter(LetterView, frozen=True):
    """A dead letter and what it holds; `event` is null when nothing could be read."""

    event: EventView | None


class WithReason(Struct, frozen=True, forbid_unknown_fields=True):
    """Which letters."""

    reason: Reason


class Due(Struct, frozen=True):
    """How many letters are due now that were not before."""

    due: int


class Discarded(Struct, frozen=True):
    """How many letters were discarded."""

    discarded: int


def dead_letter_routes(letters: DeadLetters, directory: Directory) -> Router:
    """The routes of the dead letters."""
    return Router(
        "/api/v1/dead-letters",
        route_handlers=_handlers(letters, directory),
        tags=["Dead letters"],
        security=[{"key": []}],
        request_max_body_size=_MAX_BODY,
    )


def _handlers(letters: DeadLetters, directory: Directory) -> list[HTTPRouteHandler]:
    may_manage = allowed(directory, "admin")

    @get(
        summary="Dead letters",
        description="Events that could not be stored, newest first: why, and how often they were tried.",
        operation_id="dead_letters",
        guards=[may_manage, parameters("limit", "offset", "reason")],
        responses=refusals(_REFUSALS),
    )
    async def every(
        request: Asked,
        reason: Annotated[
            str | None, QueryParameter(min_length=1, max_length=64, description="Only with this reason.")
        ] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="How many at most.")] = 100,
        offset: Annotated[int, QueryParameter(ge=0, le=10**9, description="How many to pass over.")] = 0,
    ) -> Listed[LetterView]:
        page = await letters.page(key_of(request).workspace_id, limit, offset, reason)
        return listed([_view(letter) for letter in page.letters], page.total, limit, offset)

    @get(
        "/{position:str}",
        summary="One dead letter",
        description="With the event as it came.",
        operation_id="dead_letter",
        guards=[may_manage, parameters()],
        responses=refusals(_ONE),
    )
    async def one(request: Asked, position: InPath) -> WholeLetter:
        letter = await letters.show(key_of(request).workspace_id, *parse_position(position))
        return WholeLetter(**msgspec.structs.asdict(_view(letter)), event=_event(letter))

    @post(
        "/{position:str}/retry",
        status_code=202,
        summary="Try one again",
        description="The worker takes it from there; look at it again to see whether it is gone.",
        operation_id="retry_dead_letter",
        guards=[may_manage, parameters()],
        responses=refusals(_ONE | {409: "Nothing is left of the record to try."}),
    )
    async def retry(request: Asked, position: InPath) -> LetterView:
        return _view(await letters.retry(key_of(request).workspace_id, *parse_position(position)))

    @post(
        "/retry",
        status_code=202,
        summary="Try all with one reason again",
        description="The worker takes them from there, a few hundred at a time; each is counted once.",
        operation_id="retry_dead_letters",
        operation_class=operation_asking({"reason": "unprocessable"}),
        guards=[may_manage, parameters()],
        responses=refusals(_REFUSALS),
    )
    async def retry_all(request: Asked, data: JSONBody[WithReason]) -> Due:
        return Due(await letters.retry_all(key_of(request).workspace_id, data.reason))

    @delete(
        "/{position:str}",
        summary="Discard one",
        description="Its events are counted as dropped in the ledger, with the reason `discarded`.",
        operation_id="discard_dead_letter",
        guards=[may_manage, parameters()],
        responses=refusals(_ONE | {409: "The worker is trying it again just now."}),
    )
    async def discard(request: Asked, position: InPath) -> None:
        await letters.discard(key_of(request).workspace_id, *parse_position(position))

    @post(
        "/discard",
        status_code=200,
        summary="Discard all with one reason",
        description="Those that the worker is trying again just now stay.",
        operation_id="discard_dead_letters",
        operation_class=operation_asking({"reason": "unprocessable"}),
        guards=[may_manage, parameters()],
        responses=refusals(_REFUSALS),
    )
    async def discard_all(request: Asked, data: JSONBody[WithReason]) -> Discarded:
        return Discarded(await letters.discard_all(key_of(request).workspace_id, data.reason))

    return [every, one, retry, retry_all, discard, discard_all]


def _view(letter: DeadLetter) -> LetterView:
    return LetterView(
        position=letter.position,
        site_id=letter.site_id,
        reason=letter.reason,
        detail=letter.detail,
        status=letter.status,
        retryable=letter.retryable,
        events=letter.events,
        received_hour=_moment(letter.hour),
        failed_at=_moment(letter.failed_at),
        attempts=letter.attempts,
        backfilled=letter.backfilled,
        size=letter.size,
        digest=letter.digest,
    )


def _event(letter: DeadLetter) -> EventView | None:
    if letter.whole:  # nobody knew whose it was: it may be another workspace's
        return None
    try:
        record = letter.record()
    except ValueError:
        return None
    # Something is wrong with this event: whatever can be shown of it is.
    event = record.events[0]
    visit = record.visits[0] if record.visits else SenderContext()
    return EventView(
        event_id=format_event_id(event.event_id) if len(event.event_id) == _ID else event.event_id.hex(),
        event_type=event.event_type,
        event_version=event.event_version,
        occurred_at=_moment_if_any(event.occurred_at),
        received_at=_moment(record.received_at),
        source=record.source,
        link_id=event.link_id,
        short_code=event.short_code,
        destination_url=event.destination_url,
        page_url=event.page_url,
        referrer=event.referrer,
        user_agent=visit.user_agent,
        country_code=visit.country_code,
        properties=_properties(event.properties),
    )


def _properties(text: str) -> JsonObject | str:
    try:
        return msgspec.json.decode(text or "{}", type=JsonObject)
    except (ValueError, RecursionError):
        return text[:_SHOWN]


def _moment_if_any(ms: int) -> datetime | None:
    try:
        return _moment(ms)
    except OverflowError:
        return None


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
