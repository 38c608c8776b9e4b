"""Events by the hundred, and what every report must say of them, counted in plain Python.

Nothing here knows how Footfall counts: buckets are compared by the digits of local time,
visitors are sets, lists are sorted lists.
"""

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from footfall.enrich.countries import country_names
from footfall.model.columns import COLUMNS

COUNTRIES = ["", "US", "DE", "IN", "CI", "XK", "Q9"]
DEVICES = [("desktop", "Chrome", "Windows"), ("mobile", "Safari", "iOS"), ("mobile", "", ""), ("", "", "")]
REFERRERS = [
    ("", "direct"),
    ("", "email"),
    ("t.co", "social"),
    ("google.com", "search"),
    ("é.example", "other"),
]
CUSTOM = 'it\'s, \\ "custom"'
TYPES = ["click"] * 6 + [
    "page_view",
    "page_view",
    "page_view",
    "widget_impression",
    "widget_impression",
    "widget_click",
    "device_page_view",
    "orphan_click",
    CUSTOM,
]
PLACES = [("", ""), ("BE", "Berlin"), ("BE", ""), ("TX", "Paris"), ("75", "Paris")]
PAGES = ["/", "/preise", "/blog/ä", "/a,b"]
HOSTS = ["go.example", "kurz.example:8080"]
LANGUAGES = ["", "de", "en-US"]
BOTS = [("", ""), ("GPTBot", "ai"), ("Googlebot", "search")]
CAMPAIGNS = ["", "", "spring", "-minus", "sp,ring"]
NETWORKS = [0, 0, 15169, 3320]
PROPERTIES = [
    "",
    '{"plan":"pro","nested":{"deep":[1,"zwei",{"drei":3}]}}',
    '{"plan":"free","empty":""}',
    '{"quote":"it\'s \\"so\\"\\n"}',
    '{"at":"2026-03-01T10:00:00Z","day":"2026-03-01","big":9007199254740993,"half":0.5,"yes":true}',
]
ENTRIES = [
    "referrer_host", "channel", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "country_code", "device_type",
]  # fmt: skip
EMPTY = {"String": "", "UUID": b"\0" * 16, "Bool": False, "JSON": ""}
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def make_events(seed, count, first, last, workspaces, *, links=("link_1", "link_2", "link_3"), seq=0):
    """Events with `first` <= occurred_at < `last` (ms), some of them exactly on the hour."""
    rng = random.Random(seed)
    people = [rng.getrandbits(64) or 1 for _ in range(max(2, count // 20))]
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
        place, bot = rng.choice(PLACES), rng.choice(BOTS)
        site = rng.choice(["", "site_1", "another"])
        is_bot = rng.random() < 0.15
        page = rng.choice(PAGES) if kind == "page_view" else ""
        url = f"https://{rng.choice(HOSTS)}/{link}" if kind == "orphan_click" else page
        event = {column.name: _empty(column.type) for column in COLUMNS} | {
            "event_id": rng.randbytes(16),
            "event_type": kind,
            "event_version": 1,
            "occurred_at": at,
            "received_at": at + 5,
            "source": "api",
            "workspace_id": rng.choice(workspaces),
            "site_id": site,
            "link_id": link,
            "short_code": link[-1:],
            "visitor_id": visitor,
            "device_hash": visitor if rng.random() < 0.5 else rng.getrandbits(64),
            "session_id": (visitor ^ (at // 172_800_000) ^ (len(site) << 40)) if visitor else 0,
            "country_code": rng.choice(COUNTRIES),
            "device_type": device[0],
            "browser": device[1],
            "os": device[2],
            "referrer_host": host,
            "channel": channel,
            "latitude": rng.choice([None, 52.52]),
            "is_bot": is_bot,
            "bot_name": bot[0] if is_bot else "",
            "bot_category": bot[1] if is_bot else "",
            "page_url": url,
            "page_path": page,
            "region": place[0],
            "city": place[1],
            "language": rng.choice(LANGUAGES),
            "asn": rng.choice(NETWORKS),
            "utm_source": rng.choice(CAMPAIGNS),
            "utm_medium": rng.choice(CAMPAIGNS),
            "utm_campaign": rng.choice(CAMPAIGNS),
            "utm_term": rng.choice(CAMPAIGNS),
            "utm_content": rng.choice(CAMPAIGNS),
            "sample_weight": 1.0,
            "properties": _properties(rng, kind),
            "shard": seed % 2**64,
            "seq": seq + number,
        }
        # Each event is the first of its visit.
        own = {f"entry_{name}": event[name] for name in ENTRIES}
        events.append(event | own)
    return events


def _empty(kind):
    kind = kind.removeprefix("LowCardinality(").removesuffix(")")
    return EMPTY.get(kind, 0)


def _properties(rng, kind):
    if kind == "device_page_view":
        found = {"device_id": f"d{rng.randrange(3)}", "device_slug": rng.choice(["phone-1", "phöne-2"])}
        found |= {"brand": rng.choice(["Acme", "Önly"])} if rng.random() < 0.8 else {}
        found |= {"view_source": rng.choice(["widget", "search"])} if rng.random() < 0.8 else {}
        found |= {"referrer_mapping_id": f"m{rng.randrange(3)}"} if rng.random() < 0.5 else {}
        return json.dumps(found, ensure_ascii=False)
    if not kind.startswith("widget"):
        return rng.choice(PROPERTIES)
    found = {"mapping_id": f"m{rng.randrange(3)}"}
    if rng.random() < 0.8:
        found["device_slug"] = rng.choice(["phone-1", "phöne-2"])
    if rng.random() < 0.7:
        found["post_id"] = str(rng.randrange(100, 103))
    if kind == "widget_impression" and rng.random() < 0.8:
        found |= {"widget_index": rng.randrange(3), "viewport_percent": rng.choice([0, 49.9, 50, 100])}
    return json.dumps(found, ensure_ascii=False)


def columns_of(events):
    """The events as the worker hands them to the store."""
    return {column.name: [event[column.name] for event in events] for column in COLUMNS}


def local(at, zone):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))


class Truth:
    """The answers about the events that pass the filters."""

    def __init__(self, events, workspace, start, end, zone, *, bots=False, filters=None, now=None):
        """`start`, `end`, `now`: ms, the end exclusive. `filters`: {field: (whether it is, values)}."""
        self.zone, self.start, self.end = zone, start, end
        self.now = datetime.now(UTC).timestamp() * 1000 if now is None else now
        in_range = [
            event
            for event in events
            if event["workspace_id"] == workspace and start <= event["occurred_at"] < end
        ]
        self.visits = self._visits([event for event in in_range if bots or not event["is_bot"]])
        matching = [
            event
            for event in in_range
            if all(
                (self.value(event, name) in values) is is_ for name, (is_, values) in (filters or {}).items()
            )
            and (event["session_id"] in self.visits or not {"entry_page", "exit_page"} & set(filters or {}))
        ]
        self.robots = [event for event in matching if event["is_bot"]]
        self.events = [event for event in matching if bots or not event["is_bot"]]
        self.clicks = [event for event in self.events if event["event_type"] == "click"]

    @staticmethod
    def _visits(events):
        """{session: (entry page, exit page, events)} of those with a page view."""
        visits = defaultdict(list)
        for event in sorted(events, key=lambda e: (e["occurred_at"], e["seq"])):
            if event["session_id"]:
                visits[event["session_id"]].append(event)
        views = {
            session: [event["page_path"] for event in group if event["event_type"] == "page_view"]
            for session, group in visits.items()
        }
        return {
            session: (views[session][0], views[session][-1], len(group))
            for session, group in visits.items()
            if views[session]
        }

    def value(self, event, name):
        """A field of an event as a filter sees it."""
        if name in ("entry_page", "exit_page"):
            return self.visits.get(event["session_id"], (None, None))[name == "exit_page"]
        if name == "hostname":
            return event["page_url"].partition("//")[2].partition("/")[0].partition(":")[0]
        if name == "country":
            code = event["country_code"]
            return country_names().get(code, code or "Unknown")
        if name == "referer_host":
            return event["referrer_host"] or "direct"
        return event[name] if name in event else prop(event, name.removeprefix("property:"))

    def overview(self):
        return {
            "clicks": len(self.clicks),
            "events": len(self.events),
            "visitors": different(self.events, "visitor_id"),
            "sessions": different(self.events, "session_id"),
            "links": different(self.clicks, "link_id"),
            "bots": len(self.robots),
        }

    def listed(self, by, figures, order, *, types=(), known=(), events=None):
        """Rows by `by`, {column: field}; `order`: columns, "-" in front for descending, then those of `by`.

        `types`: only events of these; `known`: only those where these columns are not empty.
        """
        groups = defaultdict(list)
        for event in self.events if events is None else events:
            names = tuple(self.value(event, field) for field in by.values())
            if (not types or event["event_type"] in types) and all(
                name not in known or value for name, value in zip(by, names, strict=True)
            ):
                groups[names].append(event)
        rows = [
            dict(zip(by, names, strict=True))
            | {name: self.figure(figure, group) for name, figure in figures.items()}
            for names, group in groups.items()
        ]
        for name in reversed([*order, *(name for name in by if name not in order)]):
            rows.sort(key=lambda row, name=name: row[name.removeprefix("-")], reverse=name.startswith("-"))
        return rows

    def figure(self, name, events):
        """One figure of these events."""
        kinds = {
            "clicks": "click",
            "pageviews": "page_view",
            "impressions": "widget_impression",
            "widget_clicks": "widget_click",
        }
        if name in kinds:
            return sum(event["event_type"] == kinds[name] for event in events)
        if name == "events":
            return len(events)
        if name == "viewable":
            return sum(
                json.loads(event["properties"]).get("viewport_percent", 0) >= 50
                for event in events
                if event["event_type"] == "widget_impression"
            )
        if name == "last_at":
            return local(max(event["occurred_at"] for event in events), self.zone).isoformat(
                timespec="milliseconds"
            )
        if name == "bounce_rate":
            sessions = {event["session_id"] for event in events}
            return sum(self.visits[session][2] == 1 for session in sessions) / len(sessions)
        return different(events, {"visitors": "visitor_id", "sessions": "session_id"}[name])

    def countries(self):
        by = {"country_code": "country_code", "country": "country"}
        return self.listed(by, CLICKED, ["-clicks", "country"], types=("click",))

    def devices(self, by=("device_type", "browser", "os")):
        return self.listed({name: name for name in by}, CLICKED, ["-clicks"], types=("click",))

    def referers(self):
        by = {"referer_host": "referer_host", "channel": "channel"}
        return self.listed(by, CLICKED, ["-clicks"], types=("click",))

    def digits(self, moment, interval, week_start="monday"):
        """What all instants of one bucket have in common."""
        if interval == "hour":
            return (moment.date(), moment.hour, moment.utcoffset())
        if interval == "week":
            return moment.date() - timedelta(days=(moment.weekday() - WEEKDAYS.index(week_start)) % 7)
        return moment.timetuple()[: {"day": 3, "month": 2, "year": 1}[interval]]

    def timeseries(self, interval, figures, week_start="monday", types=(), known=()):
        """{digits of the bucket: the figures}, with the empty ones; `partial` beside them."""

        def bucket(at):
            return self.digits(local(at, self.zone), interval, week_start)

        groups = {}
        for at in [*range(self.start, self.end, 900_000), self.end - 1]:
            groups.setdefault(bucket(at), [])
        for event in self.events:
            if (not types or event["event_type"] in types) and all(prop(event, name) for name in known):
                groups[bucket(event["occurred_at"])].append(event)
        cut = {bucket(self.start - 1), bucket(min(self.end, self.now))}
        return {
            key: {name: self.figure(figure, group) for name, figure in figures.items()}
            | {"partial": key in cut}
            for key, group in groups.items()
        }

    def newest(self, event_type):
        """The events of a type, newest first."""
        chosen = [event for event in self.events if event["event_type"] == event_type]
        return sorted(chosen, key=lambda e: (e["occurred_at"], e["seq"], e["shard"]), reverse=True)


CLICKED = {"clicks": "clicks", "visitors": "visitors"}
EVERYTHING = {name: name for name in ("visitors", "events", "clicks", "pageviews")}
WIDGETS = {"widget_impression", "widget_click"}


def prop(event, name):
    """A property as text, "" without one."""
    value = json.loads(event["properties"] or "{}").get(name, "")
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def different(events, name):
    return len({event[name] for event in events} - {0, ""})
