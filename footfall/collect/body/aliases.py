"""How other producers spell our fields, and what we refuse to keep whatever it is called.

Only read when an event is not in our own spelling (see `incoming.py`), so its size costs nothing.
"""

from collections.abc import Mapping
from typing import Any, cast

# Theirs -> ours. Where an event has both, ours wins.
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
    "short_url": "short_code",
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
    "country": "country_code",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "props": "properties",
    "data": "properties",
}

# Derived here from better sources, so ignored when sent.
DERIVED = frozenset({"referrer_domain", "referrer_host", "device_type", "browser", "os", "is_bot", "channel"})

# The parts of a `geo_location` object.
_GEO = {
    "country": "country_code",
    "country_code": "country_code",
    "region": "region",
    "city": "city",
    "lat": "latitude",
    "latitude": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "longitude": "longitude",
}


def respell(event: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `event` in our spelling. Fields that nobody knows keep their names."""
    result: dict[str, Any] = {}
    for name, value in event.items():
        ours = SPELLINGS.get(name)
        if name == "short_url" and isinstance(value, str):
            result.setdefault("short_code", value.rstrip("/").rsplit("/", 1)[-1])
        elif name == "geo_location" and isinstance(value, dict):
            for part, content in cast("dict[str, Any]", value).items():
                if part in _GEO:
                    result.setdefault(_GEO[part], content)
        elif name in DERIVED:
            continue
        elif ours is None or ours in event or ours in result:
            result[name] = value
        else:
            result[ours] = value
    return result
