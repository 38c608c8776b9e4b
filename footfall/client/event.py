"""From the arguments of `track` to the bytes of an event: made once, sent as often as it takes."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec

from footfall.model.ids import format_event_id, uuid7


class Envelope(TypedDict, total=False):
    """What may be said about an event beside its type and its properties.

    `occurred_at`: an aware datetime, ISO 8601 text, or Unix time in seconds or milliseconds; when
    `track` is called, by default. `event_id`: a UUID or a ULID; the door counts an id once. Those from
    `ip_address` on, but for `short_domain`, speak for a visitor or the sender, which takes a secret key.
    """

    event_id: str | UUID | None
    occurred_at: datetime | float | str | None
    site_id: str | None
    visitor_id: str | int | None
    session_id: str | int | None
    page_url: str | None
    referrer: str | None
    event_version: int | None
    link_id: str | None
    short_code: str | None
    destination_url: str | None
    variant: str | None
    via_click_id: str | UUID | None
    language: str | None
    timezone: str | None
    sample_weight: float | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    ip_address: str | None
    user_agent: str | None
    country_code: str | None
    region: str | None
    city: str | None
    latitude: float | None
    longitude: float | None
    short_domain: str | None
    source: str | None
    device_type: str | None
    browser: str | None
    browser_version: str | None
    os: str | None
    os_version: str | None
    is_bot: bool | None
    bot_name: str | None


_OTHER_TYPES: dict[str, tuple[type, ...]] = {
    "event_id": (str, UUID),
    "via_click_id": (str, UUID),
    "occurred_at": (datetime, int, float, str),
    "visitor_id": (str, int),
    "session_id": (str, int),
    "event_version": (int,),
    "sample_weight": (int, float),
    "latitude": (int, float),
    "longitude": (int, float),
    "is_bot": (bool,),
}
_TYPES = {name: _OTHER_TYPES.get(name, (str,)) for name in Envelope.__annotations__}

_encode = msgspec.json.Encoder().encode


class Made(NamedTuple):
    """An event as it will be sent. `data` is None when it cannot be: `problem` and `reason` say why."""

    id: str
    data: bytes | None
    problem: str = ""
    reason: str = "invalid_property"


def made(event_type: str, properties: Mapping[str, Any] | None, envelope: Mapping[str, Any]) -> Made:
    """As `make`; what it raises is said in the answer: nobody's request fails for an event of it."""
    return _or_why(lambda: make(event_type, properties, envelope))


def made_from(event: Mapping[str, Any]) -> Made:
    """As `make_from`, likewise."""
    return _or_why(lambda: make_from(event))


def _or_why(attempt: Callable[[], Made]) -> Made:
    try:
        return attempt()
    except (TypeError, ValueError) as error:
        return Made(format_event_id(uuid7(int(time.time() * 1000))), None, str(error), "invalid_field")


def make(event_type: str, properties: Mapping[str, Any] | None, envelope: Mapping[str, Any]) -> Made:
    """An event, encoded at once: what the caller changes later does not change it.

    What is no field of the envelope is a property. Only types are checked here, and answered with TypeError
    (ValueError for a datetime without zone); values are the door's business, which answers with a verdict.
    """
    if not isinstance(event_type, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers without pyright
        raise TypeError(f"event_type must be str, not {type(event_type).__name__}")
    now = int(time.time() * 1000)
    event: dict[str, Any] = {"event_type": event_type, "event_id": "", "occurred_at": now}
    own: dict[str, Any] = {}
    for name, value in envelope.items():
        if name not in _TYPES:
            own[name] = value
        elif value is not None:
            event[name] = _checked(name, value)
    if not event["event_id"]:
        event["event_id"] = format_event_id(uuid7(now))
    if properties is not None and not isinstance(properties, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] -- as above
        raise TypeError(f"properties must be a mapping, not {type(properties).__name__}")
    if own or properties:
        event["properties"] = own | dict(properties or {})
    return _made(event)


def make_from(event: Mapping[str, Any]) -> Made:
    """An event of one mapping, as `track_many` takes them: `event_type`, `properties` and envelope."""
    if not isinstance(event, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] -- as above
        raise TypeError(f"an event must be a mapping, not {type(event).__name__}")
    envelope = dict(event)
    if "event_type" not in envelope:
        raise TypeError("an event needs an event_type")
    return make(envelope.pop("event_type"), envelope.pop("properties", None), envelope)


def _checked(name: str, value: Any) -> Any:
    types = _TYPES[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        allowed = " or ".join(each.__name__ for each in types)
        raise TypeError(f"{name} must be {allowed}, not {type(value).__name__}")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{name}: a datetime needs a time zone, for example datetime.now(UTC)")
    return value


def _made(event: dict[str, Any]) -> Made:
    name = str(event["event_id"])
    try:
        data = _encode(event)
    except ValueError:
        data = None  # most likely half an emoji: the door reads its escape as U+FFFD
    except RecursionError:
        raise ValueError("properties: nested too deeply, or in a circle") from None
    if data is None:
        try:
            data = json.dumps(event, default=msgspec.to_builtins, allow_nan=False).encode()
        except ValueError as error:
            return Made(name, None, f"properties: {error}")
    if data.count(b"[") + data.count(b"{") > _MANY and _depth(event.get("properties")) > _DEEP:
        return Made(name, None, f"properties: nested deeper than {_DEEP} levels")
    return Made(name, data)


# The door allows eight levels and says so in a verdict, but hundreds would make the whole request
# unreadable to its parser, and a bad event must not fail its neighbours.
_DEEP = 100
_MANY = 100


def _depth(value: Any) -> int:
    deepest, todo = 0, [(value, 1)]
    while todo:
        each, depth = todo.pop()
        deepest = max(deepest, depth)
        if isinstance(each, Mapping):
            todo += [(child, depth + 1) for child in each.values()]  # pyright: ignore[reportUnknownVariableType] -- JSON
        elif isinstance(each, list | tuple | set | frozenset):
            todo += [(child, depth + 1) for child in each]  # pyright: ignore[reportUnknownVariableType] -- JSON
    return deepest
