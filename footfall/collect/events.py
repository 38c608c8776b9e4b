"""`POST /v1/events`: read, authenticate, accept each event, append, answer with verdicts."""

import time
from typing import Any

from msgspec import Struct

from footfall.collect.append import append
from footfall.collect.asgi import CORS, Receive, Scope, Send, header, read_body, respond, respond_json
from footfall.collect.body.inflate import UNCOMPRESSED, inflate_in_steps
from footfall.collect.body.lane import KEY
from footfall.collect.body.read import BodyLimits, DecodedEvents, decode_in_steps, decode_small
from footfall.collect.body.turns import Steps, at_once, in_turns
from footfall.collect.client import read_caller
from footfall.collect.door import Door
from footfall.collect.notes import Notes
from footfall.collect.reasons import NoKey, RefusedEvent, event_reason, reason_of
from footfall.collect.sender import find_sender, site_of_query
from footfall.collect.validate import Acceptor, Sender
from footfall.errors import Denied, Invalid, LogFull, TooMany
from footfall.http.limits import place
from footfall.metrics import EVENTS_ACCEPTED, EVENTS_REJECTED
from footfall.model.kinds import KINDS
from footfall.model.reasons import Reason
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, Tally
from footfall.model.times import Millis, now_ms
from footfall.runtime.fair import Asker
from footfall.tenants.auth import authenticate
from footfall.tenants.model import Key, Site

Verdict = dict[str, Any]

_AT_ONCE = 0.005  # seconds that a body takes that came with its head
_LONGEST_TOLD = 300  # characters of a field or a message
_FEW = 50  # events of which nobody needs a turn between them


class _Request(Struct):
    """What is known of a request so far: who sends it, and how many events."""

    received_at: Millis
    key: Key | None = None
    site: Site | None = None  # that of the query, without a key
    count: int = 1
    workspace_id: str = ""
    site_id: str = ""


class _Taken(Struct):
    """What became of the events of a request: the record, and a verdict for each that is not plainly ok."""

    record: Record
    verdicts: list[Verdict]
    queue: str

    @property
    def accepted(self) -> int:
        return len(self.record.events)


async def post_events(door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 202 with verdicts once every accepted event is durable.

    Raises Invalid, TooLarge, Denied, TooMany or LogFull for the request as a whole, already tallied.
    """
    request = _Request(now_ms())
    try:
        key = request.key = (
            await authenticate(scope["headers"], door.directory) if header(scope, b"authorization") else None
        )
        if key is None:
            request.site = await site_of_query(door, scope)
        else:
            request.workspace_id = key.workspace_id
            if not key.may("ingest"):
                raise Denied("this key may not write events: it needs the scope ingest", known=True)
        body = await _read(door, scope, receive, request)
        taken = await _take_body(door, scope, body, request)
        if taken.accepted:
            await append(door.log, taken.queue, taken.record)
    except (Invalid, Denied, LogFull, TooMany) as error:
        door.tallies.refuse(reason_of(error), request.count, request.workspace_id, request.site_id)
        raise
    _count(door, taken.record, taken.accepted)
    if not taken.verdicts:
        await respond(
            send,
            202,
            b'{"accepted":%d,"rejected":0,"results":[]}' % taken.accepted,
            b"application/json",
            CORS,
        )
        return
    rejected = sum(verdict["status"] == "rejected" for verdict in taken.verdicts)
    answer = {"accepted": taken.accepted, "rejected": rejected, "results": taken.verdicts}
    await respond_json(send, 202, answer, CORS)


async def _read(door: Door, scope: Scope, receive: Receive, request: _Request) -> bytes:
    """The body as it was sent."""
    began = time.monotonic()
    body = await read_body(scope, receive, door.settings.max_body)
    if time.monotonic() - began > _AT_ONCE:  # who sends it may have lost the right to meanwhile
        if request.key is not None:
            request.key = await authenticate(scope["headers"], door.directory)
        else:
            request.site = await site_of_query(door, scope)
    return body


def _inflating(door: Door, scope: Scope, body: bytes, request: _Request) -> Steps[bytes] | None:
    """What undoes the body's compression; None if it has none."""
    encoding = header(scope, b"content-encoding").decode("latin-1").strip().lower()
    if encoding in UNCOMPRESSED:
        return None
    if request.key is None and request.site is None:
        raise NoKey(
            "who is this? A compressed body is read once that is known: send a key "
            "(Authorization: Bearer ...), or write the site's public id into the URL, ?site_id=..."
        )
    limit = door.settings.max_inflated
    if request.key is None:
        limit = min(limit, door.settings.max_inflated_public)
    return inflate_in_steps(body, encoding, limit)


def _sender_path(door: Door, scope: Scope, request: _Request) -> Asker:
    """Who sends this, for the lane. A site's id, which every page shows, says no more than an address."""
    if request.key is not None:
        return KEY, request.key.workspace_id, request.key.id
    return "site" if request.site is not None else "nobody", place(read_caller(scope, door.proxies).ip)


async def _take_body(door: Door, scope: Scope, body: bytes, request: _Request) -> _Taken:
    """What becomes of the events of a body. What may be long waits for its turn, as it was sent."""
    limits = BodyLimits(door.settings.max_events, door.settings.max_event)
    content_type = header(scope, b"content-type").decode("latin-1").lower()
    queue = header(scope, b"footfall-queue").decode("latin-1")
    inflating = _inflating(door, scope, body, request)
    if inflating is not None:
        try:
            next(inflating)  # which is enough for most
        except StopIteration as end:
            body, inflating = end.value, None
    batch = decode_small(body, content_type, limits) if inflating is None else None
    if batch is not None and len(batch.events) <= _FEW:
        sender = await _find_sender(door, scope, batch, request)
        return at_once(_accept(door, sender, batch, batch.queue_id or queue, in_steps=False))
    async with door.lane.turn(_sender_path(door, scope, request)):
        if inflating is not None:
            body = await in_turns(inflating)
        batch = batch or await in_turns(decode_in_steps(body, content_type, limits))
        sender = await _find_sender(door, scope, batch, request)
        return await in_turns(_accept(door, sender, batch, batch.queue_id or queue, in_steps=True))


async def _find_sender(door: Door, scope: Scope, batch: DecodedEvents, request: _Request) -> Sender:
    request.count = max(1, len(batch.events))
    sender = await find_sender(door, scope, batch, request.key, request.site, request.received_at)
    request.workspace_id, request.site_id = sender.workspace.id, sender.site_id
    return sender


def _accept(door: Door, sender: Sender, batch: DecodedEvents, queue: str, *, in_steps: bool) -> Steps[_Taken]:
    settings = door.settings
    acceptor = Acceptor(sender, door.visitors, settings.max_past, settings.max_future, settings.max_event)
    notes = Notes(sender, settings.max_past, settings.max_future)
    events: list[RawEvent] = []
    verdicts: list[Verdict] = []
    tallies: dict[tuple[str, Reason], int] = {}
    seen: set[bytes] = set()
    for index, incoming in enumerate(batch.events):
        if in_steps:
            yield
        try:
            if isinstance(incoming, Invalid):
                raise RefusedEvent(event_reason(incoming), str(incoming), incoming.field)
            event = acceptor.accept(incoming)
        except RefusedEvent as error:
            verdicts.append(
                {"index": index, "status": "rejected", "reason": error.reason, "field": _cut(error.field),
                 "message": _cut(str(error))}
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
        link = incoming.link_id or ""
        if (event.occurred_at_original or link or event.event_type not in KINDS) and (
            note := notes.about(index, event, str(link))
        ):
            verdicts.append(note | {"message": _cut(note["message"])})
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
    return _Taken(record, verdicts, queue[:200] or sender.site_id or sender.workspace.id)


def _cut(text: str) -> str:
    """What is told of a refused event is not longer than what it may be."""
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}..."


def _add(tallies: dict[tuple[str, Reason], int], site_id: str, reason: Reason) -> None:
    tallies[site_id, reason] = tallies.get((site_id, reason), 0) + 1


def _count(door: Door, record: Record, accepted: int) -> None:
    EVENTS_ACCEPTED.inc(accepted)
    for tally in record.tallies:
        EVENTS_REJECTED.labels(tally.reason).inc(tally.count)
        if not accepted:  # nothing to ride with: the ledger gets them with the next tally record
            door.tallies.refuse(Reason(tally.reason), tally.count, record.workspace_id, tally.site_id)
