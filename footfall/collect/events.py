"""`POST /v1/events`: read, authenticate, accept each event, append, answer with verdicts."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from footfall.collect.accept import Acceptor, Refused, Sender
from footfall.collect.append import append
from footfall.collect.bodies import Batch, decode, inflate
from footfall.collect.client import read_caller, without_library
from footfall.collect.door import Door
from footfall.collect.http import CORS, Receive, Scope, Send, header, read_body, respond, respond_json
from footfall.collect.reasons import NoKey, WrongOrigin, event_reason, reason_of
from footfall.errors import Denied, Invalid, LogFull
from footfall.metrics import EVENTS_ACCEPTED, EVENTS_REJECTED
from footfall.model.reasons import Reason
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, Tally
from footfall.tenants.auth import authenticate
from footfall.tenants.model import Key, Site, Workspace

Verdict = dict[str, Any]

_AT_ONCE = 0.005  # seconds that a body takes that came with its head


async def post_events(door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 202 with verdicts once every accepted event is durable.

    Raises Invalid, TooLarge, Denied or LogFull for the request as a whole, already tallied.
    """
    received_at = int(time.time() * 1000)
    workspace_id = site_id = ""
    count = 1
    try:
        key = (
            await authenticate(scope["headers"], door.directory) if header(scope, b"authorization") else None
        )
        if key is not None:
            workspace_id = key.workspace_id
            if not key.may("ingest"):
                raise Denied("this key may not write events: it needs the scope ingest", known=True)
        began = time.monotonic()
        body = await read_body(scope, receive, door.settings.max_body)
        if key is not None and time.monotonic() - began > _AT_ONCE:
            key = await authenticate(scope["headers"], door.directory)  # it may have been revoked meanwhile
        encoding = header(scope, b"content-encoding").decode("latin-1").strip().lower()
        body = inflate(body, encoding, door.settings.max_inflated)
        batch = decode(
            body, header(scope, b"content-type").decode("latin-1").lower(), door.settings.max_events
        )
        count = max(1, len(batch.events))
        sender = await _sender(door, scope, batch, key, received_at)
        workspace_id, site_id = sender.workspace.id, sender.site_id
        record, verdicts, accepted = _accept(door, sender, batch)
        if accepted:
            queue = batch.queue_id or header(scope, b"footfall-queue").decode("latin-1")
            await append(door.log, queue[:200] or sender.site_id or workspace_id, record)
    except (Invalid, Denied, LogFull) as error:
        door.tallies.refuse(reason_of(error), count, workspace_id, site_id)
        raise
    _count(door, record, accepted)
    if not verdicts:
        await respond(
            send, 202, b'{"accepted":%d,"rejected":0,"results":[]}' % accepted, b"application/json", CORS
        )
        return
    rejected = sum(verdict["status"] == "rejected" for verdict in verdicts)
    await respond_json(send, 202, {"accepted": accepted, "rejected": rejected, "results": verdicts}, CORS)


def _accept(door: Door, sender: Sender, batch: Batch) -> tuple[Record, list[Verdict], int]:
    """The record, a verdict for each event that is not plainly ok, and the number accepted."""
    settings = door.settings
    acceptor = Acceptor(sender, door.visitors, settings.max_past, settings.max_future, settings.max_event)
    events: list[RawEvent] = []
    verdicts: list[Verdict] = []
    tallies: dict[tuple[str, Reason], int] = {}
    seen: set[bytes] = set()
    for index, incoming in enumerate(batch.events):
        try:
            if isinstance(incoming, Invalid):
                raise Refused(event_reason(incoming), str(incoming), incoming.field)
            event = acceptor.accept(incoming)
        except Refused as error:
            verdicts.append(
                {"index": index, "status": "rejected", "reason": error.reason, "field": error.field,
                 "message": str(error)}
            )  # fmt: skip
            _add(tallies, sender.site_id, error.reason)
            continue
        if event.client_id:
            if event.event_id in seen:
                verdicts.append({"index": index, "status": "duplicate", "reason": Reason.DUPLICATE})
                _add(tallies, event.site_id, Reason.DUPLICATE)
                continue
            seen.add(event.event_id)
        events.append(event)
    record = Record(
        FORMAT_VERSION,
        sender.received_at,
        sender.workspace.id,
        "api" if sender.key else "beacon",
        events,
        acceptor.visits,
        [Tally(site, reason, n) for (site, reason), n in tallies.items()],
        sender.key.id if sender.key else "",
    )
    return record, verdicts, len(events)


def _add(tallies: dict[tuple[str, Reason], int], site_id: str, reason: Reason) -> None:
    tallies[site_id, reason] = tallies.get((site_id, reason), 0) + 1


def _count(door: Door, record: Record, accepted: int) -> None:
    EVENTS_ACCEPTED.inc(accepted)
    for tally in record.tallies:
        EVENTS_REJECTED.labels(tally.reason).inc(tally.count)
        if not accepted:  # nothing to ride with: the ledger gets them with the next tally record
            door.tallies.refuse(Reason(tally.reason), tally.count, record.workspace_id, tally.site_id)


async def _sender(door: Door, scope: Scope, batch: Batch, key: Key | None, received_at: int) -> Sender:
    """Who sends this: a secret key of a workspace, or the public id of one site.

    Raises Denied when it is neither, or the page it comes from is not one of the site's.
    """
    named = {event.site_id for event in batch.events if not isinstance(event, Invalid) and event.site_id}
    site_id = _query_site(scope) or batch.site_id
    if key is None:
        site_id = site_id or next((e.site_id or "" for e in batch.events if not isinstance(e, Invalid)), "")
        site = await public_site(door, site_id, header(scope, b"origin").decode("latin-1"), required=True)
        workspace_id = site.workspace_id
    else:
        workspace_id = key.workspace_id
    sites: Mapping[str, bool] = {}
    if key is not None and (named or site_id):
        sites = {name: await _owns(door, workspace_id, name) for name in named | ({site_id} - {""})}
        if site_id and not sites[site_id]:
            raise Refused(Reason.UNKNOWN_SITE, "site_id: no site of this workspace has this id", "site_id")
    caller = read_caller(scope, door.proxies)
    codes = {
        e.short_code for e in batch.events if not isinstance(e, Invalid) and e.short_code and not e.link_id
    }
    links = {code: await door.directory.link("", code) for code in codes if len(code) <= 64}
    return Sender(
        workspace=await workspace_of(door, workspace_id),
        key=key,
        site_id=site_id,
        caller=caller if key is None else without_library(caller),
        received_at=received_at,
        sites=sites,
        links={code: link for code, link in links.items() if link and link.workspace_id == workspace_id},
    )


async def public_site(door: Door, site_id: str, page: str, *, required: bool) -> Site:
    """The site with that public id, if `page` (Origin or Referer) may send for it.

    `required`: a site with a list of origins insists on being told the page.
    """
    if not site_id:
        raise NoKey("who is this? Send a key (Authorization: Bearer ...), or a site's public id as site_id")
    site = await door.directory.site(site_id)
    if site is None:
        raise Refused(Reason.UNKNOWN_SITE, "site_id: there is no such site", "site_id")
    if site.origins and (page or required) and not _allowed(page, site.origins):
        raise WrongOrigin(
            f"this page may not send for the site; allowed are {', '.join(site.origins)}", known=True
        )
    return site


def _allowed(page: str, origins: tuple[str, ...]) -> bool:
    try:
        host = (urlsplit(page).hostname or "").lower()
    except ValueError:
        return False
    return any(
        host == origin or (origin.startswith("*.") and host.endswith(origin[1:]))
        for origin in origins
        if host
    )


def _query_site(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    if not query:
        return ""
    fields = parse_qs(query.decode("latin-1"), max_num_fields=50) if len(query) < 4096 else {}
    return (fields.get("site_id") or fields.get("site") or [""])[0]


async def _owns(door: Door, workspace_id: str, site_id: str) -> bool:
    site = await door.directory.site(site_id)
    return site is not None and site.workspace_id == workspace_id


async def workspace_of(door: Door, workspace_id: str) -> Workspace:
    """The workspace itself. Raises Denied when it was deleted."""
    workspace = await door.directory.workspace(workspace_id)
    if workspace is None:
        raise Denied("the workspace of this key is gone")
    return workspace
