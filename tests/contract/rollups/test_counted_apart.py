"""Rates, shares, money, engagement and clicks, against DuckDB: of events, of rollups, and after retention."""

import json
import math
from datetime import UTC, datetime

import duckdb
import msgspec
import pyarrow as pa
import pytest

from footfall.query.answers import QueryRunner
from footfall.query.catalog.metrics import METRICS
from footfall.query.caveats import caveats_of
from footfall.query.engine import Engine
from footfall.query.language.body import Query, resolve_query
from footfall.query.language.ranges import period_of
from footfall.query.language.saved import saved_names
from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.state.ledger import LedgerCount, add
from footfall.state.rollups.row_counts import RollupState
from footfall.tenants.model import Goal
from tests.contract.installation import one_store
from tests.contract.sliced import DAY, END, SITES, START, new_world
from tests.query_events import make_visits

pytestmark = pytest.mark.anyio

APRIL = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp() * 1000)
NOW = datetime(2026, 7, 1, tzinfo=UTC)
ALL = ["2026-03-01", "2026-04-30"]
GOALS = [Goal("", "", "", "bought", "conversion"), Goal("", "", "", "saw", page="/p*")]
BOUGHT, SAW = "event_type = 'conversion'", "event_type = 'page_view' AND page_path LIKE '/p%'"
TAGS = {"spring": ["l1", "l2"], "autumn": ["l2"]}

V = "count(DISTINCT nullif(visitor_id, 0))"
PLAIN = {
    "human_clicks": "round(coalesce(sum(sample_weight) FILTER (event_type = 'click'), 0))::BIGINT",
    "unique_clicks": "count(DISTINCT (visitor_id, link_id, occurred_at // 86400000))"
    " FILTER (event_type = 'click' AND visitor_id <> 0)",
    "conversion_rate": f"({V} FILTER ({BOUGHT})) / nullif({V}, 0)",
    "time_on_page": "sum(engaged) FILTER (engaged > 0) / 1000 / nullif("
    "count(DISTINCT nullif(session_id, 0)) FILTER (engaged > 0), 0)",
}
COLUMNS = (
    "event_type", "occurred_at", "visitor_id", "session_id", "page_path", "site_id", "browser", "link_id",
    "device_type", "country_code", "sample_weight",
)  # fmt: skip
BY = ["", "device_type", "page_path"]


class World:
    """Events that DuckDB keeps, whatever retention takes from the store."""

    def __init__(self, world):
        self.world, self.events, self.seed = world, [], 0
        world.zones = dict.fromkeys(world.zones, "UTC")

    async def take(self, count, first=START, last=END):
        self.seed += 1
        events = make_visits(self.seed, count, first, last, ["acme"], ["l1", "l2", "l3"], 0, SITES)
        for event in events:  # so that April stays
            event["received_at"] += 20 * DAY * (event["occurred_at"] >= APRIL)
        await self.world.take(events)
        lines = [LedgerCount("acme", event["site_id"], 0, "stored", 1, "") for event in events]
        await self.world.database.run(lambda connection: add(connection, lines))
        self.events += events

    async def night(self):
        """March goes."""
        self.world.clock.at = (APRIL + 40 * DAY) / 1000
        kept = Settings(raw_retention=30 * 86400)
        await self.world.two_nights(
            Retention(
                self.world.store, self.world.database, kept, self.world.rollups, None, self.world.believed, 0
            )
        )

    async def answer(self, body, *, rollups):
        """Rows by their dimensions, of which metrics something lacks, and where they come from."""
        query = msgspec.convert({"date_range": ALL} | body, Query)
        period = period_of(query, NOW)
        asked = resolve_query(query, "acme", period, TAGS, saved_names(GOALS, []))
        state = RollupState(self.world.database) if rollups else None
        table = await QueryRunner(Engine(self.world.store, state, small=0), asked, None, 10.0).table()
        told = caveats_of(period, table.found, ())
        lacking = set()
        for warning in told.warnings:
            if "no longer kept" in warning:
                names = {*warning.partition(": ")[0].split(", ")}
                lacking |= names if METRICS.keys() >= names else {*body["metrics"]}
        rows = [msgspec.to_builtins(row) for row in table.rows]
        return {tuple(row["dimensions"]): row["metrics"] for row in rows}, lacking, told.source

    def duck(self):
        people = [event for event in self.events if not event["is_bot"]]
        columns = {name: [event[name] for event in people] for name in COLUMNS}
        for name in ("visitor_id", "session_id"):
            columns[name] = pa.array(columns[name], pa.uint64())
        bodies = [json.loads(event["properties"] or "{}") for event in people]
        columns["currency"] = [body.get("currency", "") for body in bodies]
        columns["value"] = [body.get("value_minor") for body in bodies]
        engagements = [
            body if event["event_type"] == "engagement" else {}
            for body, event in zip(bodies, people, strict=True)
        ]
        columns["engaged"] = [body.get("engagement_time", 0) for body in engagements]
        columns["depth"] = pa.array([body.get("scroll_depth") for body in engagements], pa.float64())
        duck = duckdb.connect()
        duck.register("given", pa.table(columns))
        duck.execute("CREATE TABLE events AS SELECT * FROM given")
        return duck


def keyed(duck, by, value, where="true", source="events"):
    """The value by group; a constant where there are no groups."""
    if not by:
        return {(): duck.sql(f"SELECT {value} FROM {source} WHERE {where}").fetchall()[0][0]}
    rows = duck.sql(f"SELECT {by}, {value} FROM {source} WHERE {where} GROUP BY {by}").fetchall()
    return {row[:-1]: row[-1] for row in rows}


def questions(duck):
    """Each question with what DuckDB finds: by group, a value for each metric."""
    for by in BY:
        dimensions = [by] if by else []
        found = {name: keyed(duck, by, sql) for name, sql in PLAIN.items()}
        deepest = f"(SELECT {by + ',' if by else ''} session_id, max(depth) AS most FROM events"
        deepest += " WHERE depth IS NOT NULL AND session_id <> 0 GROUP BY ALL)"
        found["scroll_depth"] = keyed(duck, by, "avg(most)", source=deepest)
        for name, values in found.items():
            yield {"metrics": [name], "dimensions": dimensions}, {k: [v] for k, v in values.items()}
        sums = keyed(duck, f"{by + ',' if by else ''} currency", "(sum(value)::HUGEINT, count(*))",
                     f"{BOUGHT} AND value IS NOT NULL")  # fmt: skip
        money = {}
        for (*key, currency), (total, count) in sums.items():
            mean = abs(int(total)) // count * (1 if total >= 0 else -1)
            money.setdefault(tuple(key), [{}])[0][currency] = mean
        yield {"metrics": ["average_revenue"], "dimensions": dimensions}, money
        people, everybody = keyed(duck, by, V), keyed(duck, "", V)[()]
        for name, where in (("bought", BOUGHT), ("saw", SAW)):
            reached = keyed(duck, by, V, where)
            rates = {key: [count / everybody, count / people[key]] for key, count in reached.items()}
            yield (
                {
                    "metrics": ["conversion_rate", "group_conversion_rate"],
                    "dimensions": dimensions,
                    "filters": [["is", "goal", [name]]],
                },
                rates,
            )
            written = {key: [count / everybody] for key, count in reached.items()}
            if name == "bought":
                yield (
                    {
                        "metrics": ["conversion_rate"],
                        "dimensions": dimensions,
                        "filters": [["is", "event_type", ["conversion"]]],
                    },
                    written,
                )
            if by:
                yield (
                    {
                        "metrics": ["conversion_rate"],
                        "dimensions": ["goal", by],
                        "filters": [["is", "goal", [name]]],
                    },
                    {(name, *key): value for key, value in written.items()},
                )
    for first, second in (("device_type", "browser"), ("site_id", "page_path")):
        of = keyed(duck, first, V)
        both = keyed(duck, f"{first}, {second}", V)
        shares = {key: [count / of[key[:1]] if of[key[:1]] else None] for key, count in both.items()}
        yield {"metrics": ["share"], "dimensions": [first, second]}, shares
    tagged = "(SELECT unnest(CASE link_id WHEN 'l1' THEN ['spring'] WHEN 'l2' THEN ['spring', 'autumn'] END)"
    tagged += " AS tag, * FROM events WHERE link_id IN ('l1', 'l2'))"
    of = keyed(duck, "tag", V, source=tagged)
    both = keyed(duck, "tag, country_code", V, source=tagged)
    shares = {key: [count / of[key[:1]]] for key, count in both.items()}
    yield {"metrics": ["share"], "dimensions": ["tag", "country_code"]}, shares
    of = keyed(duck, "country_code", V, "link_id IN ('l1', 'l2')")
    both = keyed(duck, "country_code, tag", V, source=tagged)
    shares = {key: [count / of[key[:1]] if of[key[:1]] else None] for key, count in both.items()}
    yield {"metrics": ["share"], "dimensions": ["country_code", "tag"]}, shares


def same(one, other):
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other


async def check(asking, *, rollups, whole):
    """Every number is DuckDB's, or said to lack something; returns how many questions lack nothing."""
    complete, sources = [], set()
    for body, expected in questions(asking.duck()):
        rows, lacking, source = await asking.answer(body, rollups=rollups)
        sources.add(source)
        if lacking:
            assert not whole, body
            continue
        complete.append(body)
        for place, name in enumerate(body["metrics"]):
            for key, values in expected.items():
                value = rows[key][place] if key in rows else None
                assert same(value, values[place]) or not (value or values[place]), (body, key)
            for key in rows.keys() - expected.keys():
                assert not rows[key][place], (body, name, key)
    return complete, sources


async def test_numbers_are_those_of_another_engine(tmp_path):
    async with (
        one_store(tmp_path / "store") as store,
        new_world(store, tmp_path / "world", due=500) as world,
    ):
        asking = World(world)
        await asking.take(700)
        await check(asking, rollups=False, whole=True)
        await world.rollups.slice_all()
        _, sources = await check(asking, rollups=True, whole=True)
        assert sources - {"raw"}
        await asking.take(150)  # newer than the rollups
        _, sources = await check(asking, rollups=True, whole=True)
        assert "both" in sources
        await world.rollups.slice_all()
        await asking.night()
        complete, sources = await check(asking, rollups=True, whole=False)
        assert {"rollup", "both"} & sources
        answered = {name for body in complete for name in body["metrics"]}
        assert {
            "human_clicks",
            "conversion_rate",
            "group_conversion_rate",
            "share",
            "unique_clicks",
        } <= answered
        assert not {"average_revenue", "time_on_page", "scroll_depth"} & answered
        # What lacks something is named as it was asked for, though shares are made of visitors.
        parts = {
            "dimensions": ["country_code"],
            "date_range": ["2026-03-28T05:00:00Z", "2026-04-02T05:30:00Z"],
        }
        for name in ("share", "percentage"):
            _, lacking, _ = await asking.answer({"metrics": [name, "unique_clicks"]} | parts, rollups=True)
            assert lacking == {name, "unique_clicks"}
