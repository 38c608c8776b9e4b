"""What Plausible's tests show of its Stats API, asked here: from events alone, and from rollups."""

import json
import math
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from footfall.model.columns import COLUMNS
from footfall.model.entry import ENTRY_OF
from footfall.query.answers import QueryRunner
from footfall.query.engine import Engine
from footfall.query.language.body import Query, resolve_query
from footfall.query.language.ranges import compared_period, period_of
from footfall.query.language.saved import saved_names
from footfall.state.ledger import LedgerCount, add
from footfall.state.rollups.row_counts import RollupState
from footfall.tenants.model import Goal
from footfall.tenants.saved import checked_goal
from tests.contract.installation import one_store
from tests.contract.sliced import new_world
from tests.truth import EMPTY

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
NOW = datetime(2026, 5, 1, tzinfo=UTC)
TIMEOUT = 1_800_000
LENGTHS = {"time:hour": 13, "time:day": 10, "time:month": 10}
"""Of what is said of an instant in the tables."""


def simple(name, first, second):
    """Three visitors with one value, two with another, one with none."""
    values = [first] * 3 + [second] * 2 + [""]
    seen = [
        [number, f"2021-01-01 0{number}:00", "page_view", {name: value}]
        for number, value in enumerate(values, 1)
    ]
    ask = {"metrics": ["visitors"], "dimensions": [name]}
    rows = [[[first], [3]], [[second], [2]], [[""], [1]]]
    return {"name": f"by {name}", "seen": seen, "ask": ask, "rows": rows}


def filtered(name, value, own=None):
    """One of two visitors has a value: of the visit, or, in the field `own`, of each event."""
    seen = [
        [1, "00:00", "page_view", {own or name: value}],
        [1, "00:25", "page_view", {own: value} if own else {}],
        [2, "00:00", "page_view", {name: "" if value else "example.com"}],
    ]
    metrics = ["pageviews", "visitors", "bounce_rate", "session_duration"]
    ask = {"metrics": metrics, "filters": [["is", name, [value]]]}
    return {
        "name": f"filter by {name} {value}",
        "seen": seen,
        "ask": ask,
        "rows": [[[], [2, 1, 0.0, 1500.0]]],
    }


TABLES = ("cases", "filters", "breakdowns", "goals", "sequences")
CASES = [case for table in TABLES for case in tomllib.loads((HERE / f"{table}.toml").read_text())["case"]] + [
    simple("channel", "search", "social"),
    simple("referrer_host", "example.com", "google.com"),
    simple("utm_medium", "Search", "social"),
    simple("utm_source", "Google", "Bing"),
    simple("utm_campaign", "ads", "profile"),
    simple("utm_content", "Content1", "blog2"),
    simple("utm_term", "Term1", "favicon"),
    simple("os", "Mac", "Windows"),
    simple("browser", "Chrome", "Safari"),
    simple("device_type", "mobile", "desktop"),
    filtered("channel", "search"),
    filtered("referrer_host", "google.com"),
    filtered("referrer_host", ""),
    filtered("referrer", "https://facebook.com", "referrer"),
    filtered("utm_medium", "social"),
    filtered("utm_source", "Twitter"),
    filtered("utm_campaign", "profile"),
    filtered("entry_device_type", "desktop", "device_type"),
    filtered("entry_country_code", "EE", "country_code"),
    filtered("browser", "Chrome", "browser"),
    filtered("browser_version", "56", "browser_version"),
    filtered("os", "Mac", "os"),
    filtered("os_version", "10.5", "os_version"),
]
BY_NAME = {case["name"]: case for case in CASES}


def events_of(case, workspace, first_seq):
    """Rows as the worker would have made them."""
    live, events = {}, []
    seen = BY_NAME[case["like"]]["seen"] if "like" in case else case["seen"]
    for number, (visitor, time, kind, *more) in enumerate(seen):
        at = round(
            datetime.fromisoformat(time if "-" in time else f"2021-01-01 {time}")
            .replace(tzinfo=UTC)
            .timestamp()
            * 1000
        )
        event = {
            column.name: EMPTY.get(column.type.removeprefix("LowCardinality(").removesuffix(")"), 0)
            for column in COLUMNS
        }
        told = dict(more[0]) if more else {}
        if "props" in told:
            told["properties"] = json.dumps(told.pop("props"))
        event |= {"page_path": "/", "channel": "direct"} | told
        opened = live.get(visitor)
        if opened is None or at - opened[0] > TIMEOUT:
            opened = (at, visitor * 1_000_003 + at, {name: event[own] for name, own in ENTRY_OF.items()})
        live[visitor] = (at, *opened[1:])
        events.append(
            event
            | opened[2]
            | {
                "event_id": (first_seq + number).to_bytes(16, "big"), "event_type": kind, "event_version": 1,
                "occurred_at": at, "received_at": at, "source": "api", "workspace_id": workspace,
                "visitor_id": visitor, "device_hash": visitor + 10**9, "session_id": opened[1],
                "latitude": None, "longitude": None, "sample_weight": 1.0, "seq": first_seq + number,
            }
        )  # fmt: skip
    return events


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    """All cases, each in a workspace of its own; all but the newest events are in rollups."""
    async with (
        one_store(tmp_path_factory.mktemp("store")) as store,
        new_world(store, tmp_path_factory.mktemp("world"), due=500) as world,
    ):
        events = []
        for number, case in enumerate(CASES):
            events += events_of(case, f"case {number}", len(events))
        await world.take(events, shard=2**63 + 5)
        lines = [LedgerCount(e["workspace_id"], e["site_id"], 0, "stored", 1, "") for e in events]
        await world.database.run(lambda connection: add(connection, lines))
        await world.rollups.slice_all()
        yield world


def same(found, expected):
    if expected == "none":  # TOML has no null
        return found is None
    if isinstance(expected, float) and isinstance(found, float | int):
        return math.isclose(found, expected, abs_tol=1e-9)
    return found == expected


@pytest.mark.parametrize("rollups", [False, True])
@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["name"] for case in CASES])
async def test_the_answer_is_what_plausible_shows(world, number, rollups):
    case = CASES[number]
    asked = {"date_range": ["2021-01-01", "2021-01-01"]} | case["ask"]
    query = msgspec.convert(asked, Query)
    period = period_of(query, NOW)
    other = compared_period(query, period, NOW)
    saved = saved_names(
        [checked_goal(Goal("", "", "", **{"name": "", **goal})) for goal in case.get("goals", [])], []
    )
    workspace = f"case {number}"
    runner = QueryRunner(
        Engine(world.store, RollupState(world.database) if rollups else None, small=0),
        resolve_query(query, workspace, period, {}, saved),
        resolve_query(query, workspace, other, {}, saved) if other else None,
        10.0,
    )
    table = await runner.table()
    rows = [msgspec.to_builtins(row) for row in table.rows]
    if rollups and case["name"] in ("by channel", "by utm_source", "by page"):
        assert table.found[0].source != "raw"
    assert len(rows) == len(case["rows"]), rows
    for row, (dimensions, metrics, *then) in zip(rows, case["rows"], strict=True):
        told = [value[: LENGTHS.get(query.dimensions[0])] for value in row["dimensions"]]
        assert told == dimensions
        assert all(map(same, row["metrics"], metrics)), (row, metrics)
        for before in then:
            assert all(map(same, row["comparison"]["metrics"], before)), (row, before)


@pytest.mark.parametrize("case", [case for case in CASES if "differs" in case], ids=lambda case: case["name"])
async def test_where_footfall_means_to_differ_the_page_says_so(case):
    page = (HERE.parents[2] / "docs" / "query.md").read_text()
    assert case["differs"] in " ".join(page.split())
