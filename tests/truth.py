"""Events by the hundred, and what every report must say of them, counted in plain Python.

Nothing here knows how Footfall counts: buckets are compared by the digits of local time,
visitors are sets, lists are sorted lists.
"""

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from footfall.model.columns import COLUMNS
from footfall.query.countries import country_names

COUNTRIES = ["", "US", "DE", "IN", "CI", "XK", "Q9"]
DEVICES = [("desktop", "Chrome", "Windows"), ("mobile", "Safari", "iOS"), ("mobile", "", ""), ("", "", "")]
REFERRERS = [
    ("", "direct"),
    ("", "email"),
    ("t.co", "social"),
    ("google.com", "search"),
    ("é.example", "other"),
]
TYPES = ["click"] * 6 + [
    "page_view",
    "widget_impression",
    "widget_impression",
    "widget_click",
    'it\'s "custom"',
]
PROPERTIES = [
    "",
    '{"plan":"pro","nested":{"deep":[1,"zwei",{"drei":3}]}}',
    '{"quote":"it\'s \\"so\\"\\n"}',
    '{"at":"2026-03-01T10:00:00Z","day":"2026-03-01","big":9007199254740993,"half":0.5,"yes":true}',
]
EMPTY = {"String": "", "UUID": b"\0" * 16, "Bool": False, "JSON": ""}


def make_events(seed, count, first, last, workspaces, *, links=("link_1", "link_2", "link_3"), seq=0):
    """Events with `first` <= occurred_at < `last` (ms), some of them exactly on the hour."""
    rng = random.Random(seed)
    people = [rng.getrandbits(64) or 1 for _ in range(max(2, count // 6))]
    events = []
    for number in range(count):
        at = rng.randrange(first, last)
        if rng.random() < 0.2:
            at = max(first, at - at % rng.choice([900_000, 3_600_000, 21_600_000, 86_400_000]))
        visitor = rng.choice([0, *people])
        kind = rng.choice(TYPES)
        device = rng.choice(DEVICES)
        host, channel = rng.choice(REFERRERS)
        link = rng.choice(["", *links, f"rare_{rng.randrange(40)}"])
        event = {column.name: _empty(column.type) for column in COLUMNS} | {
            "event_id": rng.randbytes(16),
            "event_type": kind,
            "event_version": 1,
            "occurred_at": at,
            "received_at": at + 5,
            "source": "api",
            "workspace_id": rng.choice(workspaces),
            "site_id": rng.choice(["", "site_1", "site_2"]),
            "link_id": link,
            "short_code": link[-1:],
            "visitor_id": visitor,
            "device_hash": visitor if rng.random() < 0.5 else rng.getrandbits(64),
            "session_id": (visitor ^ (at // 7_200_000)) if visitor else 0,
            "country_code": rng.choice(COUNTRIES),
            "device_type": device[0],
            "browser": device[1],
            "os": device[2],
            "referrer_host": host,
            "channel": channel,
            "latitude": rng.choice([None, 52.52]),
            "is_bot": rng.random() < 0.15,
            "sample_weight": 1.0,
            "properties": _properties(rng, kind),
            "shard": seed % 2**64,
            "seq": seq + number,
        }
        events.append(event)
    return events


def _empty(kind):
    kind = kind.removeprefix("LowCardinality(").removesuffix(")")
    return EMPTY.get(kind, 0)


def _properties(rng, kind):
    if not kind.startswith("widget"):
        return rng.choice(PROPERTIES)
    parts = [f'"mapping_id":"m{rng.randrange(3)}"']
    if rng.random() < 0.8:
        parts.append(f'"device_slug":"{rng.choice(["phone-1", "phöne-2"])}"')
    if rng.random() < 0.7:
        parts.append(f'"post_id":"{rng.randrange(100, 103)}"')
    return "{" + ",".join(parts) + "}"


def columns_of(events):
    """The events as the worker hands them to the store."""
    return {column.name: [event[column.name] for event in events] for column in COLUMNS}


def local(at, zone):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))


class Truth:
    """The answers about the events that pass the filters."""

    def __init__(self, events, workspace, start, end, zone, *, bots=False, **filters):
        """`start` and `end`: ms, the end exclusive. `filters`: columns and their values."""
        self.zone, self.start, self.end = zone, start, end
        everything = [
            event
            for event in events
            if event["workspace_id"] == workspace
            and start <= event["occurred_at"] < end
            and all(event[name] == value for name, value in filters.items() if value is not None)
        ]
        self.bots = sum(event["is_bot"] for event in everything)
        self.events = [event for event in everything if bots or not event["is_bot"]]
        self.clicks = [event for event in self.events if event["event_type"] == "click"]

    def overview(self):
        return {
            "clicks": len(self.clicks),
            "events": len(self.events),
            "visitors": different(self.events, "visitor_id"),
            "sessions": different(self.events, "session_id"),
            "links": different(self.clicks, "link_id"),
            "bots": self.bots,
        }

    def listed(self, key):
        """Clicks by `key` (event -> dict of the row's names), most first, then by these names."""
        groups = defaultdict(list)
        for event in self.clicks:
            groups[tuple(key(event).items())].append(event)
        rows = [dict(key) | counted(group) for key, group in groups.items()]
        names = list(key(self.clicks[0])) if self.clicks else []
        if names == ["country_code", "country"]:
            names.reverse()
        return sorted(rows, key=lambda row: (-row["clicks"], *(row[name] for name in names)))

    def countries(self):
        names = country_names()
        return self.listed(
            lambda e: {
                "country_code": e["country_code"],
                "country": names.get(e["country_code"], e["country_code"] or "Unknown"),
            }
        )

    def devices(self, by=("device_type", "browser", "os")):
        return self.listed(lambda e: {name: e[name] for name in by})

    def referers(self):
        return self.listed(
            lambda e: {"referer_host": e["referrer_host"] or "direct", "channel": e["channel"]}
        )

    def digits(self, moment, interval):
        """What all instants of one bucket have in common."""
        if interval == "hour":
            return (moment.date(), moment.hour, moment.utcoffset())
        if interval == "week":
            return moment.isocalendar()[:2]
        return moment.timetuple()[: {"day": 3, "month": 2, "year": 1}[interval]]

    def timeseries(self, interval):
        """{digits of the bucket: (clicks, events, visitors)}, with the empty ones."""
        groups = {}
        for at in [*range(self.start, self.end, 900_000), self.end - 1]:
            groups.setdefault(self.digits(local(at, self.zone), interval), [])
        for event in self.events:
            groups[self.digits(local(event["occurred_at"], self.zone), interval)].append(event)
        return {
            bucket: (
                sum(event["event_type"] == "click" for event in group),
                len(group),
                different(group, "visitor_id"),
            )
            for bucket, group in groups.items()
        }

    def newest(self, event_type):
        """The events of a type, newest first."""
        chosen = [event for event in self.events if event["event_type"] == event_type]
        return sorted(chosen, key=lambda e: (e["occurred_at"], e["seq"], e["shard"]), reverse=True)

    def widgets(self, key):
        """Impressions, clicks and visitors by `key`, a list of names of properties."""
        groups = defaultdict(list)
        for event in self.events:
            if event["event_type"] in ("widget_impression", "widget_click"):
                groups[tuple(prop(event, name) for name in key)].append(event)
        rows = [
            (
                *names,
                sum(event["event_type"] == "widget_impression" for event in group),
                sum(event["event_type"] == "widget_click" for event in group),
                different(group, "visitor_id"),
            )
            for names, group in groups.items()
            if names[0]
        ]
        return sorted(rows, key=lambda row: (-row[-2], *row[: len(key)]))


def prop(event, name):
    _, found, after = event["properties"].partition(f'"{name}":"')
    return after.split('"')[0] if found else ""


def different(events, name):
    return len({event[name] for event in events} - {0, ""})


def counted(group):
    return {"clicks": len(group), "visitors": different(group, "visitor_id")}
