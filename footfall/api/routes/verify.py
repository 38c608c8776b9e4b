"""`/api/v1/verify`: whether the store, the ledger and the log of a workspace say the same."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, Router, get
from litestar.params import QueryParameter
from msgspec import Meta, Struct

from footfall.api.guard import allowed, key_of, parameters
from footfall.api.problems import refusals
from footfall.errors import Invalid
from footfall.state.ranges import DAY, iso, resolve
from footfall.tenants.directory import Directory
from footfall.verify.findings import Check, Finding, Level, SiteFigures, VerifyResult
from footfall.verify.verifier import Verifier

_MOST_DAYS = 31

_REFUSED = {
    401: "Missing or unknown key.",
    403: "The key lacks the scope admin.",
    503: "The store, the database or the log does not answer; try again after `Retry-After`.",
}
_Start = Annotated[
    str | None, QueryParameter(description="First day or hour of receipt, ISO 8601. [yesterday]")
]
_End = Annotated[str | None, QueryParameter(description="Last day, or the hour before which to end. [now]")]


class Difference(Struct, frozen=True):
    """Two numbers of one site and hour of receipt that should be equal.

    An `error` breaks a promise, a `warning` lies within its limits. `examples` are positions,
    or ids.
    """

    level: Level
    check: Check
    site_id: str
    hour: str
    expected: int
    found: int
    examples: tuple[str, ...]


class Site(Struct, frozen=True, kw_only=True):
    """The events of one site received in the range.

    The outcomes are those of the ledger; `rows` stand in the store, `rows_in_flight` more belong
    to what is not closed yet; the log holds `log_received`, of which `log_missing` are not stored
    (duplicates, and what was discarded).
    """

    site_id: str
    received: int
    stored: int
    duplicate: int
    rejected: int
    dead_lettered: int
    dropped: int
    lost: int
    rows: int
    rows_in_flight: int
    log_received: int
    log_missing: int


class Verdict(Struct, frozen=True, kw_only=True):
    """`ok`: there is no finding that is an error. At most 1000 of `total` findings are listed."""

    ok: bool
    sites: list[Site]
    findings: list[Difference]
    total: int


class VerifyMeta(Struct, frozen=True, kw_only=True):
    """The hours that were compared, fewer than were asked for if the server was stopped; and what was not."""

    start: str
    end: str
    log_from: Annotated[
        str | None,
        Meta(description="Before this time the log no longer holds everything; null: it holds all of it."),
    ]
    notes: list[str]
    unreadable_records: Annotated[
        int,
        Meta(
            description="Records of the log that cannot be read, or could not when they were taken: whose "
            "they are, and how many events they hold, is unknown. What of them was stored before is there."
        ),
    ]


class VerifyAnswer(Struct, frozen=True):
    """The answer."""

    data: Verdict
    meta: VerifyMeta


class PieceOfRange(Struct, frozen=True):
    """Hours in which there is something to compare. `rows`: about how much."""

    start: str
    end: str
    rows: int


class PiecesAnswer(Struct, frozen=True):
    """The pieces of a range in order; in the hours between them there is nothing."""

    data: list[PieceOfRange]


def verify_routes(verifier: Verifier, directory: Directory, stop: asyncio.Event | None = None) -> Router:
    """The routes of the comparison; once `stop` is set it answers with what is done."""

    @get(
        "/api/v1/verify",
        guards=[allowed(directory, "admin"), parameters("start", "end")],
        operation_id="verify",
        summary="Whether the store holds what the ledger and the log say",
        description="Counts the events received in a range in the store, in the ledger and in the log, "
        f"each for itself, and compares. At most {_MOST_DAYS} days; a long range takes time.",
        responses=refusals(
            {
                400: "A parameter is unknown or wrong, or the range is too long to be counted in time.",
                **_REFUSED,
            }
        ),
        tags=["Ledger"],
        security=[{"key": []}],
    )
    async def verify(
        request: Request[Any, Any, Any],
        start: _Start = None,
        end: _End = None,
    ) -> VerifyAnswer:
        first, last = resolve(start, end, datetime.now(UTC))
        if last - first > _MOST_DAYS * DAY:
            raise Invalid(f"at most {_MOST_DAYS} days at once", field="start")
        return _answer(await verifier.run(first, last, key_of(request).workspace_id, stop))

    @get(
        "/api/v1/verify/pieces",
        guards=[allowed(directory, "admin"), parameters("start", "end")],
        operation_id="verify_pieces",
        summary="Which hours of a range have anything to compare",
        description="To be asked first for a long range: then ask for the comparison of one piece after the "
        "other, which shows how far it is, and leaves the answers of what was done when it is stopped.",
        responses=refusals(
            {
                400: "A parameter is unknown or wrong.",
                **_REFUSED,
            }
        ),
        tags=["Ledger"],
        security=[{"key": []}],
    )
    async def pieces(
        request: Request[Any, Any, Any],
        start: _Start = None,
        end: _End = None,
    ) -> PiecesAnswer:
        first, last = resolve(start, end, datetime.now(UTC))
        found = await verifier.pieces(first, last, key_of(request).workspace_id)
        return PiecesAnswer([PieceOfRange(iso(each.start), iso(each.end), each.rows) for each in found])

    return Router("/", route_handlers=[verify, pieces])


def _answer(result: VerifyResult) -> VerifyAnswer:
    return VerifyAnswer(
        Verdict(
            ok=not result.errors,
            sites=[_site(site) for site in result.sites],
            findings=[_difference(each) for each in result.findings],
            total=result.total,
        ),
        VerifyMeta(
            start=iso(result.start),
            end=iso(result.end),
            log_from=iso(result.log_from) if result.log_from > result.start else None,
            notes=result.notes,
            unreadable_records=result.unreadable,
        ),
    )


def _site(site: SiteFigures) -> Site:
    return Site(**{name: getattr(site, name) for name in Site.__struct_fields__})


def _difference(each: Finding) -> Difference:
    return Difference(
        each.level, each.check, each.site_id, iso(each.hour), each.expected, each.found, each.examples
    )
