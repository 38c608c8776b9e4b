"""What is asked of visits has the same answer after retention deleted their events."""

import json
import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from footfall.query.answers import QueryRunner
from footfall.query.caveats import caveats_of
from footfall.query.engine import Engine
from footfall.query.language.body import Query, resolve_query
from footfall.query.language.ranges import period_of
from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.state.ledger import LedgerCount, add
from footfall.state.retention import RetentionState
from footfall.state.rollups.row_counts import RollupState
from footfall.store import server_sql
from footfall.units import FOREVER
from tests.contract.sliced import DAY, END, SITES, START, ZONES
from tests.query_events import make_visits
from tests.truth import local

pytestmark = pytest.mark.anyio

APRIL = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp() * 1000)
NOW = datetime(2026, 7, 1, tzinfo=UTC)
TAGS = {"spring": ["link_1", "link_9"], "autumn": ["link_1"]}
ALL = ["2026-03-01", "2026-04-30"]
FIGURES = ["bounce_rate", "session_duration", "views_per_session"]
TAME = {"berlin", "york"}

QUESTIONS = {
    "totals": {"metrics": [*FIGURES, "events", "visitors", "sessions"]},
    "with bots": {"metrics": FIGURES, "include": {"bots": True}},
    "only bots": {"metrics": FIGURES, "filters": [["is", "is_bot", [True]]]},
    "a month": {"metrics": FIGURES, "date_range": ["2026-03-01", "2026-03-31"]},
    "a site": {"metrics": FIGURES, "site_id": "york", "timezone": "America/New_York"},
    "by site": {"metrics": [*FIGURES, "visitors"], "dimensions": ["site_id"]},
    "by month": {"metrics": FIGURES, "dimensions": ["time:month"], "site_id": "", "timezone": "UTC"},
    "by source": {"metrics": [*FIGURES, "sessions"], "dimensions": ["referer_host"]},
    "sessions by source": {"metrics": ["sessions", "bounce_rate"], "dimensions": ["utm_source"]},
    "by country": {"metrics": FIGURES, "dimensions": ["country"],
                   "filters": [["is_not", "country_code", ["DE"]]]},
    "from a country": {"metrics": FIGURES, "filters": [["is", "country_code", ["DE"]]]},
    "by page": {"metrics": FIGURES, "dimensions": ["page_path"]},
    "by entry page": {"metrics": ["sessions", "visitors", *FIGURES], "dimensions": ["entry_page"],
                      "filters": [["is_not", "entry_page", [""]]]},
    "by exit page": {"metrics": ["visitors", "sessions", "bounce_rate"],
                     "dimensions": ["exit_page", "site_id"], "filters": [["contains", "exit_page", ["a"]]]},
    "exit rates": {"metrics": ["exit_rate", "sessions"], "dimensions": ["exit_page"]},
    "exit rates by page": {"metrics": ["exit_rate", "pageviews"], "dimensions": ["page_path"]},
    "the exit rate": {"metrics": ["exit_rate"]},
    "of two entry pages": {"metrics": ["sessions", "bounce_rate"],
                           "filters": [["is", "entry_page", ["/", "/pricing"]]]},
}  # fmt: skip


class Asking:
    """A world with visits, and what it takes to ask about them."""

    def __init__(self, world):
        self.world = world
        self.missing = tuple  # of rollups: nothing
        self.seed = 0

    async def take(self, count, first=START, last=END, keep=lambda visit: True):
        """Visits within a month (UTC), for which `keep` holds."""
        self.seed += 1
        found = defaultdict(list)
        for event in make_visits(self.seed, count, first, last, ["acme"], ["link_1"], 0, SITES):
            found[event["session_id"] or event["event_id"]].append(event)
        events = [
            event
            for visit in found.values()
            if len({_month(event) for event in visit}) == 1 and keep(visit)
            for event in visit
        ]
        events.sort(key=lambda event: event["seq"])
        for event in events:  # so that April stays
            event["received_at"] += 20 * DAY * (event["occurred_at"] >= APRIL)
        await self.world.take(events)
        lines = [LedgerCount("acme", event["site_id"], 0, "stored", 1, "") for event in events]
        await self.world.database.run(lambda connection: add(connection, lines))
        await self.world.rollups.slice_all()

    async def answer(self, body):
        """The rows of the answer by their dimensions, and what is said about it."""
        query = msgspec.convert({"date_range": ALL} | body, Query)
        period = period_of(query, NOW)
        asked = resolve_query(query, "acme", period, TAGS)
        engine = Engine(self.world.store, RollupState(self.world.database), small=0, missing=self.missing)
        table = await QueryRunner(engine, asked, None, 10.0).table()
        told = caveats_of(period, table.found, ())
        rows = [msgspec.to_builtins(row) for row in table.rows]
        return {json.dumps(row["dimensions"]): row["metrics"] for row in rows}, told

    async def answers(self, questions=QUESTIONS):
        return {name: await self.answer(body) for name, body in questions.items()}

    def retention(self):
        self.world.clock.at = (APRIL + 40 * DAY) / 1000
        return Retention(
            self.world.store, self.world.database, Settings(raw_retention=30 * 86400),
            self.world.rollups, None, self.world.believed, 0,
        )  # fmt: skip


def _month(event):
    return datetime.fromtimestamp(event["occurred_at"] / 1000, UTC).month


def within_a_day(visit):
    return len({local(e["occurred_at"], ZONES.get(e["site_id"], "UTC")).date() for e in visit}) == 1


def of_utc(visit):
    return visit[0]["site_id"] not in ZONES


def _ms(at):
    return int(at.timestamp() * 1000)


def same(one, other):
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other


def compare(before, after, *, whole=False):
    """`whole`: the ranges are whole days of their sites, so that nothing can be missing at the edges."""
    for name, (rows, _) in before.items():
        found, told = after[name]
        assert found.keys() == rows.keys(), name
        assert not (whole and any("no longer kept" in warning for warning in told.warnings)), name
        assert told.source != "raw", name
        for key, figures in rows.items():
            assert same(found[key], figures), (name, key)


async def months(world):
    rows = await world.store.query("SELECT DISTINCT toMonth(occurred_at) AS m FROM events ORDER BY m")
    return [month for (month,) in rows]


async def test_figures_of_visits_stay_when_their_events_go(world):
    asking = Asking(world)
    await asking.take(600)
    await asking.take(200)  # a second slice
    before = await asking.answers()
    assert {len(rows) for rows, _ in before.values()} > {1, 2}
    await world.two_nights(asking.retention())
    assert await months(world) == [4]
    compare(before, await asking.answers())


async def test_days_have_the_visits_that_began_on_them(world):
    asking = Asking(world)
    await asking.take(900, keep=lambda visit: visit[0]["site_id"] in TAME and within_a_day(visit))
    ranges = (ALL, ["2026-03-28", "2026-03-29"], ["2026-03-29", "2026-04-02"])
    questions = {
        f"{site} {dates}": {
            "metrics": [*FIGURES, "visitors"],
            "dimensions": ["time:day"],
            "date_range": dates,
        }
        | {"site_id": site, "timezone": ZONES[site]}
        for site in TAME
        for dates in ranges
    }
    before = await asking.answers(questions)
    await world.two_nights(asking.retention())
    compare(before, await asking.answers(questions), whole=True)


async def test_what_was_not_kept_is_said_to_be_missing(world):
    asking = Asking(world)
    await asking.take(300)
    await world.two_nights(asking.retention())
    for body in (
        {"metrics": FIGURES, "dimensions": ["browser_version"]},
        {"metrics": FIGURES, "dimensions": ["time:hour"], "date_range": ["2026-03-30", "2026-04-01"]},
        {"metrics": FIGURES, "filters": [["is", "country_code", ["DE", "US"]]]},  # some are of both
        {"metrics": FIGURES, "filters": [["is", "event_type", ["page_view"]]]},
        {"metrics": FIGURES, "filters": [["is", "browser", ["Chrome"]], ["is", "os", ["iOS"]]]},
        {"metrics": FIGURES, "filters": [["has_done", ["is", "event_type", ["click"]]]]},
        {"metrics": ["clicks"], "dimensions": ["entry_page"]},
        {"metrics": ["visitors", "sessions"], "dimensions": ["utm_source"]},
        {"metrics": ["conversion_rate"], "filters": [["is", "entry_page", ["/"]]]},
        {"metrics": FIGURES, "date_range": ["2026-03-28T12:00:00Z", "2026-04-30T00:00:00Z"]},
        {"metrics": FIGURES, "site_id": "kolkata", "timezone": "UTC"},  # its days begin at 18:30
    ):
        _, told = await asking.answer(body)
        assert any("no longer kept" in warning for warning in told.warnings), body


async def test_events_that_are_going_count_once_and_go_in_the_end(world, failing):
    asking = Asking(world)
    await asking.take(500)
    before = await asking.answers()
    with failing("ALTER TABLE events"):
        await world.two_nights(asking.retention())
    assert await months(world) == [3, 4]
    compare(before, await asking.answers())
    await asking.take(50, APRIL, END)
    before = await asking.answers()
    assert await world.two_nights(asking.retention()) == []
    assert await months(world) == [4]
    compare(before, await asking.answers())


async def test_what_an_attempt_left_that_failed_before_counts_for_nothing_and_goes(world, failing):
    asking = Asking(world)
    await asking.take(300)
    before = await asking.answers()
    for number in (1, 2, 5):
        with failing("INSERT INTO visits", number):
            await world.two_nights(asking.retention())
        assert await months(world) == [3, 4]
        for name, (rows, _) in (await asking.answers()).items():
            assert rows.keys() == before[name][0].keys()
            assert all(same(figures, rows[key]) for key, figures in before[name][0].items())
    await world.two_nights(asking.retention())
    compare(before, await asking.answers())
    there = {int(build) for build, _ in await world.store.query(*server_sql.partitions("visits"))}
    assert there == {kept.build for kept in await RetentionState(world.database).visits()}


async def test_many_visits_are_counted_in_shares(world, monkeypatch):
    monkeypatch.setattr("footfall.retention.session_archive.BYTES", Settings().store_memory // 100)
    asking = Asking(world)
    await asking.take(500)
    before = await asking.answers()
    await world.two_nights(asking.retention())
    compare(before, await asking.answers())


async def test_what_comes_later_adds_to_what_was_kept(world):
    asking = Asking(world)
    await asking.take(300, keep=of_utc)
    await world.two_nights(asking.retention())
    at = datetime(2026, 3, 30, tzinfo=UTC)
    for _ in range(2):
        await asking.take(60, _ms(at), _ms(at + timedelta(days=1)), of_utc)
    questions = {name: body for name, body in QUESTIONS.items() if "site_id" not in body}
    before = await asking.answers(questions)
    job = asking.retention()
    world.clock.at = NOW.timestamp() + 60 * 86400
    assert await world.two_nights(job)
    assert await months(world) == []
    compare(before, await asking.answers(questions))
    assert len(await RetentionState(world.database).visits()) >= 3


async def test_they_go_with_the_rollups(world):
    asking = Asking(world)
    await asking.take(300)
    await world.two_nights(asking.retention())
    world.clock.at = (APRIL + 800 * DAY) / 1000
    job = Retention(
        world.store, world.database, Settings(raw_retention=FOREVER, rollup_retention=365 * 86400),
        world.rollups, None, world.believed, 0,
    )  # fmt: skip
    await world.two_nights(job)
    assert await RetentionState(world.database).visits() == []
    await job.apply()
    assert list(await world.store.query(*server_sql.partitions("visits"))) == []


def events(dates, *dimensions, **more):
    return {"metrics": ["events"], "dimensions": list(dimensions), "date_range": dates} | more


async def test_sites_of_two_zones_keep_their_days(world):
    asking = Asking(world)
    await asking.take(900, keep=lambda visit: visit[0]["site_id"] in TAME)
    zone = {"timezone": ZONES["berlin"]}
    questions = {
        "a day": events(["2026-03-28", "2026-03-28"], **zone),
        "by day": events(["2026-03-28", "2026-03-30"], "time:day", **zone),
    }
    before = await asking.answers(questions)
    await world.two_nights(asking.retention())
    compare(before, await asking.answers(questions), whole=True)


async def test_an_answer_that_rollups_have_a_part_of_only_says_so(world):
    asking = Asking(world)
    await asking.take(900, keep=lambda visit: visit[0]["site_id"] in TAME)
    await world.two_nights(asking.retention())
    berlin = {"site_id": "berlin", "timezone": ZONES["berlin"]}
    for body, is_told in (
        (events(["2026-03-28", "2026-03-29"], "country", **berlin), False),
        (events(["2026-03-28T00:00:00+01:00", "2026-03-29T18:00:00+02:00"], "country", **berlin), True),
        (
            events(["2026-03-28", "2026-03-29"], "country", timezone=ZONES["berlin"]),
            True,
        ),  # York's days differ
    ):
        _, told = await asking.answer(body)
        assert any("no longer kept" in warning for warning in told.warnings) == is_told, body


async def test_what_went_with_the_rollups_is_said_to_be_missing(world):
    asking = Asking(world)
    await asking.take(600, keep=of_utc)
    await world.two_nights(asking.retention())
    world.clock.at = (APRIL + 400 * DAY) / 1000
    settings = Settings(raw_retention=FOREVER, rollup_retention=365 * 86400)
    job = Retention(world.store, world.database, settings, world.rollups, None, world.believed, 0)
    await world.two_nights(job)
    for body in (
        events(ALL),
        {"metrics": FIGURES},
        {"metrics": ["sessions"], "dimensions": ["entry_page"]},
    ):
        _, told = await asking.answer(body)
        assert any("no longer kept" in warning for warning in told.warnings), body
    _, told = await asking.answer(events(["2026-04-01", "2026-04-30"]))
    assert not any("no longer kept" in warning for warning in told.warnings)


async def test_a_field_that_was_not_kept_then_is_said_to_be_missing(world, monkeypatch):
    monkeypatch.setattr("footfall.retention.session_archive.FIELDS", ("", "entry_page"))
    monkeypatch.setattr("footfall.retention.policy.FIELDS", ("", "entry_page"))
    asking = Asking(world)
    await asking.take(300, keep=of_utc)
    await world.two_nights(asking.retention())
    for dimension, is_told in (("entry_page", False), ("exit_page", True)):
        _, told = await asking.answer({"metrics": FIGURES, "dimensions": [dimension]})
        assert any("no longer kept" in warning for warning in told.warnings) == is_told


async def test_visitors_who_change_within_a_visit_all_count(world):
    def changes(visit):
        for number, event in enumerate(visit):
            event["visitor_id"] = (event["visitor_id"] or 1) + number % 2
        return True

    asking = Asking(world)
    await asking.take(300, keep=changes)
    body = {"visitors": {"metrics": ["visitors", "sessions"], "dimensions": ["entry_page"]}}
    before = await asking.answers(body)
    await world.two_nights(asking.retention())
    compare(before, await asking.answers(body))
