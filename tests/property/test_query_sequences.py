"""Who did one thing and later another: against DuckDB, which joins the events with themselves."""

import json

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.console import open_console
from tests.query_events import columns_of, make_visits

DAY = 86_400_000
START = 1_772_668_800_000  # 2026-03-05
RANGE = ["2026-03-05", "2026-03-12"]
STEPS = [
    (["is", "event_type", ["page_view"]], "event_type = 'page_view'"),
    (["is", "event_type", ["conversion"]], "event_type = 'conversion'"),
    (["is_not", "event_type", ["page_view"]], "event_type <> 'page_view'"),
    (["is", "page_path", ["/pricing", "/blog/b"]], "page_path IN ('/pricing', '/blog/b')"),
    (["contains", "page_path", ["blog"]], "contains(page_path, 'blog')"),
    (["is", "property:currency", ["EUR"]], "currency = 'EUR'"),
    (
        ["and", [["is", "event_type", ["click"]], ["not", ["is", "page_path", ["/"]]]]],
        "event_type = 'click' AND page_path <> '/'",
    ),
    (
        ["or", [["is", "event_type", ["widget_click"]], ["is", "page_path", [""]]]],
        "(event_type = 'widget_click' OR page_path = '')",
    ),
]
COLUMNS = (
    "event_type", "occurred_at", "visitor_id", "session_id", "page_path", "site_id", "browser", "seq",
    "shard",
)  # fmt: skip


class World:
    def __init__(self, console):
        self.console, self.workspace = console, console.workspace("acme")
        self.other = console.workspace("other")
        # The second part is of the same people on another shard, so that places meet at one instant.
        events = make_visits(11, 500, START, START + 3 * DAY, [self.workspace, self.other], ["l1"], 0)
        more = make_visits(11, 500, START, START + 3 * DAY, [self.workspace, self.other], ["l1"], 0)
        for event in more:
            event["shard"], event["event_id"] = 99, (10**9 + event["seq"]).to_bytes(16, "big")
            event["occurred_at"] += DAY if event["seq"] % 3 else 0
        console.insert(columns_of(events + more))
        mine = [e for e in events + more if e["workspace_id"] == self.workspace and not e["is_bot"]]
        columns = {name: [event[name] for event in mine] for name in COLUMNS}
        for name in ("visitor_id", "session_id", "shard"):
            columns[name] = pa.array(columns[name], pa.uint64())
        bodies = [json.loads(event["properties"] or "{}") for event in mine]
        columns["currency"] = [body.get("currency", "") for body in bodies]
        self.duck = duckdb.connect()
        self.duck.register("given", pa.table(columns))
        self.duck.execute("CREATE TABLE events AS SELECT * FROM given")

    def rows(self, **body):
        body = {"metrics": ["visitors", "sessions"], "date_range": RANGE} | body
        answer = self.console.post("/v1/query", body, self.console.key(self.workspace, "read"))
        assert answer.status_code == 200, answer.text
        return {tuple(row["dimensions"]): row["metrics"] for row in answer.json()["results"]}

    def counted(self, steps, who, within, site, by):
        key = "visitor_id" if who == "visitors" else "session_id"
        of_site = "true" if site is None else f"site_id = '{site}'"
        joined = f"FROM (SELECT * FROM events WHERE {of_site}) AS e0"
        for number in range(1, len(steps)):
            joined += (
                f" JOIN (SELECT * FROM events WHERE {of_site}) AS e{number}"
                f" ON e{number}.{key} = e{number - 1}.{key}"
                f" AND (e{number}.occurred_at, e{number}.seq, e{number}.shard) >"
                f" (e{number - 1}.occurred_at, e{number - 1}.seq, e{number - 1}.shard)"
            )
        names = [*COLUMNS, "currency"]
        conditions = [f"e0.{key} <> 0"]
        for number, step in enumerate(steps):
            sql = step
            for name in names:
                sql = sql.replace(name, f"e{number}.{name}")
            conditions.append(f"({sql})")
        if within:
            conditions.append(f"e{len(steps) - 1}.occurred_at - e0.occurred_at <= {within * 1000}")
        found = f"SELECT e0.{key} {joined} WHERE {' AND '.join(conditions)}"
        group = f"GROUP BY {by}" if by else ""
        rows = self.duck.sql(
            f"SELECT {by + ',' if by else ''} count(DISTINCT nullif(visitor_id, 0)),"
            f" count(DISTINCT nullif(session_id, 0)) FROM events"
            f" WHERE {of_site} AND {key} IN ({found}) {group}"
        ).fetchall()
        return {row[:1] if by else (): list(row[1:] if by else row) for row in rows}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield World(console)


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=4),
    who=st.sampled_from([None, "visits", "visitors"]),
    within=st.sampled_from([None, 0.001, 30, 600, 3600, 86_400]),
    site=st.sampled_from([None, None, "site_1"]),
    by=st.sampled_from(["", "browser"]),
)
def test_a_sequence_is_what_a_join_finds(world, steps, who, within, site, by):
    how = ({"by": who} if who else {}) | ({"within": within} if within else {})
    body = {"filters": [["sequence", [step for step, _ in steps], *([how] if how else [])]]}
    body |= {"dimensions": [by] if by else []} | ({"site_id": site} if site else {})
    expected = world.counted([sql for _, sql in steps], who, within, site, by)
    assert world.rows(**body) == expected


def test_the_world_can_tell_orders_and_times_apart(world):
    """Otherwise the test above shows nothing."""
    a, b = STEPS[0], STEPS[1]

    def visitors(*steps, **how):
        found = world.rows(filters=[["sequence", [step for step, _ in steps], how]])
        return found[()]

    assert visitors(a, b) != visitors(b, a)
    assert visitors(a, b)[0] > visitors(a, b, within=600)[0] > 0
    assert visitors(a, b, by="visitors")[0] > visitors(a, b)[0] > visitors(a, a, a, b)[0] > 0
    (without,) = world.rows(filters=[["not", ["sequence", [a[0], b[0]]]]]).values()
    (every,) = world.rows().values()
    assert without[1] == every[1] - visitors(a, b)[1]


@pytest.mark.parametrize(
    "given",
    [
        ["sequence"],
        ["sequence", []],
        ["sequence", "no list"],
        ["sequence", STEPS[0][0]],
        ["sequence", [STEPS[0][0]] * 11],
        ["sequence", [STEPS[0][0]], {"by": "sites"}],
        ["sequence", [STEPS[0][0]], {"within": 0}],
        ["sequence", [STEPS[0][0]], {"within": True}],
        ["sequence", [STEPS[0][0]], {"within": 1e12}],
        ["sequence", [STEPS[0][0]], {"wihtin": 5}],
        ["sequence", [STEPS[0][0]], {}, 1],
        ["sequence", [["is", "entry_page", ["/"]]]],
        ["sequence", [["has_done", STEPS[0][0]]]],
        ["sequence", [["sequence", [STEPS[0][0]]]]],
        ["has_done", ["sequence", [STEPS[0][0]]]],
    ],
)
def test_what_is_no_sequence_is_refused(world, given):
    body = {"metrics": ["visitors"], "date_range": RANGE, "filters": [given]}
    answer = world.console.post("/v1/query", body, world.console.key(world.workspace, "read"))
    assert answer.status_code == 400
    assert answer.json()["field"].startswith("filters[0]")
    assert "sequence" in answer.json()["detail"] or "a filter is a list" in answer.json()["detail"]
