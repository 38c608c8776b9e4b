"""The same question answered from the events alone, and from rollups with the events they lack."""

import dataclasses
import json
import math
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from footfall.model.cubes import CUBES
from footfall.query.answers import QueryRunner
from footfall.query.engine import Engine
from footfall.query.language.body import Query, resolve_query
from footfall.query.language.ranges import compared_period, period_of
from footfall.state.ledger import LedgerCount, add
from footfall.state.rollups.row_counts import RollupState
from tests.contract.installation import one_store
from tests.contract.sliced import DAY, END, SITES, START, ZONES, new_world
from tests.query_events import SOURCES, make_visits
from tests.query_truth import named_goal

LINKS = ["link_1", "link_2", "link_3"]
TAGS = {"spring": ["link_1", "link_2"], "it's": ["link_2", "link_9"]}
NOW = datetime(2026, 5, 1, tzinfo=UTC)
"""After everything: compaction merges whole months."""

ODD_ZONES = ("Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe")
HOURLY = {
    "total": [
        "events", "clicks", "pageviews", "impressions", "viewable_impressions", "widget_clicks", "ctr",
        "visitors", "sessions", "conversions", "conversion_rate", "revenue", "bot_share", "unique_countries",
        "unique_referrers", "links", "percentage", "human_clicks", "unique_clicks",
    ],
    "link_hour": [
        "events", "clicks", "visitors", "bot_share", "percentage", "sessions", "human_clicks",
        "unique_clicks",
    ],
}  # fmt: skip
DAILY = [
    "events",
    "clicks",
    "pageviews",
    "visitors",
    "conversions",
    "conversion_rate",
    "bot_share",
    "percentage",
]
WIDGET_TYPES = ["widget_impression", "widget_click", "device_page_view"]
FILTERS = {
    "event_type": [["is", ["click", "page_view"]], ["is_not", ["click"]], ["contains", ["widget", "it's"]]],
    "is_bot": [["is", [True]], ["is", [False]]],
    "site_id": [["is_not", ["berlin"]], ["is", ["berlin", ""]], ["contains", ["o"]]],
    "asn": [["gt", [0]], ["is", [64512, 0]]],
}
TEXT_FILTERS = [
    ["is_not", [""]], ["is", ["", "DE", "m1", "Chrome", "/"]], ["matches", ["^[a-z/]"]], ["gt", [5]],
    ["contains", ["e", "ü"], {"case_sensitive": False}],
]  # fmt: skip


@pytest.fixture(scope="module")
async def store(tmp_path_factory):
    async with one_store(tmp_path_factory.mktemp("store")) as store:
        yield store


# --- What happens before anybody asks


@dataclasses.dataclass
class Asking:
    """A world and what it takes to ask about it."""

    world: object
    seed: int = 0

    async def take(self, count, first, last, *, shard=2**63 + 5, letters=0):
        self.seed += 1
        events = make_visits(self.seed, count, first, last, ["acme", "other"], LINKS, 0, SITES)
        dead = await self.world.take(events, shard=shard, letters=letters)
        lines = [LedgerCount(e["workspace_id"], e["site_id"], 0, "stored", 1, "") for e in events]
        await self.world.database.run(lambda connection: add(connection, lines))
        return dead

    async def answer(self, body, *, rollups):
        query = msgspec.convert(body, Query)
        state = RollupState(self.world.database) if rollups else None
        period = period_of(query, NOW)
        asked = resolve_query(query, "acme", period, TAGS)
        other = compared_period(query, period, NOW)
        before = resolve_query(query, "acme", other, TAGS) if other else None
        return await QueryRunner(Engine(self.world.store, state, small=0), asked, before, 10.0).table()


async def happens(asking, steps):
    """Each step is what the worker or a job does."""
    world = asking.world
    for step, number in steps:
        match step:
            case "events":
                await asking.take(60 + number, START, END)
            case "late":
                await asking.take(15, START - 40 * DAY, END, shard=7)
            case "letters":
                dead = await asking.take(30, START, END, letters=6)
                await world.rollups.slice_all()
                await world.retry(dead[: 1 + number % 5])
            case "slice":
                await world.rollups.slice_all()
            case "merge":
                world.clock.at = NOW.timestamp()
                await world.rollups._merge(NOW.timestamp())


_step = st.tuples(
    st.sampled_from(["events", "events", "late", "letters", "slice", "slice", "merge"]), st.integers(0, 60)
)
# At the end something is in rollups, and mostly something below the watermarks is not.
steps = st.tuples(
    st.just([("events", 80)]),
    st.lists(_step, min_size=2, max_size=8),
    st.sampled_from([[("letters", 3)], [("letters", 4), ("events", 9)], [("slice", 0), ("events", 9)]]),
).map(lambda parts: [step for part in parts for step in part])


# --- Questions that a cube answers


@st.composite
def ranges(draw):
    zone = draw(st.sampled_from(["UTC", *ZONES.values(), "Asia/Kathmandu"]))
    if draw(st.booleans()):
        return zone, ["2026-03-26", draw(st.sampled_from(["2026-03-28", "2026-03-29", "2026-04-02"]))]
    start = START - DAY + draw(st.integers(0, 2 * DAY))
    end = start + draw(st.integers(3 * DAY, 5 * DAY))
    return zone, [datetime.fromtimestamp(at / 1000, UTC).isoformat() for at in (start, end)]


def asked_as(column):
    """What a column of rollups is called in a question."""
    if column in SOURCES:
        return f"event_{column}"
    bare = column.removeprefix("entry_")
    return bare if bare in SOURCES else column


@st.composite
def bodies(draw, cube):
    """A question, and whether rollups must have a part in its answer."""
    zone, dates = draw(ranges())
    fields = [asked_as(name) for name in cube.fields]
    known = [*fields, "event_type", "is_bot", "site_id"]
    metrics = HOURLY.get(cube.name) or DAILY
    if cube.name == "link":
        metrics = [*DAILY, "sessions", "unique_countries", "unique_referrers", "unique_clicks"]
    if cube.name == "widget":
        metrics = [*DAILY, "sessions", "impressions", "viewable_impressions", "widget_clicks", "ctr"]
    body = {
        "metrics": draw(st.lists(st.sampled_from(metrics), min_size=1, max_size=6, unique=True)),
        "dimensions": draw(st.lists(st.sampled_from(known), max_size=3, unique=True)),
        "filters": [],
        "date_range": dates,
        "timezone": zone,
        "include": {"bots": draw(st.booleans()), "total_rows": True},
    }
    for name in draw(st.lists(st.sampled_from(known), max_size=2)):
        operator, *rest = draw(st.sampled_from(FILTERS.get(name, TEXT_FILTERS)))
        given_filter = [operator, name, *rest]
        if draw(st.booleans()):
            given_filter = draw(
                st.sampled_from(
                    [["not", given_filter], ["or", [given_filter, ["is", "event_type", ["click"]]]]]
                )
            )
        body["filters"].append(given_filter)
    if cube.only == "link":
        body["filters"].append(
            draw(st.sampled_from([["is_not", "link_id", [""]], ["is", "link_id", LINKS[:2]]]))
        )
        if "link_id" not in body["dimensions"] and draw(st.booleans()):
            body["dimensions"] = [*body["dimensions"][:2], "tag"]
    if cube.only == "widget":
        body["filters"].append(["is", "event_type", WIDGET_TYPES[: draw(st.integers(1, 3))]])
    if cube.only in ("content", "visit_content"):
        content, term = fields
        body["filters"].append(
            draw(st.sampled_from([["is_not", content, [""]], ["is", term, ["spring", "x"]]]))
        )
    if cube.only == "bot":
        body["filters"].append(
            draw(st.sampled_from([["is", "is_bot", [True]], ["is_not", "is_bot", [False]]]))
        )
    if "country_code" in cube.fields and draw(st.booleans()):
        body["dimensions"] = [*body["dimensions"][:2], "country"]
    if draw(st.booleans()):
        body["compare"] = "previous_period"
    must = True
    if draw(st.booleans()) and "site_id" not in json.dumps(body["filters"]):
        body["site_id"] = draw(st.sampled_from(sorted(ZONES)))
        body["timezone"] = ZONES[body["site_id"]] if draw(st.booleans()) else zone
    if draw(st.booleans()):
        times = [["time:day"], ["time:week"], ["time:month"], ["time:weekday"]]
        times += [["time:hour"], ["time:weekday", "time:hour_of_day"]] if cube.grain == "hour" else []
        body["dimensions"] = [*body["dimensions"][:2], *draw(st.sampled_from(times))]
        must = cube.grain == "hour" or body["timezone"] == ZONES.get(body.get("site_id", ""))
        # Their hours begin within an hour of the rollups of Berlin.
        must = must and not (cube.grain == "hour" and body["timezone"] in ODD_ZONES)
    # What a rate is of, all visitors without the goal, may be in no rollup.
    return body, must and not ("conversion_rate" in body["metrics"] and named_goal(body))


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


def totals(found):
    return found.unidentified, found.known_for_a_day, found.sampled


def plain(table):
    return (
        sorted(
            (msgspec.to_builtins(row) for row in table.rows),
            key=lambda row: [str(value) for value in row["dimensions"]],
        ),
        table.total,
        table.buckets,
    )


def figures(rows):
    return [
        [row["dimensions"], row["metrics"], *([row["comparison"]["metrics"]] if "comparison" in row else [])]
        for row in rows
    ]


_worlds = settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.anyio
async def test_both_ways_say_the_same(store, tmp_path_factory):
    """Cubes by cubes, over worlds in which late events, letters, slices and compactions took turns."""
    checks = []

    @_worlds
    @given(happened=steps, data=st.data())
    def draw(happened, data):
        checks.append((happened, [(cube, *data.draw(bodies(cube), label=cube.name)) for cube in CUBES]))

    draw()
    for happened, questions in checks:
        async with new_world(store, tmp_path_factory.mktemp("world"), due=500) as world:
            asking = Asking(world)
            await happens(asking, happened)
            for cube, body, must in questions:
                raw = await asking.answer(body, rollups=False)
                both = await asking.answer(body, rollups=True)
                told = json.dumps([cube.name, body, happened])
                rows, *rest = plain(both)
                expected, *others = plain(raw)
                assert same(figures(rows), figures(expected)), told
                assert rest == others, told
                assert {each.source for each in raw.found} == {"raw"}
                assert list(map(totals, raw.found)) == list(map(totals, both.found)), told
                if must:
                    assert "raw" not in {each.source for each in both.found}, told


@pytest.mark.anyio
async def test_many_visitors_are_the_same_both_ways(store, tmp_path_factory):
    """Also where visitors are estimated, whatever they were sliced and merged into."""
    async with new_world(store, tmp_path_factory.mktemp("world"), due=500) as world:
        asking = Asking(world)
        for _ in range(3):
            await asking.take(3_000, START, END)
            await world.rollups.slice_all()
        await happens(asking, [("merge", 0)])
        await asking.take(3_000, START, END)
        for body in (
            {"metrics": ["visitors", "sessions"], "date_range": ["2026-03-01", "2026-04-30"]},
            {
                "metrics": ["visitors"],
                "dimensions": ["country_code"],
                "date_range": ["2026-03-28T03:30:00Z", "2026-04-30"],
            },
        ):
            raw = await asking.answer(body, rollups=False)
            both = await asking.answer(body, rollups=True)
            assert plain(raw) == plain(both)
            assert both.found[0].source == "both"
            if "dimensions" not in body:
                [row] = raw.rows
                [(visitors, sessions)] = await store.query(
                    "SELECT uniqExactIf(visitor_id, visitor_id != 0),"
                    " uniqExactIf(session_id, session_id != 0)"
                    " FROM events WHERE workspace_id = 'acme' AND NOT is_bot"
                )
                assert row.metrics == [
                    pytest.approx(visitors, rel=0.015),
                    pytest.approx(sessions, rel=0.015),
                ]
