"""What any question of the query language must answer about some events, in plain Python.

Nothing here knows how Footfall counts. An answer is compared group by group: buckets of time by
the digits of local clocks, the rest by its values.
"""

import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from footfall.enrich.countries import country_names
from footfall.model.folding import fold
from tests.query_events import DAY, OF_EVENTS, PROPERTIES, SOURCES, VISITS

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

# --- Ranges and buckets


class Range:
    """When a question is about: by dates of the zone (both inclusive) or by instants (ms, the end not)."""

    def __init__(self, zone, *, dates=None, instants=None):
        self.name, self.zone, self.dates, self.instants = zone, ZoneInfo(zone), dates, instants

    def holds(self, at):
        if self.dates:
            return self.dates[0] <= self.local(at).date() <= self.dates[1]
        return self.instants[0] <= at < self.instants[1]

    def local(self, at):
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(self.zone)

    def written(self):
        if self.dates:
            return [day.isoformat() for day in self.dates]
        return [self.local(at).isoformat() for at in self.instants]

    def before(self):
        if self.dates:
            first, last = self.dates
            days = (last - first).days + 1
            return Range(self.name, dates=(first - timedelta(days=days), first - timedelta(days=1)))
        first, last = self.instants
        return Range(self.name, instants=(2 * first - last, first))

    def year_before(self):
        if self.dates:
            return Range(self.name, dates=tuple(_year_ago(day) for day in self.dates))
        first, last = (self.local(at) for at in self.instants)
        if (last.month, last.day) == (2, 29) != (first.month, first.day):
            last = last.replace(month=3, day=1)
        moments = (_year_ago(first), _year_ago(last))
        return Range(self.name, instants=tuple(round(each.timestamp() * 1000) for each in moments))

    def digits(self, at, interval, week_start="monday"):
        """What all instants of one bucket have in common."""
        moment = self.local(at)
        if interval == "hour":
            return (moment.date(), moment.hour, moment.utcoffset())
        if interval == "weekday":
            return moment.isoweekday()
        if interval == "hour_of_day":
            return moment.hour
        if interval == "week":
            return moment.date() - timedelta(days=(moment.weekday() - WEEKDAYS.index(week_start)) % 7)
        return moment.timetuple()[: {"day": 3, "month": 2, "year": 1}[interval]]

    def buckets(self, interval, week_start="monday"):
        """The digits of all buckets, in order."""
        if self.dates:
            noon = round(datetime.combine(self.dates[0], datetime.min.time(), UTC).timestamp() * 1000)
            last = noon + ((self.dates[1] - self.dates[0]).days + 2) * DAY
            steps = (at for at in range(noon - DAY, last, 900_000) if self.holds(at))
        else:
            steps = [*range(*self.instants, 900_000), self.instants[1] - 1]
        return list(dict.fromkeys(self.digits(at, interval, week_start) for at in steps))


def _year_ago(day):
    leap = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - 1, day=28 if leap else day.day)


# --- Filters and fields


def _with_bots(body):
    asked = [["is", "is_bot", [True]], ["is_not", "is_bot", [False]]]
    return body.get("include", {}).get("bots", False) or any(
        each in asked for each in body.get("filters", [])
    )


RATES = ["conversion_rate", "group_conversion_rate"]


def is_goal(name):
    return name == "event_type" or name.startswith("property:")


def _is_goal_filter(each):
    return isinstance(each[1], str) and is_goal(each[1]) and not each[0].endswith("_not")


def named_goal(body):
    """Whether a question names a goal: what visitors did."""
    filters = list(_all_of(body.get("filters", [])))
    return any(map(is_goal, body.get("dimensions", []))) or any(map(_is_goal_filter, filters))


def _all_of(filters):
    for each in filters:
        if each[0] == "and":
            yield from _all_of(each[1])
        else:
            yield each


def without_goal(filters):
    return [each for each in _all_of(filters) if not _is_goal_filter(each)]


class Truth:
    """The answers about these events, of one workspace. `tags`: for each tag its links."""

    def __init__(self, events, workspace, tags):
        self.events = [event for event in events if event["workspace_id"] == workspace]
        self.tags = tags
        for event in self.events:
            event["parsed"] = json.loads(event["properties"] or "{}")

    def answer(self, body, when):
        """For each group (the dimensions' values) the metrics' values."""
        bots = _with_bots(body)
        by_site = "site_id" in body.get("dimensions", [])
        inside, chosen, scope = self._chosen(body, when, with_bots=bots or "bot_share" in body["metrics"])
        groups = defaultdict(list)
        for event in chosen:
            for key in self._keys(body, when, scope, event):
                groups[key].append(event)
        if not body.get("dimensions"):
            groups[()] = chosen
        visits = _Scope(
            [event for event in inside if bots or not event["is_bot"]],
            self.tags,
            (lambda event: (event["session_id"], event["site_id"])) if by_site else None,
        )
        visits.first = self._first(body, bots=bots)
        everybody = self.everybody(body, when)
        found = {
            key: [
                metric(
                    name, group if bots else [e for e in group if not e["is_bot"]], group, visits, everybody
                )
                for name in body["metrics"]
            ]
            for key, group in groups.items()
        }
        for place, name in enumerate(body["metrics"]):
            if name == "share" or (name in RATES and named_goal(body)):
                for key, row in found.items():
                    mine = [e for e in groups[key] if bots or not e["is_bot"]]
                    of = self._divided_by(body, when, name, key)
                    row[place] = ratio(different(mine, "visitor_id"), of)
        return found

    def empty(self, body, when, key):
        """The row of a group without an event: a rate of nobody is 0 where anybody was."""
        everybody = self.everybody(body, when)
        return [
            ratio(0, self._divided_by(body, when, name, key))
            if name == "share" or (name in RATES and named_goal(body))
            else nothing(name, everybody)
            for name in body["metrics"]
        ]

    def _divided_by(self, body, when, name, key):
        """The visitors that a share, or a rate of a goal, of the group `key` is of."""
        dimensions = body.get("dimensions", [])
        if name == "share":
            kept = list(range(len(dimensions)))[:1]
            plain = body
        else:
            plain = body | {"filters": without_goal(body.get("filters", []))}
            kept = [
                place
                for place, each in enumerate(dimensions)
                if (not is_goal(each) if name == "group_conversion_rate" else each.startswith("time:"))
            ]
        plain = plain | {"dimensions": [dimensions[place] for place in kept], "metrics": ["visitors"]}
        wanted = tuple(key[place] for place in kept)
        return self.answer(plain, when).get(wanted, [0])[0]

    def everybody(self, body, when):
        """The visitors of all groups together."""
        return different(self.counted(body, when), "visitor_id")

    def counted(self, body, when):
        """The events that all groups together are about."""
        return self._chosen(body, when, with_bots=_with_bots(body))[1]

    def _chosen(self, body, when, *, with_bots):
        inside = [
            event for event in self.events if when.holds(event["occurred_at"]) and _at_sites(body, event)
        ]
        scope = _Scope([event for event in inside if with_bots or not event["is_bot"]], self.tags)
        chosen = [event for event in scope.events if scope.passes(body, event)]
        if "tag" in body.get("dimensions", []):
            chosen = [e for e in chosen if any(e["link_id"] in links for links in self.tags.values())]
        return inside, chosen, scope

    def _first(self, body, *, bots):
        """The places of the first events of visitors with an id of their own, of all time."""
        first = {}
        for event in self.events:
            event["place"] = (event["occurred_at"], event["seq"], event["shard"])
            own = event["visitor_id"] not in (0, event["device_hash"])
            if own and (bots or not event["is_bot"]) and _at_sites(body, event):
                known = first.get(event["visitor_id"], event["place"])
                first[event["visitor_id"]] = min(event["place"], known)
        return set(first.values())

    def _keys(self, body, when, scope, event):
        keys = [()]
        for name in body.get("dimensions", []):
            if name == "tag":
                values = [tag for tag, links in self.tags.items() if event["link_id"] in links]
            elif name.startswith("time:"):
                interval = name.removeprefix("time:")
                values = [when.digits(event["occurred_at"], interval, body.get("week_start", "monday"))]
            elif name == "country":
                code = event["country_code"]
                values = [country_names().get(code, code or "Unknown")]
            elif name in ("referer_host", "event_referer_host"):
                values = [scope.value(name.replace("referer", "referrer"), event) or "direct"]
            else:
                values = [scope.value(name, event)]
            keys = [(*key, value) for key in keys for value in values]
        return keys


def _at_sites(body, event):
    """Whether an event is one of the sites asked about: a question about these is made of theirs only."""
    asked = [body["site_id"]] if isinstance(body.get("site_id"), str) else body.get("site_id")
    named = [each[2] for each in _always(body.get("filters", [])) if each[:2] == ["is", "site_id"]]
    return all(event["site_id"] in sites for sites in [*([asked] if asked else []), *named])


def _always(filters):
    for each in filters:
        if each[0] == "and":
            yield from _always(each[1])
        elif each[-1] != {"case_sensitive": False}:
            yield each


class _Scope:
    """Events that belong together: what is said of an event because of others is said within these."""

    def __init__(self, events, tags, key=None):
        """`key`: what an event's visit is, if not its session."""
        self.events, self.tags = events, tags
        self.key = key or (lambda event: event["session_id"])
        self._did = {}
        self.sessions = defaultdict(list)
        for event in sorted(events, key=lambda e: (e["occurred_at"], e["seq"])):
            if event["session_id"]:
                self.sessions[self.key(event)].append(event)
        self.visits = {}
        on_sites = defaultdict(list)
        for event in sorted(events, key=lambda e: (e["occurred_at"], e["seq"])):
            if event["session_id"]:
                on_sites[event["session_id"], event["site_id"]].append(event)
        for visit, its in on_sites.items():
            first = [
                event["entry_page"] or event["page_path"]
                for event in its
                if event["entry_page"] or event["event_type"] == "page_view"
            ]
            pages = [event["page_path"] for event in its if event["event_type"] == "page_view"]
            self.visits[visit] = {
                "entry_page": first[0] if first else "", "exit_page": pages[-1] if pages else ""
            }  # fmt: skip

    def visit(self, event):
        """All events of an event's visit."""
        return self.sessions[self.key(event)] if event["session_id"] else None

    def _who_did(self, given):
        key = json.dumps(given)
        if key not in self._did:
            self._did[key] = {e["visitor_id"] for e in self.events if self.holds(given, e)} - {0}
        return self._did[key]

    def value(self, name, event):
        if name in VISITS:
            return self.visits.get((event["session_id"], event["site_id"]), {}).get(name, "")
        if name == "hostname":
            return (urlsplit(event["page_url"]).hostname or "").lower()
        if name in SOURCES:
            return event[f"entry_{name}"]
        if name in OF_EVENTS:
            return event[name.removeprefix("event_")]
        if name in PROPERTIES or name.startswith("property:"):
            return as_text(event["parsed"].get(name.removeprefix("property:")))
        if name == "source":
            return event["sent_by"] or event["source"]
        return event[name]

    def passes(self, body, event):
        sites = body.get("site_id")
        sites = [sites] if isinstance(sites, str) else sites
        return (sites is None or event["site_id"] in sites) and all(
            self.holds(each, event) for each in body.get("filters", [])
        )

    def holds(self, given, event):
        operator, *rest = given
        match operator:
            case "and":
                return all(self.holds(part, event) for part in rest[0])
            case "or":
                return any(self.holds(part, event) for part in rest[0])
            case "not":
                return not self.holds(rest[0], event)
            case "has_done" | "has_not_done":
                return (event["visitor_id"] in self._who_did(rest[0])) == (operator == "has_done")
        name, values, *modifier = rest
        if name == "tag":
            found = any(event["link_id"] in self.tags.get(tag, ()) for tag in values)
            return found == (operator == "is")
        return compare(operator, self.value(name, event), values, *modifier)


def compare(operator, value, values, modifier=None):
    """Whether a filter on one field holds."""
    if operator in ("gt", "gte", "lt", "lte"):
        try:
            number = float(value)
        except ValueError:
            return False
        [bound] = values
        return {
            "gt": number > bound, "gte": number >= bound, "lt": number < bound, "lte": number <= bound
        }[operator]  # fmt: skip
    found = any(_same(operator.removesuffix("_not"), value, each, modifier or {}) for each in values)
    return found != operator.endswith("_not")


def _same(operator, value, wanted, modifier):
    if isinstance(value, str) and not modifier.get("case_sensitive", True):
        if operator == "matches":
            return re.search(wanted, value, re.IGNORECASE) is not None
        value, wanted = fold(value), fold(wanted)
    if operator == "contains":
        return wanted in value
    if operator == "matches":
        return re.search(wanted, value) is not None
    return value == wanted


def as_text(value):
    """A property as text; null is none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


# --- Metrics


def different(events, name):
    return len({event[name] for event in events} - {0, ""})


def metric(name, events, whatever_bots, scope, everybody):
    """One figure of these events. `scope`: the visits they belong to; `everybody`: visitors in all groups."""

    def count(*kinds):
        return sum(event["sample_weight"] for event in events if not kinds or event["event_type"] in kinds)

    sessions = list({id(each): each for each in map(scope.visit, events) if each}.values())
    match name:
        case "events":
            return round(sum(e["sample_weight"] for e in events if e["event_type"] != "engagement"))
        case "clicks" | "pageviews" | "impressions" | "widget_clicks" | "conversions":
            kind = {
                "clicks": "click", "pageviews": "page_view", "impressions": "widget_impression",
                "widget_clicks": "widget_click", "conversions": "conversion",
            }[name]  # fmt: skip
            return round(count(kind))
        case "human_clicks":
            people = [e for e in whatever_bots if e["event_type"] == "click" and not e["is_bot"]]
            return round(sum(event["sample_weight"] for event in people))
        case "unique_clicks":
            clicks = [e for e in events if e["event_type"] == "click" and e["visitor_id"]]
            return len({(e["visitor_id"], e["link_id"], e["occurred_at"] // 86_400_000) for e in clicks})
        case "viewable_impressions":
            return round(
                sum(
                    event["sample_weight"]
                    for event in events
                    if event["event_type"] == "widget_impression"
                    and event["parsed"].get("viewport_percent", 0) >= 50
                )
            )
        case "ctr":
            return ratio(count("widget_click"), count("widget_impression"))
        case "visitors":
            return different(events, "visitor_id")
        case "sessions":
            return different(events, "session_id")
        case "unique_countries":
            return different(events, "country_code")
        case "unique_referrers":
            return different(events, "referrer_host")
        case "links":
            return different([event for event in events if event["event_type"] == "click"], "link_id")
        case "views_per_session":
            return ratio(
                sum(e["event_type"] == "page_view" for each in sessions for e in each), len(sessions)
            )
        case "bounce_rate":
            told = [[e for e in each if e["event_type"] != "engagement"] for each in sessions]
            return ratio(sum(len(each) == 1 for each in told), len(sessions))
        case "session_duration":
            told = [[e["occurred_at"] for e in each if e["event_type"] != "engagement"] for each in sessions]
            spans = [max(each, default=0) - min(each, default=0) for each in told]
            return ratio(sum(spans) / 1000, len(sessions))
        case "conversion_rate" | "group_conversion_rate":
            buyers = [event for event in events if event["event_type"] == "conversion"]
            return ratio(different(buyers, "visitor_id"), different(events, "visitor_id"))
        case "revenue":
            return revenue(events)
        case "average_revenue":
            sales = [e["parsed"]["currency"] for e in events if is_sale(e)]
            return {
                currency: abs(total) // sales.count(currency) * (1 if total >= 0 else -1)
                for currency, total in revenue(events).items()
            }
        case "time_on_page":
            engaged = [e for e in events if e["event_type"] == "engagement" and engagement(e) > 0]
            seconds = sum(map(engagement, engaged)) / 1000
            return ratio(seconds, different(engaged, "session_id"))
        case "scroll_depth":
            deepest = defaultdict(float)
            for e in events:
                if e["event_type"] == "engagement" and e["session_id"] and "scroll_depth" in e["parsed"]:
                    deepest[e["session_id"]] = max(deepest[e["session_id"]], e["parsed"]["scroll_depth"])
            return ratio(sum(deepest.values()), len(deepest))
        case "share":
            return None  # of no group
        case "new_visitors":
            return len({e["visitor_id"] for e in events if e["place"] in scope.first})
        case "bot_share":
            counted = [event for event in whatever_bots if event["event_type"] != "engagement"]
            bots = sum(event["sample_weight"] for event in counted if event["is_bot"])
            return ratio(bots, sum(event["sample_weight"] for event in counted))
        case "percentage":
            return ratio(different(events, "visitor_id"), everybody)
        case "last_at":
            return max((event["occurred_at"] for event in events), default=None)


def engagement(event):
    return event["parsed"].get("engagement_time", 0)


def is_sale(event):
    return event["event_type"] == "conversion" and "value_minor" in event["parsed"]


def revenue(events):
    sums = defaultdict(int)
    for event in events:
        if is_sale(event):
            sums[event["parsed"]["currency"]] += event["parsed"]["value_minor"]
    return dict(sums)


def ratio(above, below):
    return above / below if below else None


def nothing(name, everybody=0):
    """A metric of no events, beside groups with so many visitors together."""
    return metric(name, [], [], _Scope([], {}), everybody)
