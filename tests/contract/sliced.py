"""A store, its books and its rollups; and what the rollups must say, counted in plain Python."""

import asyncio
import json
import random
import uuid
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from footfall.model.cubes import CUBES, PROPERTY_FIELDS, columns_of, money
from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import HOUR_MS, QUARTER_MS
from footfall.rollups.maintenance import RollupMaintainer
from footfall.settings import Settings
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.dead_letters.letter import DeadLetter
from footfall.state.dead_letters.letters import DeadLetters, Settled
from footfall.state.rollups.builds import Builds
from footfall.state.tables import open_state
from footfall.store.arrow import table
from tests.truth import columns_of as arrow_columns
from tests.truth import local, make_events

DAY = 86_400_000
START = int(datetime(2026, 3, 27, tzinfo=UTC).timestamp() * 1000)
END = START + 6 * DAY  # clocks change in Berlin on the 29th; a month ends
ZONES = {
    "berlin": "Europe/Berlin",
    "kolkata": "Asia/Kolkata",
    "howe": "Australia/Lord_Howe",
    "york": "America/New_York",
}
SITES = ("", "gone", *ZONES)
QUARTERS = ("kolkata", "howe")
WIDGETS = ("widget_impression", "widget_click", "device_page_view")
HOLDS = {
    "": lambda event: True,
    "link": lambda event: event["link_id"],
    "widget": lambda event: event["event_type"] in WIDGETS,
    "visit_content": lambda e: e["entry_utm_content"] or e["entry_utm_term"],
    "content": lambda event: event["utm_content"] or event["utm_term"],
    "bot": lambda event: event["is_bot"],
}
PER_RECORD = 7


class Now:
    """A clock that stands still."""

    def __init__(self):
        self.at = END / 1000

    def __call__(self):
        return self.at


class World:
    """What the worker would have stored, and the rollups of it."""

    def __init__(self, store, database, settings, due):
        self.due = due
        self.store, self.database, self.settings = store, database, settings
        self.batches, self.letters = Batches(database), DeadLetters(database)
        self.builds = Builds(database)
        self.clock = Now()
        self.zones = dict(ZONES)
        self.rollups = self.restarted()
        self.rng = random.Random(1)
        self.events = {}  # by position; also those that are not stored
        self.offsets = defaultdict(lambda: -1)

    def restarted(self, most=1_000_000):
        """The rollups as a new process has them."""

        async def zones(sites):
            return {site: self.zones[site] for site in sites if site in self.zones}

        settings = self.settings.model_copy(update={"slice_rows": most // 2})
        self.rollups = RollupMaintainer(self.store, self.database, None, zones, settings, self.clock)
        self.rollups._due = self.due
        return self.rollups

    async def believed(self):
        return self.clock()

    async def two_nights(self, job):
        """What is due on the first is announced, and goes on the second; the clock ends where it is now."""
        self.clock.at -= 86400
        try:
            await job.apply()
        finally:
            self.clock.at += 86400
        return await job.apply()

    def made(self, count, first=START, last=END):
        """Events that are not in the log yet."""
        events = make_events(self.rng.randrange(2**32), count, first, last, ["acme", "other"])
        for event in events:
            event["site_id"] = self.rng.choice(SITES)
            event["region"] = event["country_code"] and "R" + event["country_code"]
            event["city"] = self.rng.choice(["", "Köln", "Delhi"])
            event["asn"] = self.rng.choice([0, 64496])
            event["page_path"] = self.rng.choice(["/", "/a'b", "/ü"])
            event["utm_source"] = self.rng.choice(["", "news"])
            event["sent_by"] = self.rng.choice(["", "wordpress"])
            event["bot_name"] = "bot" * event["is_bot"]
            event["sample_weight"] = self.rng.choice([1.0, 1.0, 1.0, 2.5])
            event["device_hash"] = self.rng.choice([event["visitor_id"], 5])
            if self.rng.random() < 0.1:
                event["event_type"] = "conversion"
            event["properties"] = self._properties(event["event_type"])
        return events

    def _properties(self, kind):
        if kind == "conversion":
            return self.rng.choice(
                [
                    "",
                    '{"value_minor":-250,"currency":"EUR"}',
                    '{"value_minor":9,"currency":"JPY"}',
                    f'{{"value_minor":{2**62},"currency":"EUR"}}',
                    f'{{"value_minor":{-(2**62) - 1},"currency":"XAF"}}',
                    f'{{"value_minor":{2**31},"currency":"JPY"}}',
                    '{"a":"é"}',
                ]
            )
        if kind not in WIDGETS:
            return self.rng.choice(["", '{"mapping_id":"not mine","currency":"XXX","value_minor":5}'])
        found = {"mapping_id": self.rng.choice(["m1", "m'2", 7])}
        if self.rng.random() < 0.7:
            found |= {"post_id": self.rng.choice(["1", "2", 2]), "device_slug": "ü"}
        if self.rng.random() < 0.7:
            found["viewport_percent"] = self.rng.choice([0, 49.5, 50, 100])
        return json.dumps(found, ensure_ascii=False)

    async def take(self, events, *, shard=2**63 + 5, letters=0):
        """The log has these events, and the worker is done with them; of some it made dead letters."""
        first = self.offsets[shard] + 1
        placed = []
        for index, event in enumerate(events):
            offset = first + index // PER_RECORD
            event["shard"], event["seq"] = shard, offset * SEQ_PER_RECORD + index % PER_RECORD
            placed.append(event)
        self.offsets[shard] = last = first + (len(events) - 1) // PER_RECORD
        dead = self.rng.sample(placed, letters)
        plan = BatchPlan(uuid.uuid4().hex, (SeqRange(shard, first, last, 0, 0),), len(events), 0, 0, 0)
        await self.batches.plan(plan)
        await self.insert([event for event in placed if event not in dead])
        await self.batches.close(plan, Closing((), [letter(event) for event in dead]))
        self.events |= {(event["shard"], event["seq"]): event for event in placed}
        return [(event["shard"], event["seq"]) for event in dead]

    async def insert(self, events):
        if events:
            await self.store.insert(table(arrow_columns(events)), uuid.uuid4().hex)

    async def retry(self, positions, *, settle=True):
        """The worker stores these letters."""
        for shard, seq in positions:
            await self.letters.retry(self.events[shard, seq]["workspace_id"], shard, seq)
        taken = [one for one in await self.letters.take() if (one.shard, one.seq) in positions]
        await self.insert([self.events[one.shard, one.seq] for one in taken])
        if settle:
            await self.settle(taken)
        return taken

    async def settle(self, taken):
        await self.letters.settle([Settled(one, "stored") for one in taken])

    async def stored(self):
        """The positions of all rows."""
        found = [tuple(row) for row in await self.store.query("SELECT shard, seq FROM events")]
        assert len(set(found)) == len(found)
        return set(found)

    async def unsliced(self):
        manifest = await self.builds.manifest()
        late = set(manifest.late)
        return {
            (shard, seq)
            for shard, seq in await self.stored()
            if seq > manifest.watermarks.get(shard, -1) or (shard, seq) in late
        }

    async def check(self, sliced=None, cubes=CUBES):
        """The published builds say of what is sliced exactly what they must. Returns how much that is."""
        unsliced = await self.unsliced()
        taken = [self.events[place] for place in await self.stored() - unsliced]
        assert sliced is None or len(taken) == sliced
        for cube in cubes:
            assert await self.figures(cube) == truth(cube, taken), cube.name
        manifest = await self.builds.manifest()
        assert set(manifest.zones) >= {event["site_id"] for event in taken}
        for entry in manifest.entries:
            [(rows, first, last)] = await self.store.query(
                "SELECT count(), toUnixTimestamp(min(at)) * 1000, toUnixTimestamp(max(at)) * 1000"
                " FROM rollups WHERE build = {build:UInt64} AND toYYYYMM(at) = {month:UInt32}",
                {"build": entry.build, "month": entry.month},
            )
            assert (rows, first, last) == (entry.rows, entry.first, entry.last)
        return len(taken)

    async def figures(self, cube):
        """What the published rows of a cube say: {key: figures}."""
        entries = (await self.builds.manifest()).entries
        columns = columns_of(cube)
        keys = ["workspace_id", "site_id", "event_type", "is_bot", "at", *columns.values()]
        rows = await self.store.query(
            f"SELECT {', '.join(keys)}, {', '.join(FINISHED[name] for name in cube.measures)} FROM rollups"
            " WHERE cube = {cube:String} AND (toYYYYMM(at), build) IN {of:Array(Tuple(UInt32, UInt64))}"
            f" GROUP BY {', '.join(keys)}",
            {"cube": cube.name, "of": [(entry.month, entry.build) for entry in entries] or [(0, 0)]},
        )
        found = {}
        for row in rows:
            key, figures = row[: len(keys)], row[len(keys) :]
            at = int(key[4].timestamp() * 1000)
            bucket = at if cube.grain == "hour" else local(at, ZONES.get(key[1], "UTC")).date()
            full = (*key[:4], bucket, *key[5:])
            assert full not in found  # two days would begin on the same date
            found[full] = dict(zip(cube.measures, figures, strict=True))
        return found

    async def partitions(self):
        rows = await self.store.query(
            "SELECT DISTINCT partition_id FROM system.parts"
            " WHERE table = 'rollups' AND database = currentDatabase() AND active AND rows > 0"
        )
        return {partition for (partition,) in rows}


FINISHED = {
    "events": "sum(events)",
    "sampled": "sum(sampled)",
    "unidentified": "sum(unidentified)",
    "known_for_a_day": "sum(known_for_a_day)",
    "visitors": "uniqCombinedMerge(17)(visitors)",
    "sessions": "uniqCombinedMerge(17)(sessions)",
    "links": "uniqCombinedMerge(17)(links)",
    "countries": "uniqCombinedMerge(17)(countries)",
    "referrers": "uniqCombinedMerge(17)(referrers)",
    "viewable": "sum(viewable)",
    "revenue": money("sumMapMerge(revenue)"),
    "unique_clicks": "uniqCombinedMerge(17)(unique_clicks)",
    "mapping_numbers": "sum(mapping_numbers)",
    "post_numbers": "sum(post_numbers)",
}


def letter(event):
    return DeadLetter(
        shard=event["shard"],
        seq=event["seq"],
        workspace_id=event["workspace_id"],
        site_id=event["site_id"],
        hour=0,
        reason="unprocessable",
        failed_at=0,
        size=1,
        payload=b"x",
    )


def truth(cube, events):
    """What the rows of a cube must say of these events."""
    groups = defaultdict(list)
    for event in events:
        if not HOLDS[cube.only](event):
            continue
        site = event["site_id"]
        if cube.grain == "day":
            bucket = local(event["occurred_at"], ZONES.get(site, "UTC")).date()
        else:
            step = QUARTER_MS if site in QUARTERS else HOUR_MS
            bucket = event["occurred_at"] // step * step
        values = tuple(value(event, field) for field in cube.fields)
        groups[event["workspace_id"], site, event["event_type"], event["is_bot"], bucket, *values].append(
            event
        )
    return {key: {name: figure(name, group) for name in cube.measures} for key, group in groups.items()}


def value(event, field):
    if field in PROPERTY_FIELDS:
        return str(properties(event).get(field, ""))
    if field == "source":
        return event["sent_by"] or event["source"]
    return str(event[field])


def properties(event):
    return json.loads(event["properties"] or "{}")


def figure(name, events):
    if name in ("events", "viewable"):
        return sum(e["sample_weight"] for e in events if name == "events" or viewable(e))
    if name == "sampled":
        return sum(e["sample_weight"] != 1 for e in events)
    if name == "unidentified":
        return sum(not e["visitor_id"] for e in events)
    if name == "known_for_a_day":
        return sum(e["visitor_id"] == e["device_hash"] != 0 for e in events)
    if name == "links":
        return len({e["link_id"] for e in events if e["event_type"] == "click"} - {""})
    if name == "revenue":
        return revenue(events)
    if name == "unique_clicks":
        clicks = [e for e in events if e["event_type"] == "click" and e["visitor_id"]]
        return len({(e["visitor_id"], e["link_id"], e["occurred_at"] // DAY) for e in clicks})
    if name in ("mapping_numbers", "post_numbers"):
        return sum(isinstance(properties(e).get(f"{name.split('_')[0]}_id"), int) for e in events)
    column = {
        "visitors": "visitor_id",
        "sessions": "session_id",
        "countries": "country_code",
        "referrers": "referrer_host",
    }[name]
    return len({e[column] for e in events} - {0, ""})


def viewable(event):
    return event["event_type"] == "widget_impression" and properties(event).get("viewport_percent", 0) >= 50


def revenue(events):
    sums = defaultdict(int)
    for event in events:
        if event["event_type"] == "conversion" and "value_minor" in properties(event):
            sums[properties(event)["currency"]] += properties(event)["value_minor"]
    return {currency: total for currency, total in sums.items() if total}


@asynccontextmanager
async def new_world(store, path, due):
    """Empty books, on a store that is emptied; rollups of `due` events are made at once."""
    for name in ("events", "rollups"):
        await asyncio.to_thread(store._handles.commands.command, f"TRUNCATE TABLE {name}")
    database = open_state(path / "state.db")
    try:
        yield World(store, database, Settings(data=path), due)
    finally:
        await database.close()
