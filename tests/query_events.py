"""Visits made up: all kinds of events, with odd texts, weights, money, bots and half-empty properties."""

import json
import random
import struct

from footfall.model.columns import COLUMNS
from tests.truth import EMPTY

DAY = 86_400_000
ODD_TEXTS = [
    "", "it's", 'so "quoted"', "back\\slash", "per%cent_", "Ünï CÖDE", "ünï cöde", "ΟΔΟΣ", "new\nline\ttab",
    "nul\0byte", "{p0:String}", "$1 ?", "'; DROP TABLE events; --", "🦶", "10", "1e3", "-2.5",
]  # fmt: skip
SITES = ["", "site_1", "site_2", "site_3"]
PATHS = ["/", "/pricing", "/Pricing", "/blog/ä", "/blog/b", ""]
KINDS = ["page_view"] * 8 + [
    "click", "click", "click", "conversion", "conversion", "widget_impression", "widget_impression",
    "widget_click", "device_page_view", "it's custom", "engagement", "engagement",
]  # fmt: skip
TEXT = [
    "event_type", "source", "site_id", "sent_by", "link_id", "short_code", "destination_url", "variant",
    "page_url", "page_path", "referrer", "referrer_host", "channel", "country_code", "region", "city",
    "timezone",
    "device_type", "browser", "browser_version", "os", "os_version", "language", "bot_name", "bot_category",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "hostname",
    "entry_country_code", "entry_device_type", "entry_channel",
    "event_referrer_host", "event_channel", "event_utm_source", "event_utm_content",
]  # fmt: skip
PROPERTIES = ["mapping_id", "post_id", "device_slug", "widget_index", "currency"]
FREE = ["property:plan", 'property:it\'s "odd"', "property:value_minor", "property:deep", "property:none"]
NUMBERS = ["event_version", "asn"]
VISITS = ["entry_page", "exit_page"]
SOURCES = ["referrer_host", "channel", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"]
OF_EVENTS = [f"event_{name}" for name in SOURCES]


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def make_visits(seed, count, first, last, workspaces, links, seq, sites=SITES):
    """About `count` events with `first` <= occurred_at < `last` (ms), of visits of a few events each."""
    rng = random.Random(seed)
    people = [_somebody(rng) for _ in range(max(3, count // 9))]
    events = []
    while len(events) < count:
        person, workspace = rng.choice(people), rng.choice(workspaces)
        visit = _visit(rng, person, sites)
        at = rng.randrange(first, last)
        for _ in range(rng.choice([1, 1, 2, 3, 5])):
            if at >= last:
                break
            if rng.random() < 0.2:
                at = max(first, at - at % rng.choice([900_000, 3_600_000]))
            what = _properties(rng, kind := rng.choice(KINDS))
            link = rng.choice(["", *links])
            events.append(
                {column.name: EMPTY.get(_bare(column.type), 0) for column in COLUMNS}
                | person
                | visit
                | {
                    "event_id": rng.randbytes(16),
                    "event_type": kind,
                    "event_version": rng.choice([1, 1, 2]),
                    "occurred_at": at,
                    "received_at": at + rng.choice([5, 5, 40_000, 3 * DAY]),
                    "source": "api",
                    "sent_by": rng.choice(["", "", "wordpress"]),
                    "workspace_id": workspace,
                    "link_id": link,
                    "short_code": link[-2:],
                    "destination_url": rng.choice(["", "https://example.com/?q=it's"]),
                    "variant": rng.choice(["", "a", "b"]),
                    "page_path": rng.choice(PATHS),
                    "page_url": rng.choice(["", "https://Example.com/ä?a=1&b=2", "https://b.example/"]),
                    "latitude": None,
                    "longitude": None,
                    "sample_weight": float32(rng.choice([1, 1, 1, 1, 1, 1, 10, 2.5, 0.1])),
                    "properties": json.dumps(what, separators=(",", ":"), ensure_ascii=rng.random() < 0.5)
                    if what
                    else "",
                    "shard": seed % 2**64,
                    "seq": seq + len(events),
                }
            )
            at += rng.randrange(0, 25 * 60_000)
    for event in events:
        _enter(event, rng)
    return events


def _enter(event, rng):
    """The facts of its visit: here of no visit at all, but as different as can be from the event's own.

    A click's are its own. The page is made of the event's, as if the visit had begun elsewhere.
    """
    click = event["event_type"] == "click"
    for name in SOURCES:
        event[f"entry_{name}"] = event[name] if click else rng.choice([event[name], "", "News", "t.co"])
    for name in ("country_code", "device_type"):
        event[f"entry_{name}"] = event[name] if click else rng.choice([event[name], "DE"])
    paths = [event["page_path"], *PATHS] if event["event_type"] == "page_view" else ["", *PATHS]
    event["entry_page"] = "" if click else rng.choice(paths)


def _bare(kind):
    return kind.removeprefix("LowCardinality(").removesuffix(")")


def _somebody(rng):
    visitor = rng.getrandbits(64) if rng.random() < 0.9 else 0
    bot = rng.random() < 0.15
    return {
        "visitor_id": visitor,
        "device_hash": visitor if rng.random() < 0.5 else rng.getrandbits(64),
        "country_code": rng.choice(["", "US", "DE", "IN", "CI", "XK", "Q9"]),
        "region": rng.choice(["", "BE", "CA"]),
        "city": rng.choice(ODD_TEXTS),
        "timezone": rng.choice(["", "Europe/Berlin"]),
        "asn": rng.choice([0, 64512, 4_294_967_295]),
        "device_type": rng.choice(["", "desktop", "mobile"]),
        "browser": rng.choice(["", "Chrome", "Safari"]),
        "browser_version": rng.choice(["", "120", "99.5"]),
        "os": rng.choice(["", "iOS", "Windows"]),
        "os_version": rng.choice(["", "10", "17.1"]),
        "language": rng.choice(["", "de", "en-US"]),
        "is_bot": bot,
        "bot_name": rng.choice(["Googlebot", "curl"]) if bot else "",
        "bot_category": "crawler" if bot else "",
    }


def _visit(rng, person, sites):
    host = rng.choice(["", "", "t.co", "google.com", "é.example"])
    return {
        "session_id": rng.getrandbits(64) if person["visitor_id"] else 0,
        "site_id": rng.choice(sites),
        "referrer_host": host,
        "referrer": host and f"https://{host}/x?y",
        "channel": "other" if host else rng.choice(["direct", "email"]),
        "utm_source": rng.choice(["", "", "news", "News"]),
        "utm_medium": rng.choice(["", "cpc"]),
        "utm_campaign": rng.choice(ODD_TEXTS),
        "utm_term": rng.choice(["", "shoe"]),
        "utm_content": rng.choice(["", "top"]),
    }


def _properties(rng, kind):
    found = {}
    if kind == "conversion":
        found["name"] = "order"
        if rng.random() < 0.8:
            found["value_minor"] = rng.choice([0, 1250, -300, 2**53, 99])
            found["currency"] = rng.choice(["EUR", "USD", "JPY"])
    if kind == "engagement" and rng.random() < 0.9:
        found |= {
            "engagement_time": rng.choice([0, 1500, 20_000]),
            "scroll_depth": rng.choice([0, 30, 77.5, 100]),
        }
    if kind.startswith("widget"):
        found["mapping_id"] = rng.choice(["m0", "m1", "m2", 7])
        if rng.random() < 0.7:
            found |= {"post_id": rng.choice(["100", "101", "102", 102]), "device_slug": "phöne-2"}
        if rng.random() < 0.7:
            found |= {"viewport_percent": rng.choice([0, 49.9, 50, 100]), "widget_index": rng.randrange(3)}
    if rng.random() < 0.6:
        found["plan"] = rng.choice([*ODD_TEXTS, "pro", "Pro", 7, True, None, 2.5])
        found['it\'s "odd"'] = rng.choice(ODD_TEXTS)
        found["deep"] = rng.choice([{"er": [1, "zwei"]}, ["a", 1], "x"])
    return found


def columns_of(events):
    """The events as the worker hands them to the store."""
    return {column.name: [event[column.name] for event in events] for column in COLUMNS}
