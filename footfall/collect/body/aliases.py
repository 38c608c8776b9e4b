"""How other producers spell our fields, and what we refuse to keep whatever it is called.

Only read when an event is not in our own spelling (see `incoming.py`), so its size costs nothing.
Every name is understood in camelCase too.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast
from urllib.parse import unquote

from footfall.enrich.countries import country_code
from footfall.enrich.told import device_type_of

# Theirs -> ours. Where an event has both filled in, ours wins.
SPELLINGS: dict[str, str] = {
    "id": "event_id",
    "click_id": "event_id",
    "uuid": "event_id",
    "message_id": "event_id",
    "type": "event_type",
    "event": "event_type",
    "name": "event_type",
    "version": "event_version",
    "timestamp": "occurred_at",
    "time": "occurred_at",
    "site": "site_id",
    "site_domain": "site_id",
    "code": "short_code",
    "original_url": "destination_url",
    "target_url": "destination_url",
    "url": "page_url",
    "referer": "referrer",
    "user_id": "visitor_id",
    "anonymous_id": "visitor_id",
    "distinct_id": "visitor_id",
    "ip": "ip_address",
    "client_ip": "ip_address",
    "device": "device_type",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "props": "properties",
    "data": "properties",
}

# Said in our words by another field, where that is not filled in.
FALLBACKS: dict[str, str] = {
    "page_path": "page_url",
    "referrer_domain": "referrer",
    "referrer_host": "referrer",
    "referer_domain": "referrer",
    "referer_host": "referrer",
    "ip_hash": "visitor_id",
}

# Found out here from better sources, or said by the key: ignored when sent.
DERIVED = frozenset({"channel", "is_unique", "workspace_id"})

CLICK_NAMES = frozenset({"click_id", "link_id", "short_code", "short_url"})
"""An event that has one of these filled in and says no type is a click."""

PARTS_OF: dict[str, Mapping[str, str]] = {
    "geo_location": {
        "country": "country", "country_name": "country", "country_code": "country_code", "region": "region",
        "city": "city", "lat": "latitude", "latitude": "latitude", "lon": "longitude", "lng": "longitude",
        "longitude": "longitude", "timezone": "timezone",
    },
    "metadata": {
        "country": "country", "country_name": "country", "country_code": "country_code", "region": "region",
        "city": "city", "latitude": "latitude", "longitude": "longitude", "timezone": "timezone",
        "device": "device_type", "device_type": "device_type", "browser": "browser",
        "browser_version": "browser_version", "os": "os", "os_version": "os_version", "is_bot": "is_bot",
        "bot_name": "bot_name", "referrer": "referrer", "referer": "referrer", "user_agent": "user_agent",
        "ip": "ip_address", "ip_address": "ip_address", "language": "language",
        "utm_source": "utm_source", "utm_medium": "utm_medium", "utm_campaign": "utm_campaign",
        "utm_term": "utm_term", "utm_content": "utm_content",
    },
}  # fmt: skip
"""Objects whose parts are fields of the event. What else `metadata` holds are properties."""

_TEXTS = frozenset({"device_type", "browser", "browser_version", "os", "os_version", "bot_name", "source"})
_YES_OR_NO = {1: True, 0: False, "true": True, "false": False, "1": True, "0": False}
# What is said where a country is not known, beside the codes of `geo.country_of`.
_NO_COUNTRY = frozenset(
    {"**", "??", "unknown", "(unknown)", "not set", "(not set)", "n/a", "none", "null", "undefined"}
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHORT_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//([^/?#]*)([^?#]*)", re.IGNORECASE)


def respell(event: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """A copy of `event` in our spelling, which has these `fields`. What nobody knows keeps its name."""
    ours: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    later: list[tuple[str, str, Any]] = []
    click = False
    for name, value in event.items():
        plain = _snake(name, fields)
        click = click or (plain in CLICK_NAMES and _filled(value))
        if plain in fields:
            if _filled(value) or plain not in ours:
                ours[plain] = value
        elif plain in _KNOWN:
            later.append((name, plain, value))
        elif plain not in DERIVED:
            rest[name] = value
    for rank in (SPELLINGS, _READERS, PARTS_OF, FALLBACKS):  # what says more wins
        rest |= {
            name: value for name, plain, value in later if plain in rank and not _take(ours, plain, value)
        }
    if click and not _filled(ours.get("event_type")):
        ours["event_type"] = "click"
    _tidy(ours)
    return ours | rest


def _take(ours: dict[str, Any], plain: str, value: Any) -> bool:
    """Whether it was understood, and nothing of it is left."""
    if plain in SPELLINGS:
        return _put(ours, SPELLINGS[plain], value)
    if plain in FALLBACKS:
        _put(ours, FALLBACKS[plain], _path(value) if plain == "page_path" else value)
        return True
    if plain in _READERS:
        return _READERS[plain](ours, value)
    return _parts(ours, plain, value)


def _put(ours: dict[str, Any], name: str, value: Any) -> bool:
    if _filled(ours.get(name)):
        return False
    if name == "device_type" and not (isinstance(value, str) and device_type_of(value)):
        return False
    ours[name] = value
    return True


def _parts(ours: dict[str, Any], plain: str, value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    parts = PARTS_OF[plain]
    rest: dict[str, Any] = {}
    for name, content in cast("dict[str, Any]", value).items():
        part = parts.get(_snake(name, parts))
        if part is None or isinstance(content, dict | list):
            rest[name] = content
        elif part == "country":
            if not _country(ours, content):
                rest[name] = content
        elif not _put(ours, part, content):
            rest[name] = content
    if plain == "metadata" and rest:
        given = ours.get("properties")
        if given is not None and not isinstance(given, dict):
            return False
        ours["properties"] = rest | cast("dict[str, Any]", given or {})
    return True


def _country(ours: dict[str, Any], value: Any) -> bool:
    """A name or a code. What is no country says nothing: the event is none the worse."""
    if not isinstance(value, str):
        return not _filled(value)
    code = country_code(value)
    if code:
        _put(ours, "country_code", code)
    return bool(code) or not value.strip()


def _short_url(ours: dict[str, Any], value: Any) -> bool:
    """Of a link at a domain: of that one, and of no other that has the same code."""
    if not isinstance(value, str) or (_filled(ours.get("short_code")) and _filled(ours.get("short_domain"))):
        return True
    text = value.strip()
    found = _SHORT_URL.match(text)
    if found is None and "/" in text.strip("/"):  # go.example.com/abc
        found = _SHORT_URL.match(f"//{text}")
    domain, path = (found[1], found[2]) if found else ("", re.split(r"[?#]", text, maxsplit=1)[0])
    code = unquote(path.strip("/"))
    if domain:
        ours["short_domain"] = domain.rpartition("@")[2].lower()[:300]
    if code and (domain or not _filled(ours.get("short_code"))):
        ours["short_code"] = code[:200]
    return True


def _path(value: Any) -> Any:
    return value if not isinstance(value, str) or not value or value.startswith("/") else f"/{value}"


def _country_field(ours: dict[str, Any], value: Any) -> bool:
    _country(ours, value)
    return True


_READERS: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "short_url": _short_url,
    "country": _country_field,
    "country_name": _country_field,
}

_KNOWN = frozenset({*SPELLINGS, *FALLBACKS, *_READERS, *PARTS_OF})


def _tidy(ours: dict[str, Any]) -> None:
    """What others write in another way than we do, where there is no doubt."""
    for name in _TEXTS & ours.keys():
        if not isinstance(ours[name], str):
            del ours[name]
    bot = ours.get("is_bot")
    if bot is not None and not isinstance(bot, bool):
        text = bot.strip().lower() if isinstance(bot, str) else bot
        ours["is_bot"] = _YES_OR_NO.get(text) if isinstance(text, str | int) else None
    code = ours.get("country_code")
    if isinstance(code, str):
        if code.strip().lower() in _NO_COUNTRY:
            ours["country_code"] = ""
        elif len(code.strip()) == 3 and (two := country_code(code)):
            ours["country_code"] = two


def _snake(name: str, fields: Collection[str]) -> str:
    if name in fields or name in _KNOWN or name.islower():
        return name
    plain = _CAMEL.sub("_", name).lower()
    return plain if plain in fields or plain in _KNOWN or plain in DERIVED else name


def _filled(value: Any) -> bool:
    return value is not None and value != ""
