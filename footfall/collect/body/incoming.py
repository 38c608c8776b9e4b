"""One event as a client sends it: the fields of the wire, strictly typed.

Decoding goes two ways. An event in our own spelling is decoded by msgspec in one go
(1 µs). Anything else is decoded as a plain object, respelled, its unknown fields moved
into `properties` for custom kinds (ignored for known ones), and then converted, which
also yields the message that names the wrong field.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from footfall.collect.body.aliases import respell
from footfall.errors import Invalid, TooLarge
from footfall.json_words import in_words
from footfall.model.kinds import KINDS

Id = Annotated[str, Meta(max_length=200)]


class MissingEventType(Invalid):
    """The event does not say what kind it is."""


class Incoming(Struct, forbid_unknown_fields=True, gc=False):
    """An event on the wire.

    Who the visitor is (`ip_address`, `user_agent`, place, device, program, bot or not) and `source` are
    believed from senders with a secret key only.
    """

    event_type: Annotated[str, Meta(min_length=1, max_length=100)]
    event_id: Id | None = None
    occurred_at: datetime | int | float | None = None  # ISO 8601, or Unix seconds or milliseconds
    site_id: Id | None = None
    visitor_id: Id | int | None = None
    session_id: Id | int | None = None
    page_url: str | None = None
    referrer: str | None = None
    properties: dict[str, Any] | None = None
    event_version: Annotated[int, Meta(ge=1, le=65535)] = 1
    link_id: Id | None = None
    short_code: Id | None = None
    destination_url: str | None = None
    variant: Id | None = None
    via_click_id: Id | None = None
    language: Id | None = None
    timezone: Id | None = None
    sample_weight: Annotated[float, Meta(gt=0, le=1_000_000)] = 1.0
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    ip_address: Id | None = None
    user_agent: str | None = None
    country_code: Annotated[str, Meta(pattern="^([A-Za-z][A-Za-z0-9]|-{1,2})?$")] | None = None
    region: Id | None = None
    city: Id | None = None
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    short_domain: str | None = None  # host of `short_code`; none: the installation's own
    source: str | None = None  # the word of a keyed sender for itself
    device_type: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    is_bot: bool | None = None
    bot_name: str | None = None


class Envelope(Struct, forbid_unknown_fields=True):
    """`{"events": [...]}`, with what may stand beside it."""

    events: list[Incoming]
    site_id: str | None = None
    queue_id: str | None = None
    source: str | None = None


class RawEnvelope(Struct):
    """The same, with each event still as bytes, and any spelling of its neighbours."""

    events: list[msgspec.Raw]
    site_id: str | None = None
    site: str | None = None
    site_by_camel: str | None = field(default=None, name="siteId")
    queue_id: str | None = None
    source: str | None = None

    @property
    def site_name(self) -> str:
        """The site, however it is spelled; "" for none."""
        return self.site_id or self.site or self.site_by_camel or ""


_MOST_FIELDS = 1000  # far more than could be kept

FIELDS = frozenset(Incoming.__struct_fields__)

_event = msgspec.json.Decoder(Incoming)
_PATH = re.compile(r"`\$(?:\[[^\]]*\])*\.?([^`]*)`$")


def decode_event(data: bytes | memoryview) -> Incoming:
    """Decode one event in any accepted spelling. Raises Invalid, naming the field."""
    try:
        return _event.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _convert(data)


def _convert(data: bytes | memoryview) -> Incoming:
    try:
        plain: Any = msgspec.json.decode(data)
    except RecursionError:
        raise Invalid("the event is nested too deeply") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise Invalid(f"the event is not valid JSON: {error}") from None
    if not isinstance(plain, dict):
        raise Invalid("an event must be a JSON object")
    return event_of(plain)  # pyright: ignore[reportUnknownArgumentType] -- JSON objects have str keys


def event_of(plain: Mapping[str, Any]) -> Incoming:
    """An event of its decoded JSON, in any accepted spelling. Raises Invalid, naming the field."""
    if len(plain) > _MOST_FIELDS:
        raise TooLarge(f"the event has more than {_MOST_FIELDS} fields")
    event = respell(plain, FIELDS)
    kind = event.get("event_type")
    if kind is None or kind == "":
        raise MissingEventType(
            'event_type is missing: name the kind of event, for example "page_view"', field="event_type"
        )
    unknown = [name for name in event if name not in FIELDS]
    if unknown:
        _keep_unknown(event, unknown, kind)
    try:
        return msgspec.convert(event, Incoming)
    except msgspec.ValidationError as error:
        raise explain(error) from None
    except RecursionError:
        raise Invalid("the event is nested too deeply") from None


def _keep_unknown(event: dict[str, Any], unknown: list[str], kind: object) -> None:
    known = KINDS.get(kind) if isinstance(kind, str) else None
    keep = None if known is None else set(known.properties.__struct_fields__)
    extra = {name: event.pop(name) for name in unknown}
    kept = extra if keep is None else {name: extra[name] for name in unknown if name in keep}
    given = event.get("properties")
    if kept and (given is None or isinstance(given, dict)):
        event["properties"] = kept | (given or {})  # pyright: ignore[reportUnknownArgumentType] -- as above


def explain(error: msgspec.ValidationError, prefix: str = "") -> Invalid:
    """Msgspec's message as ours: what was expected, and at which field."""
    text = str(error)
    match = _PATH.search(text)
    field = match.group(1) if match else ""
    if not field and (missing := re.search(r"missing required field `([^`]+)`", text)):
        field = missing.group(1)
    field = prefix + field if field else prefix.rstrip(".")
    message = in_words(text, field)
    return Invalid(f"{field}: {message}" if field else message, field=field)
