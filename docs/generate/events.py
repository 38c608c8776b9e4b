"""The blocks of `docs/events.md` about what may be sent."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from footfall.collect.body.aliases import CLICK_NAMES, DERIVED, FALLBACKS, PARTS_OF, SPELLINGS
from footfall.collect.body.incoming import Incoming
from footfall.collect.pixel import FIELDS as PIXEL_FIELDS
from footfall.model import properties
from footfall.model.columns import BY_NAME
from footfall.model.kinds import KINDS
from footfall.settings import Settings
from footfall.units import spell_size, spell_time

_KEYED = frozenset({
    "link_id", "short_code", "short_domain", "sample_weight", "event_version", "ip_address", "user_agent",
    "country_code", "region", "city", "latitude", "longitude", "source", "device_type", "browser",
    "browser_version", "os", "os_version", "is_bot", "bot_name",
})  # fmt: skip
_MEANINGS = {
    "event_type": "The kind: one of those below, or any name of your own.",
    "event_id": "A UUID or a ULID. The same id counts once. Without one the door makes one.",
    "occurred_at": "ISO 8601 (without an offset: UTC), or Unix time in seconds or milliseconds; when it is "
    "received, by default. See *Times*.",
    "site_id": "The site's id, or its domain: a host among its origins, or its name. Without one that of "
    "the request, else the site of the page's `Origin`.",
    "visitor_id": "Your own id of the visitor, text or number: kept as a hash.",
    "session_id": "Your own id of the visit, text or number: kept as a hash.",
    "properties": "A JSON object of your own; its types are checked where the kind names them.",
    "short_domain": "The host of `short_code`; the installation's own, by default.",
    "source": "The sender's word for itself (`wordpress`, `mobile_app`); also beside `events`, for all. "
    "What Footfall itself says (`redirect`, `beacon`, `pixel`, `import:...`) is not taken.",
    "ip_address": "The visitor's address: used for place and visitor, and forgotten.",
    "user_agent": "The visitor's.",
    "country_code": "ISO 3166-1 alpha-2. With any part of a place, the whole place is the sender's.",
    "device_type": "`desktop`, `mobile`, `tablet`, `tv`, `other`, or a usual word for one. What is filled in "
    "here and below is kept, what is not is read from the user agent.",
    "region": "Region of the visitor, by its code or name.",
    "city": "City of the visitor.",
    "latitude": "Degrees north.",
    "longitude": "Degrees east.",
    "via_click_id": "The click that led here: `footfall-event` of the redirect.",
    "is_bot": "Whether it is a bot's.",
}
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def envelope() -> str:
    """Every field of an event: type, who may send it, meaning."""
    _, found = msgspec.json.schema_components([Incoming])
    fields: Mapping[str, Any] = found["Incoming"]["properties"]
    lines = ["| field | type | key | meaning |", "| --- | --- | --- | --- |"]
    for name, schema in fields.items():
        meaning = _MEANINGS.get(name) or BY_NAME[name].meaning
        lines.append(f"| `{name}` | {_type(schema)} | {'needed' if name in _KEYED else ''} | {meaning} |")
    return "\n".join(lines)


def kinds() -> str:
    """Every known kind with its properties."""
    lines: list[str] = []
    for kind in KINDS.values():
        _, found = msgspec.json.schema_components([kind.properties])
        schema = found[kind.properties.__name__]
        about = " ".join((kind.properties.__doc__ or "").split())
        lines += [f"**`{kind.name}`** {about}", ""]
        required = schema.get("required", ())
        for name, each in schema["properties"].items():
            lines.append(f"- `{name}`: {_type(each)}{'; required' if name in required else ''}")
        lines += [""] if schema["properties"] else []
    return "\n".join(lines)


def spellings() -> str:
    """How other producers' fields are understood."""
    return "\n".join(_spellings())


def limits() -> str:
    """What a request, an event and its properties may have at most, by default."""
    fields = Settings.model_fields
    sizes = {name: spell_size(fields[name].default) for name in ("max_body", "max_inflated", "max_event")}
    past, future = (spell_time(fields[name].default) for name in ("max_past", "max_future"))
    rows = (
        ("events in a request", f"{fields['max_events'].default:,}", "`max_events`"),
        (
            "the body as it is sent; inflated",
            f"{sizes['max_body']}; {sizes['max_inflated']}",
            "`max_body`, ...",
        ),
        ("an event once it is encoded", sizes["max_event"], "`max_event`"),
        ("how old, how far ahead an event may be", f"{past}, {future}", "`max_past`, `max_future`"),
        ("properties of an event, all levels together", f"{properties.MAX_NAMES}", ""),
        ("levels of properties", f"{properties.MAX_DEPTH}", ""),
        (
            "a property's name; a text in one",
            f"{properties.MAX_NAME}; {properties.MAX_TEXT:,} characters",
            "",
        ),
        ("ids, codes, names of the envelope", "200 characters", ""),
        ("`page_url`, `referrer`, `destination_url`", "cut after 2,048 characters", ""),
    )
    return "\n".join(
        ["| what | at most | setting |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def pixel() -> str:
    """The parameters of the pixel."""
    names = ", ".join(f"`{name}`" for name in ("site_id", *PIXEL_FIELDS))
    return f"Its parameters: {names}."


def _spellings() -> Iterator[str]:
    ours: dict[str, list[str]] = {}
    for theirs, name in {**SPELLINGS, **FALLBACKS}.items():
        ours.setdefault(name, []).append(theirs)
    yield "| ours | also |"
    yield "| --- | --- |"
    for name, theirs in ours.items():
        yield f"| `{name}` | {_names(theirs)} |"
    yield "| `country_code` | `country`, `country_name`: an English name, or a code of two or three letters |"
    yield "| `short_domain`, `short_code` | `short_url`: of the link at that domain, and of no other |"
    for name, parts in PARTS_OF.items():
        beside = " (what else it holds are properties)" if name == "metadata" else ""
        yield f"| {_names(dict.fromkeys(parts.values()))} | parts of `{name}`{beside} |"
    yield ""
    yield (
        "Every name also in camelCase (`linkId`). Where an event has both, ours wins. Not read, as others "
        f"say it better: {_names(sorted(DERIVED))}. An event without `event_type` that has one of "
        f"{_names(sorted(CLICK_NAMES))} is a `click`."
    )


def _type(schema: Mapping[str, Any]) -> str:
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return " or ".join(dict.fromkeys(_words(each) for each in options))


def _words(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "time"
    if schema.get("type") == "object":
        return "object"
    words = _TYPES[schema["type"]]
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if "maxLength" in schema:
        words += f" to {schema['maxLength']:,} characters"
    elif low is not None and high is not None and abs(high) < 10**13:
        words += f" {low:,} to {high:,}"
    return words


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
