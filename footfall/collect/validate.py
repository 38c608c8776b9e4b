"""From an event on the wire to the event in the log: what a sender may say, times, identities.

This is the only per-event Python at the door, so it looks before it works: text that is
short and clean, properties that are absent, times that are now, cost one comparison each.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from footfall.collect.body.incoming import Incoming, explain
from footfall.collect.client import Caller
from footfall.collect.public import LONG, check_public, check_public_value, size_of
from footfall.collect.reasons import RefusedEvent
from footfall.collect.sender_context import SenderContexts
from footfall.enrich.address import client_address
from footfall.enrich.geo import NOWHERE, country_of
from footfall.enrich.page import Utm, merged_campaign
from footfall.enrich.text import preferred_language, without_controls
from footfall.enrich.told import device_type_of
from footfall.enrich.visitor import client_session, client_visitor, public_event_id
from footfall.errors import Invalid, TooLarge
from footfall.model.ids import parse_event_id, uuid7
from footfall.model.kinds import KINDS, Conversion
from footfall.model.properties import check
from footfall.model.reasons import Reason
from footfall.model.record import NIL_ID, NOTHING_TOLD, RawEvent, SenderContext, Told, is_our_source
from footfall.model.times import DAY_MS, Millis, to_millis
from footfall.tenants.model import Key, Link, Workspace

_SHORT = 200
_NOWHERE: dict[str, Any] = {name: value for name, value in NOWHERE._asdict().items() if name != "asn"}
_MS = 100_000_000_000  # a number above this is milliseconds, below it seconds
_FIRST, _LAST = 1, 4_102_444_800_000  # 1970 and 2100: what occurred_at may be at all; 0 is unknown

# Kinds whose properties have types to check.
_TYPED = {kind.name: kind for kind in KINDS.values() if kind.properties.__struct_fields__}


def _of_no_site(_url: str, _site_id: str) -> bool:
    return False


class Sender(Struct):
    """Who sends a request, and what was looked up for it. `key` is None for a site's public id."""

    workspace: Workspace
    key: Key | None
    site_id: str
    caller: Caller
    received_at: Millis
    sites: Mapping[str, str]  # ids of the sites that it may send for, by id or domain as the events name them
    links: Mapping[tuple[str, str], Link]  # by domain and short code, as the events name them
    own_links: Mapping[str, Link] = {}  # by the ids that events name
    source: str = ""  # its word for itself, of all events that say none
    is_page_of: Callable[[str, str], bool] = _of_no_site  # of a URL and a site


class Acceptor:
    """Accepts the events of one request, one after the other."""

    def __init__(
        self, sender: Sender, visitors: SenderContexts, max_past: float, max_future: float, max_event: int
    ) -> None:
        self._sender = sender
        self._visitors = visitors
        self._oldest = (
            0 if sender.key and sender.key.may("admin") else sender.received_at - to_millis(max_past)
        )
        self._newest = sender.received_at + to_millis(max_future)
        self._max_event = max_event
        self._early = visitors.session_timeout
        self._devices: dict[tuple[int, str, str], int] = {}
        self._visit_of: dict[object, int] = {}
        self.visits: list[SenderContext] = []

    def accept(self, event: Incoming) -> RawEvent:
        """The event as it goes to the log. Raises RefusedEvent."""
        sender = self._sender
        kind = event.event_type
        if not kind.isprintable() or kind.isspace():
            raise RefusedEvent(Reason.INVALID_FIELD, "event_type: printable characters only", "event_type")
        if sender.key is None:
            check_public(event)
        given = event.occurred_at
        at = sender.received_at if given is None else _milliseconds(given)
        original = 0
        if not self._oldest <= at <= self._newest:
            original, at = min(max(at, _FIRST), _LAST), sender.received_at
        site = event.site_id or sender.site_id
        if event.site_id and event.site_id != sender.site_id:
            site = self._site(event.site_id)
        visit, caller = self._visit(event)
        device = self._device(sender.workspace.id, caller, at)
        previous = 0
        if at % DAY_MS < self._early and not event.visitor_id:
            previous = self._device(sender.workspace.id, caller, at - DAY_MS)
        secret = sender.workspace.secret
        link_id, code, destination = event.link_id or "", event.short_code or "", event.destination_url or ""
        if link_id and (link := sender.own_links.get(link_id)):
            code, destination = code or link.code, destination or link.url
        elif code and not link_id and (link := sender.links.get((event.short_domain or "", code))):
            link_id, destination = link.id, destination or link.url
        return RawEvent(
            event_id=self._event_id(event.event_id, site) if event.event_id else uuid7(sender.received_at),
            event_type=kind,
            occurred_at=at,
            visit=visit,
            site_id=site,
            visitor_id=client_visitor(secret, str(event.visitor_id)) if event.visitor_id else device,
            device_hash=device,
            page_url=_text(event.page_url, LONG),
            referrer=_text(event.referrer, LONG),
            properties=self._properties(event),
            link_id=_text(link_id, _SHORT),
            short_code=_text(code, _SHORT),
            destination_url=_text(destination, LONG),
            session_id=client_session(secret, str(event.session_id)) if event.session_id else 0,
            client_id=bool(event.event_id),
            occurred_at_original=original,
            event_version=event.event_version,
            variant=_text(event.variant, _SHORT),
            via_click_id=_id(event.via_click_id, "via_click_id") if event.via_click_id else NIL_ID,
            sample_weight=event.sample_weight,
            utm=_campaign(event, destination) if kind == "click" and destination else _utm(event),
            previous_device=previous,
            sent_by=_sent_by(event.source or sender.source) if sender.key else "",
            own_referrer=bool(event.referrer) and sender.is_page_of(event.referrer or "", site),
        )

    def _event_id(self, text: str, site_id: str) -> bytes:
        """The client's id; without a key one of a space of its own, where it meets no id that a key sent."""
        sender = self._sender
        event_id = _id(text, "event_id")
        return event_id if sender.key else public_event_id(sender.workspace.secret, site_id, event_id)

    def _site(self, name: str) -> str:
        """The id of the site that an event names. Raises RefusedEvent."""
        sender = self._sender
        site_id = sender.sites.get(name)
        if site_id:
            return site_id
        if sender.key is None:
            raise RefusedEvent(
                Reason.FORBIDDEN,
                f"site_id: a request without a key may only send events of one site, here {sender.site_id}",
                "site_id",
            )
        raise RefusedEvent(Reason.UNKNOWN_SITE, "site_id: no site of this workspace has this id", "site_id")

    def _visit(self, event: Incoming) -> tuple[int, Caller]:
        """The index of the event's visit, and its caller: that of the request unless a key says otherwise."""
        caller = self._sender.caller
        told = self._sender.key is not None and bool(
            event.ip_address is not None
            or event.user_agent is not None
            or event.country_code is not None
            or event.region is not None
            or event.city is not None
            or event.latitude is not None
            or event.device_type
            or event.browser
            or event.os
            or event.is_bot is not None
            or event.bot_name
        )
        if not told:
            memo: object = (event.language, event.timezone)
        else:
            caller = _override(caller, event)
            memo = (caller, event.language, event.timezone, event.country_code, event.region, event.city,
                    event.latitude, event.longitude, event.device_type, event.browser, event.browser_version,
                    event.os, event.os_version, event.is_bot, event.bot_name)  # fmt: skip
        index = self._visit_of.get(memo)
        if index is None:
            visit = self._visitors.visit(caller)
            if told or event.language or event.timezone:
                visit = _context(visit, event, believed=told)
            index = self._visit_of[memo] = len(self.visits)
            self.visits.append(visit)
        return index, caller

    def _device(self, workspace_id: str, caller: Caller, at: int) -> int:
        memo = (at // DAY_MS, caller.ip, caller.user_agent)
        device = self._devices.get(memo)
        if device is None:
            device = self._devices[memo] = self._visitors.device(workspace_id, caller, at)
        return device

    def _properties(self, event: Incoming) -> str:
        properties = event.properties
        typed = _TYPED.get(event.event_type)
        if typed is not None and event.event_version <= typed.version:
            try:
                checked = msgspec.convert(properties or {}, typed.properties)
            except msgspec.ValidationError as error:
                problem = explain(error, "properties.")
                raise RefusedEvent(Reason.INVALID_PROPERTY, str(problem), problem.field) from None
            if self._sender.key is None and isinstance(checked, Conversion):
                check_public_value(checked)
        if not properties:
            return ""
        try:
            text = check(properties)
        except TooLarge as error:
            raise RefusedEvent(Reason.EVENT_TOO_LARGE, str(error), error.field) from None
        except Invalid as error:
            raise RefusedEvent(Reason.INVALID_PROPERTY, str(error), error.field) from None
        if (size := size_of(text)) > self._max_event:
            raise RefusedEvent(
                Reason.EVENT_TOO_LARGE,
                f"properties: {size} bytes; {self._max_event} are allowed",
                "properties",
            )
        return text


def _milliseconds(given: datetime | float) -> int:
    if isinstance(given, datetime):
        return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)
    if not -2e13 < given < 2e13:
        raise RefusedEvent(
            Reason.INVALID_FIELD,
            "occurred_at: ISO 8601, or Unix time in seconds or milliseconds",
            "occurred_at",
        )
    return int(given if abs(given) > _MS else given * 1000)


def _id(text: str, field: str) -> bytes:
    try:
        return parse_event_id(text)
    except ValueError:
        raise RefusedEvent(Reason.INVALID_FIELD, f"{field}: a UUID or a ULID", field) from None


def _text(value: str | None, limit: int) -> str:
    if not value:
        return ""
    return value if len(value) <= limit and value.isprintable() else without_controls(value)[:limit]


def _campaign(event: Incoming, destination: str) -> Utm | None:
    """Of a click: what its sender says, else the URL that was visited, else the link's target."""
    written = merged_campaign((event.page_url or "").partition("?")[2], destination)
    said = _utm(event)
    if said is None or written is None:
        return said or written
    return tuple(own or theirs for own, theirs in zip(said, written, strict=True))  # pyright: ignore[reportReturnType]  as many


def _utm(event: Incoming) -> tuple[str, str, str, str, str] | None:
    if not (
        event.utm_source or event.utm_medium or event.utm_campaign or event.utm_term or event.utm_content
    ):
        return None
    return (
        _text(event.utm_source, _SHORT),
        _text(event.utm_medium, _SHORT),
        _text(event.utm_campaign, _SHORT),
        _text(event.utm_term, _SHORT),
        _text(event.utm_content, _SHORT),
    )


def _override(caller: Caller, event: Incoming) -> Caller:
    """The caller that a keyed sender speaks for. Raises RefusedEvent for what is no address."""
    told = None if event.ip_address is None else event.ip_address.strip()
    address = client_address(told) if told else told
    if told and not address:
        raise RefusedEvent(
            Reason.INVALID_FIELD, "ip_address: an IPv4 or an IPv6 address, or a list of them", "ip_address"
        )
    return Caller(
        ip=caller.ip if address is None else address,
        user_agent=caller.user_agent if event.user_agent is None else _text(event.user_agent, 1000),
        client_hints=caller.client_hints if event.user_agent is None else "",
        language=caller.language,
        referrer=caller.referrer,
        host=caller.host,
    )


def _sent_by(word: str | None) -> str:
    text = _text(word, _SHORT)
    return "" if not text or is_our_source(text) else text


def _context(visit: SenderContext, event: Incoming, *, believed: bool) -> SenderContext:
    """The visit with what the event itself says; a told place replaces the looked-up one as a whole.

    `believed`: a key says so. Language and time zone are believed in any case.
    """
    told_place = believed and any(
        part is not None for part in (event.country_code, event.region, event.city, event.latitude)
    )
    place: dict[str, Any] = {}
    if told_place:
        place = _NOWHERE | {
            "country_code": country_of(event.country_code or ""),
            "region": _text(event.region, _SHORT),
            "city": _text(event.city, _SHORT),
            "latitude": event.latitude,
            "longitude": event.longitude,
        }
    if timezone := _text(event.timezone, 64):
        place["timezone"] = timezone
    return msgspec.structs.replace(
        visit,
        language=(preferred_language(event.language) if event.language else "") or visit.language,
        told=_told(event) if believed else None,
        **place,
    )


def _told(event: Incoming) -> Told | None:
    told = Told(
        device_type_of(event.device_type) if event.device_type else "",
        _text(event.browser, _SHORT),
        _text(event.browser_version, _SHORT),
        _text(event.os, _SHORT),
        _text(event.os_version, _SHORT),
        event.is_bot,
        _text(event.bot_name, _SHORT),
    )
    return None if told == NOTHING_TOLD else told
