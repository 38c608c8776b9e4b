"""Clicks that other services write to a topic: read, accepted as from a key, appended, then committed.

Who may write to the topic is trusted like an admin key. A message that is no event stands in the record
all the same, and becomes a dead letter that says where it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import msgspec

from footfall.collect.append import append
from footfall.collect.body.incoming import Incoming, event_of
from footfall.collect.door import Door
from footfall.collect.sender import links_by_id, service_sender, workspaces_by_id
from footfall.collect.validate import Acceptor
from footfall.errors import Invalid, LogFull, Retryable
from footfall.metrics import EVENTS_ACCEPTED, TOPIC_MALFORMED
from footfall.model.ids import format_event_id, parse_event_id
from footfall.model.record import FORMAT_VERSION, RawEvent, Record, SenderContext, malformed_message
from footfall.model.times import now_ms
from footfall.tenants.model import DEFAULT_WORKSPACE, Key, Link, Workspace
from footfall.topics.inbox import Inbox, Received

_BYTES = 4 << 20  # of the messages of a record, about
_ZEROS = {"latitude": 0, "longitude": 0}  # what services write that do not know the place


class _Decoded(NamedTuple):
    """A message, and its event or what is wrong with it."""

    message: Received
    workspace_id: str
    event: Incoming | Invalid


class TopicClicks:
    """Takes messages to the log. `full`: whether the dead letters have no room for many more."""

    def __init__(self, door: Door, inbox: Inbox, full: Callable[[], Awaitable[bool]]) -> None:
        self._door = door
        self._inbox = inbox
        self._full = full
        self._taken: Sequence[Received] = ()  # and not all in the log yet
        self._left: list[tuple[str, Record]] | None = None  # of them, what is not in the log yet
        self._safe: list[Received] = []  # in the log, and not committed yet

    async def work(self) -> bool:
        """A round; returns whether there was something. Raises Retryable, and goes on where it was.

        More is taken even while what is safe cannot be committed: a member that takes nothing is no member.
        """
        if not self._taken:
            self._taken = await self._inbox.take()
            self._left = None
        if self._taken:
            if self._left is None:
                self._left = await self._records(self._taken)
            while self._left:
                await self._append(*self._left[0])
                del self._left[0]
            self._safe = _last_of_each((*self._safe, *self._taken))
        found, self._taken = bool(self._taken), ()
        if self._safe:
            await self._inbox.done(self._safe)
            self._safe = []
        return found

    async def _append(self, key: str, record: Record) -> None:
        try:
            await append(self._door.log, key, record)
        except LogFull as error:
            raise Retryable(f"the log takes no clicks of the topic now: {error}") from error
        good = sum(bool(event.event_id) for event in record.events)
        EVENTS_ACCEPTED.inc(good)
        TOPIC_MALFORMED.inc(len(record.events) - good)

    async def _records(self, messages: Sequence[Received]) -> list[tuple[str, Record]]:
        """What is to be appended, with its routing key: the records of each workspace."""
        most = self._door.settings.max_event
        decoded = await self._with_workspaces([_decode(message, most) for message in messages])
        named = {DEFAULT_WORKSPACE, *(each.workspace_id for each in decoded)}
        workspaces = await workspaces_by_id(self._door, named)
        by_workspace: dict[str, list[_Decoded]] = {}
        for each in decoded:
            mine = each
            if each.workspace_id not in workspaces:
                wrong = Invalid("workspace_id: there is no such workspace")
                mine = each._replace(workspace_id=DEFAULT_WORKSPACE, event=wrong)
            by_workspace.setdefault(mine.workspace_id, []).append(mine)
        records = [
            (_routing_key(part), await self._record(workspaces[name], part))
            for name, some in by_workspace.items()
            for part in _parts(some)
        ]
        malformed = any(not event.event_id for _, record in records for event in record.events)
        if malformed and await self._full():
            raise Retryable("there is little room for dead letters, and a message of the topic would be one")
        return records

    async def _with_workspaces(self, decoded: Sequence[_Decoded]) -> list[_Decoded]:
        """Each with the name of its workspace: what it says, else that of its link, else the default one."""
        linked = {
            each.event.link_id
            for each in decoded
            if not each.workspace_id and isinstance(each.event, Incoming) and each.event.link_id
        }
        links = await links_by_id(self._door, linked)
        return [each._replace(workspace_id=_workspace_of(each, links)) for each in decoded]

    async def _record(self, workspace: Workspace, part: Sequence[_Decoded]) -> Record:
        received_at = now_ms()
        settings = self._door.settings
        key = Key("", workspace.id, self._inbox.topic, ("admin",))
        good = [each.event for each in part if isinstance(each.event, Incoming)]
        sender = await service_sender(self._door, workspace, key, good, received_at)
        acceptor = Acceptor(
            sender, self._door.visitors, settings.max_past, settings.max_future, settings.max_event
        )
        events: list[RawEvent] = []
        for message, _, event in part:
            try:
                if isinstance(event, Invalid):
                    raise event
                events.append(acceptor.accept(event))
            except Invalid as error:
                place = f"{self._inbox.topic} partition {message.partition} offset {message.offset}"
                events.append(malformed_message(received_at, place, _problem(error)))
        source = f"topic:{self._inbox.topic}"
        visits = acceptor.visits or [SenderContext()]
        return Record(FORMAT_VERSION, received_at, workspace.id, source, events, visits)


def _decode(message: Received, max_event: int) -> _Decoded:
    workspace_id = ""
    try:
        if len(message.value) > 2 * max_event:
            raise Invalid(f"the message has {len(message.value)} bytes; {2 * max_event} are allowed")
        plain = _filled(message.value)
        workspace_id = _workspace_id(plain.pop("workspace_id", None), plain.pop("workspaceId", None))
        event = event_of(plain)
        event.occurred_at = message.written_at if event.occurred_at is None else event.occurred_at
        event.event_id = _id(event.event_id, message)
    except Invalid as error:
        return _Decoded(message, workspace_id, error)
    return _Decoded(message, workspace_id, event)


def _filled(value: bytes) -> dict[str, Any]:
    """The object in a message, without its empty fields: those are found out here. Raises Invalid."""
    try:
        plain: Any = msgspec.json.decode(value)
    except RecursionError:
        raise Invalid("the message is nested too deeply") from None
    except (msgspec.DecodeError, ValueError):
        raise Invalid("the message is not valid JSON") from None
    if not isinstance(plain, dict):
        raise Invalid("the message is not a JSON object")
    given = cast("Mapping[str, Any]", plain)
    filled = {name: content for name, content in given.items() if content not in (None, "")}
    if not (filled.keys() & {"country", "country_code", "region", "city"}) and all(
        filled.get(name) == zero for name, zero in _ZEROS.items()
    ):
        filled = {name: content for name, content in filled.items() if name not in _ZEROS}
    return filled


def _workspace_of(decoded: _Decoded, links: Mapping[str, Link]) -> str:
    event = decoded.event
    link = links.get(event.link_id or "") if isinstance(event, Incoming) else None
    return decoded.workspace_id or (link.workspace_id if link else DEFAULT_WORKSPACE)


def _id(given: str | None, message: Received) -> str:
    """A UUID for what a service calls its event, or else for the place of the message."""
    if not given:
        return format_event_id(message.id)
    try:
        return format_event_id(parse_event_id(given))
    except ValueError:
        digest = blake2b(given.encode("utf-8", "surrogatepass"), digest_size=16, person=b"footfall topic")
        return format_event_id(digest.digest())


def _workspace_id(*spelled: object) -> str:
    """The workspace that a message names; "" for none. Raises Invalid."""
    given = next((each for each in spelled if each is not None), "")
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise Invalid("workspace_id: a text", field="workspace_id")
    return str(given)[:200]


def _problem(error: Invalid) -> str:
    """What is wrong, without a value of the message: the text up to where one may follow."""
    return str(error).partition("'")[0].partition('"')[0].strip()[:120]


def _last_of_each(messages: Sequence[Received]) -> list[Received]:
    """The last message of each partition."""
    return list({message.partition: message for message in messages}.values())


def _routing_key(part: Sequence[_Decoded]) -> str:
    for each in part:
        if isinstance(each.event, Incoming) and each.event.link_id:
            return each.event.link_id
    return part[0].workspace_id


def _parts(decoded: Sequence[_Decoded]) -> list[Sequence[_Decoded]]:
    """In their order, in parts that a record can hold."""
    parts: list[Sequence[_Decoded]] = []
    begin = size = 0
    for index, each in enumerate(decoded):
        size += len(each.message.value)
        if size > _BYTES and index > begin:
            parts.append(decoded[begin:index])
            begin, size = index, len(each.message.value)
    return [*parts, decoded[begin:]]
