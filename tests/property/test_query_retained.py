"""For every way to keep events and rollups an answer is what plain Python counts, or says that it is not."""

import contextlib
import dataclasses
import json
import math
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from footfall.errors import StoreDown
from footfall.model.cubes import CUBES
from footfall.query.answers import QueryRunner
from footfall.query.catalog.metrics import METRICS
from footfall.query.caveats import caveats_of
from footfall.query.engine import Engine
from footfall.query.language.body import Query, resolve_query
from footfall.query.language.ranges import compared_period, period_of
from footfall.query.plan.planner import SMALL
from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.state.ledger import LedgerCount, add
from footfall.state.rollups.row_counts import RollupState
from footfall.units import FOREVER
from tests import query_cases
from tests.contract.installation import one_store
from tests.contract.sliced import DAY, SITES, new_world
from tests.property import test_query_both_ways as both_ways
from tests.query_cases import CLOCKS, TIMES, instant
from tests.query_events import make_visits
from tests.query_truth import RATES, Range, Truth, nothing

LINKS = both_ways.LINKS
TAGS = both_ways.TAGS
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Pacific/Pago_Pago", "Pacific/Kiritimati",
    "Pacific/Auckland", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
]  # fmt: skip
BORDERS = [datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5)]
"""Months end here; clocks change in New York on 8 March, in Berlin on 29 March, on Lord Howe on 5 April."""
NOW = datetime(2026, 5, 6, tzinfo=UTC)
RAW_DAYS = [FOREVER, 1, 20, 45, 400]
ROLLUP_DAYS = [FOREVER, 3, 20, 45, 400]
SITE_DAYS = [None, 0, 1, 20, 45, 400]  # 0: for ever


def ms(moment):
    return round(moment.timestamp() * 1000)


@pytest.fixture(scope="module")
async def store(tmp_path_factory):
    async with one_store(tmp_path_factory.mktemp("store")) as store:
        yield store


# --- What happens before anybody asks


@dataclasses.dataclass
class Kept:
    """A world whose past goes, and what it takes to ask about it."""

    world: object
    seed: int = 0

    async def take(self, count, border, *, imported):
        """Events around a border of months, received when they occurred or now."""
        self.seed += 1
        first, last = ms(border) - 40 * 3_600_000, ms(border) + 40 * 3_600_000
        events = make_visits(self.seed, count, first, last, ["acme", "other"], LINKS, 0, SITES)
        for event in events:
            at = self.world.clock.at * 1000 if imported else event["occurred_at"]
            event["received_at"] = round(at)
        await self.world.take(events, shard=7 if imported else 2**63 + 5)
        lines = [LedgerCount(e["workspace_id"], e["site_id"], 0, "stored", 1, "") for e in events]
        await self.world.database.run(lambda connection: add(connection, lines))

    def retention(self, raw, rollups):
        world = self.world
        kept = Settings(raw_retention=raw * 86400, rollup_retention=rollups * 86400)
        return Retention(world.store, world.database, kept, world.rollups, None, world.believed, 0)

    async def happens(self, steps):
        """Each step is what the worker, an owner or a job does."""
        for step, *how in steps:
            match step:
                case "events" | "import":
                    await self.take(*how, imported=step == "import")
                case "slice":
                    await self.world.rollups.slice_all()
                case "merge":
                    await self.world.rollups._merge(self.world.clock.at)
                case "days":
                    self.world.clock.at += how[0] * 86400
                case "site":
                    await self.retention(FOREVER, FOREVER).set_raw_days(*how)
                case "night":
                    await self.world.two_nights(self.retention(*how))
                case "night cut short":
                    await self._announced(*how)

    async def _announced(self, *how):
        """Events are announced to go, and are there still."""
        real = self.world.store.build

        async def build(sql, parameters=None):
            if sql.startswith("ALTER TABLE events"):
                raise StoreDown("no answer")
            await real(sql, parameters)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.world.store, "build", build)
            with contextlib.suppress(StoreDown):
                await self.world.two_nights(self.retention(*how))

    async def answer(self, body, small):
        query = msgspec.convert(body, Query)
        period = period_of(query, NOW)
        asked = resolve_query(query, "acme", period, TAGS)
        other = compared_period(query, period, NOW)
        before = resolve_query(query, "acme", other, TAGS) if other else None
        engine = Engine(self.world.store, RollupState(self.world.database), small=small)
        table = await QueryRunner(engine, asked, before, 10.0).table()
        return table, caveats_of(period, table.found, table.uniques)


_borders = st.sampled_from(BORDERS)
_step = st.one_of(
    st.tuples(st.just("events"), st.integers(20, 60), _borders),
    st.tuples(st.just("import"), st.integers(10, 40), _borders),
    st.tuples(st.just("slice")),
    st.tuples(st.just("merge")),
    st.tuples(st.just("days"), st.integers(1, 40)),
    st.tuples(st.just("site"), st.sampled_from(SITES), st.sampled_from(SITE_DAYS)),
)


@st.composite
def histories(draw):
    """Zones of the sites, and steps: a few, then nights with one or two ways to keep things."""
    zones = {site: draw(st.sampled_from(ZONES)) for site in both_ways.ZONES}
    ways = st.tuples(st.sampled_from(RAW_DAYS), st.sampled_from([FOREVER, *ROLLUP_DAYS]))
    keep = draw(st.lists(ways, min_size=1, max_size=2))
    steps = [("events", 60, border) for border in BORDERS] + draw(st.lists(_step, max_size=3))
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 4)):
            steps.append(("slice",))
        name = draw(st.sampled_from(["night", "night", "night", "night cut short"]))
        steps += [(name, *draw(st.sampled_from(keep))), *draw(st.lists(_step, max_size=3))]
    return zones, steps


# --- Questions


@st.composite
def ranges(draw, zone):
    border = draw(_borders)
    if draw(st.booleans()):
        first = border.date() + timedelta(days=draw(st.integers(-3, 1)))
        last = first + timedelta(days=draw(st.sampled_from([0, 1, 2, 3, 35, 70])))
        return Range(zone, dates=(first, min(last, date(2026, 5, 5))))
    start = ms(border) + draw(st.integers(-48, 24)) * 3_600_000 + draw(st.sampled_from([0, 0, 1, 1_800_000]))
    length = draw(st.sampled_from([DAY, 2 * DAY, 35 * DAY, 70 * DAY])) + draw(st.sampled_from([0, 0, 7_000]))
    return Range(zone, instants=(start, start + length))


@st.composite
def questions(draw, zones):
    """A question of the whole grammar, or one that a cube answers; and the range it is about."""
    if draw(st.integers(0, 3)):
        body, _ = draw(both_ways.bodies(draw(st.sampled_from(CUBES))))
        metrics = draw(st.lists(st.sampled_from([*query_cases.METRICS, *["last_at"] * 9]), max_size=3))
        body["metrics"] = list(dict.fromkeys([*body["metrics"], *metrics]))
    else:
        body = draw(query_cases.bodies(_sample))
        body.pop("site_id", None)
    site = draw(st.sampled_from([None, None, *SITES]))
    if site is not None:
        body["site_id"] = site
    zone = zones.get(body.get("site_id"), "UTC") if draw(st.integers(0, 2)) else draw(st.sampled_from(ZONES))
    when = draw(ranges(zone))
    body |= {"timezone": zone, "date_range": when.written()}
    if draw(st.integers(0, 3)):
        body.pop("compare", None)
    return body, when, draw(st.sampled_from([0, 0, SMALL]))


_sample = Truth(make_visits(0, 80, 0, DAY, ["acme"], LINKS, 0, SITES), "acme", TAGS)


# --- The answer, and what must be


class Checked:
    """Answers beside what plain Python counts. `whole`: how many say that they lack nothing."""

    def __init__(self):
        self.asked = self.whole = 0

    def check(self, body, when, truth, answer, told):
        self.asked += 1
        said = Saying(body["metrics"], told)
        self.whole += not said.lacking
        time = next((name for name in body["dimensions"] if name in TIMES), None)
        expected = truth.answer(body, when)
        if len(body["dimensions"]) == 1 and body["dimensions"][0] in [*TIMES, *CLOCKS]:
            interval = body["dimensions"][0].removeprefix("time:")
            keys = [(bucket,) for bucket in when.buckets(interval, body.get("week_start", "monday"))]
            expected = {key: expected.get(key) or truth.empty(body, when, key) for key in keys}
        found = {key_of(row, body, time, when): row for row in answer.rows}
        assert len(found) == len(answer.rows)
        if not said.lacking and not said.kept:
            assert told.exact
            assert found.keys() == expected.keys()
        for place, name in enumerate(body["metrics"]):
            if name not in said.lacking | said.kept:
                self._same(name, place, found, expected, when, body)

    @staticmethod
    def _same(name, place, found, expected, when, body):
        everybody = 1  # a share of nobody is 0 where there is anybody, which no row says here
        none = (nothing(name), nothing(name, everybody), *([0.0] if name in (*RATES, "share") else []))
        for key, values in expected.items():
            if key in found:
                assert same(name, found[key].metrics[place], values[place]), (name, key)
            else:
                assert values[place] in none, (name, key)
        for key in found.keys() - expected.keys():
            assert found[key].metrics[place] in none, (name, key)


class Saying:
    """Of which metrics an answer says that they lack something, or that they come from kept visits."""

    def __init__(self, metrics, told):
        self.lacking = self._named("no longer kept", metrics, told)
        self.kept = self._named("only sums are kept", metrics, told)
        assert not (told.exact and self.lacking | self.kept)

    @staticmethod
    def _named(text, metrics, told):
        found = set()
        for warning in told.warnings:
            if text in warning:
                names = warning.partition(": ")[0].split(", ")
                found |= set(names) if set(names) <= METRICS.keys() else set(metrics)
        return found | ({"percentage"} if "visitors" in found else set())


def key_of(row, body, time, when):
    return tuple(
        when.digits(instant(value), time[5:], body.get("week_start", "monday")) if name == time else value
        for name, value in zip(body["dimensions"], row.dimensions, strict=True)
    )


def same(name, found, expected):
    if name == "last_at" and found is not None:
        found = instant(found)
    if found is None or expected is None or isinstance(expected, int | dict):
        return found == expected
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


WORLDS = 8
QUESTIONS = 24

_worlds = settings(
    max_examples=WORLDS,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.anyio
async def test_an_answer_is_true_or_says_that_it_is_not(store, tmp_path_factory):
    checks = []

    @_worlds
    @given(history=histories(), data=st.data())
    def draw(history, data):
        asked = [data.draw(questions(history[0])) for _ in range(QUESTIONS)]
        checks.append((*history, asked))

    draw()
    checked = Checked()
    for zones, steps, asked in checks:
        async with new_world(store, tmp_path_factory.mktemp("world"), due=500) as world:
            world.zones = zones
            world.clock.at = NOW.timestamp()
            kept = Kept(world)
            await kept.happens(steps)
            truth = Truth(list(world.events.values()), "acme", TAGS)
            for body, when, small in asked:
                try:
                    answer, told = await kept.answer(body, small)
                    checked.check(body, when, truth, answer, told)
                except AssertionError as error:
                    story = json.dumps([zones, steps, body, small], default=str)
                    number = f"question {checked.asked}"
                    raise AssertionError(f"{number}: {error}\n{story}\n{told}") from error
    assert checked.whole > checked.asked / 3
