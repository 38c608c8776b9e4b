"""Saved goals and segments: made over HTTP, named in questions, seen by their workspace only."""

import json
import re

import pytest

from footfall.tenants import saved
from footfall.tenants.model import Goal
from footfall.tenants.rows import insert
from footfall.tenants.tables import goals
from tests.console import open_console
from tests.query_events import columns_of, make_visits

DAY = 86_400_000
START = 1_772_668_800_000  # 2026-03-05
RANGE = ["2026-03-01", "2026-03-31"]
GOALS, SEGMENTS = "/api/v1/goals", "/api/v1/segments"
METRICS = [
    "visitors", "events", "pageviews", "sessions", "bounce_rate", "conversion_rate", "group_conversion_rate",
    "revenue", "percentage", "scroll_depth", "session_duration",
]  # fmt: skip


class World:
    """Two workspaces with events of the same kind; one has goals and segments."""

    def __init__(self, console):
        self.console = console
        self.mine, self.other = console.workspace("acme"), console.workspace("other")
        self.site = console.run(console.tenants.create_site(self.mine, "Shop")).id
        events = make_visits(5, 900, START, START + 6 * DAY, [self.mine, self.other], ["l1"], 0)
        for event in events:
            event["site_id"] = {"site_1": self.site}.get(event["site_id"], event["site_id"])
            event["parsed"] = json.loads(event["properties"] or "{}")
        console.insert(columns_of(events))
        self.events = [e for e in events if e["workspace_id"] == self.mine and not e["is_bot"]]
        for body in (
            {"event_type": "conversion"},
            {"page": "/pricing"},
            {"name": "Blog", "page": "/blog/*"},
            {"page": "/**ing"},
            {"name": "Read it", "scroll_depth": 50},
            {"name": "Euro", "event_type": "conversion", "properties": {"currency": "EUR"}},
            {"name": "In the shop", "page": "/**", "site_id": self.site},
        ):
            assert self.post(GOALS, body).status_code == 201, body
        for body in (
            {"name": "Germans", "filters": [["is", "country_code", ["DE"]]]},
            {
                "name": "Buyers on phones",
                "filters": [
                    ["is", "device_type", ["mobile", "tablet"]],
                    ["has_done", ["is", "goal", ["conversion"]]],
                ],
            },
            {"name": "Shop", "filters": [["contains", "page_path", ["/"]]], "site_id": self.site},
        ):
            assert self.post(SEGMENTS, body).status_code == 201, body

    def key(self, *scopes, workspace=None):
        return self.console.key(workspace or self.mine, *(scopes or ("admin",)))

    def post(self, path, body, key=None):
        return self.console.post(path, body, key or self.key())

    def send(self, method, path, body=None, key=None):
        content = {} if body is None else {"json": body}
        return self.console._request(method, path, key or self.key(), **content)

    def ask(self, body, workspace=None):
        body = {"metrics": ["visitors", "events"], "date_range": RANGE} | body
        return self.post("/v1/query", body, self.key("read", workspace=workspace))

    def rows(self, **body):
        answer = self.ask(body)
        assert answer.status_code == 200, answer.text
        return [(row["dimensions"], row["metrics"]) for row in answer.json()["results"]]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield World(console)


def page_view(pattern):
    return lambda e: e["event_type"] == "page_view" and re.fullmatch(pattern, e["page_path"], re.DOTALL)


REACHED = {
    "conversion": lambda e: e["event_type"] == "conversion",
    "Visit /pricing": page_view("/pricing"),
    "Blog": page_view("/blog/[^/]*"),
    "Visit /**ing": page_view("/.*ing"),
    "Read it": lambda e: e["event_type"] == "engagement" and e["parsed"].get("scroll_depth", -1) >= 50,
    "Euro": lambda e: e["event_type"] == "conversion" and e["parsed"].get("currency") == "EUR",
    "In the shop": page_view("/.*"),
}
WRITTEN = {
    "conversion": [["is", "event_type", ["conversion"]]],
    "Visit /pricing": [["is", "event_type", ["page_view"]], ["is", "page_path", ["/pricing"]]],
    "Blog": [["is", "event_type", ["page_view"]], ["matches", "page_path", ["^/blog/[^/]*$"]]],
    "Read it": [["is", "event_type", ["engagement"]], ["gte", "property:scroll_depth", [50]]],
    "Euro": [["is", "event_type", ["conversion"]], ["is", "property:currency", ["EUR"]]],
}


def visitors(events):
    return len({event["visitor_id"] for event in events} - {0})


def test_a_row_of_the_dimension_is_what_reached_the_goal(world):
    expected = {}
    for name, reached in REACHED.items():
        found = [e for e in world.events if reached(e)]
        if name == "In the shop":
            found = [e for e in found if e["site_id"] == world.site]
        weights = sum(e["sample_weight"] for e in found if e["event_type"] != "engagement")
        expected[name] = [visitors(found), round(weights), visitors(found) / visitors(world.events)]
        assert found, name
    metrics = ["visitors", "events", "conversion_rate"]
    for dimension in ("goal", "event:goal"):
        rows = world.rows(metrics=metrics, dimensions=[dimension])
        assert {row[0][0] for row in rows} == set(expected)
        for (name,), found in rows:
            assert found == pytest.approx(expected[name]), name
        assert [row[1][0] for row in rows] == sorted((each[0] for each in expected.values()), reverse=True)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("by", [[], ["time:day"], ["country_code"], ["entry_page"], ["goal", "channel"]])
def test_a_goal_is_its_filters_written_out(world, name, by):
    named = world.rows(metrics=METRICS, dimensions=by, filters=[["is", "goal", [name]]])
    written = world.rows(metrics=METRICS, dimensions=by[by[:1] == ["goal"] :], filters=WRITTEN[name])
    rates = [METRICS.index("conversion_rate"), METRICS.index("group_conversion_rate")]
    if "page_path" in str(WRITTEN[name]):  # a page written out is no goal: a rate is of its visitors
        for _, metrics in named + written:
            for place in rates:
                metrics[place] = None
    if by[:1] == ["goal"]:
        named = [(dimensions[1:], metrics) for dimensions, metrics in named if dimensions[0] == name]
    assert sorted(map(str, named)) == sorted(map(str, written))
    assert named


def test_filters_by_goal(world):
    either = [e for e in world.events if REACHED["conversion"](e) or REACHED["Blog"](e)]
    neither = [e for e in world.events if e not in either]
    (row,) = world.rows(filters=[["is", "goal", ["conversion", "Blog"]]])
    assert row[1][0] == visitors(either)
    (row,) = world.rows(filters=[["is_not", "event:goal", ["conversion", "Blog"]]])
    assert row[1][0] == visitors(neither)
    assert world.rows(filters=[["contains", "goal", ["blo"], {"case_sensitive": False}]]) == world.rows(
        filters=[["is", "goal", ["BLOG"], {"case_sensitive": False}]]
    )
    assert world.rows(filters=[["contains", "goal", ["blo"]]]) == [([], [0, 0])]
    only = world.rows(dimensions=["goal"], filters=[["contains", "goal", ["o"]]])
    assert {row[0][0] for row in only} == {"conversion", "Blog", "Euro", "In the shop"}
    did = {e["visitor_id"] for e in world.events if REACHED["Blog"](e)} - {0}
    (row,) = world.rows(filters=[["has_done", ["is", "goal", ["Blog"]]]])
    assert row[1][0] == len(did)


def test_a_rate_is_of_those_who_could_have_reached_the_goal(world):
    people = [e for e in world.events if e["country_code"] == "DE"]
    reached = [e for e in people if REACHED["Blog"](e)]
    ask = {"metrics": ["conversion_rate"], "dimensions": [], "filters": [["is", "segment", ["Germans"]]]}
    (row,) = world.rows(**ask | {"filters": [*ask["filters"], ["is", "goal", ["Blog"]]]})
    assert row[1] == [pytest.approx(visitors(reached) / visitors(people))]
    by_goal = world.rows(**ask | {"dimensions": ["goal"]})
    assert next(row[1] for row in by_goal if row[0] == ["Blog"]) == row[1]


@pytest.mark.parametrize(
    ("named", "written"),
    [
        (["is", "segment", ["Germans"]], ["is", "country_code", ["DE"]]),
        (["is_not", "segment", ["Germans"]], ["is_not", "country_code", ["DE"]]),
        (["not", ["is", "segment", "Germans"]], ["is_not", "country_code", ["DE"]]),
        (
            ["is", "segment", ["Buyers on phones"]],
            ["and", [["is", "device_type", ["mobile", "tablet"]],
                     ["has_done", ["is", "event_type", ["conversion"]]]]],
        ),
        (
            ["is", "segment", ["Germans", "Buyers on phones"]],
            ["or", [["is", "country_code", ["DE"]],
                    ["and", [["is", "device_type", ["mobile", "tablet"]],
                             ["has_done", ["is", "event_type", ["conversion"]]]]]]],
        ),
    ],
)  # fmt: skip
def test_a_segment_is_its_filters_written_out(world, named, written):
    metrics = [*METRICS, "clicks"]
    found = world.rows(metrics=metrics, dimensions=["browser"], filters=[named])
    assert found == world.rows(metrics=metrics, dimensions=["browser"], filters=[written])
    assert found


def test_what_is_of_a_site_is_of_its_events(world):
    here = [["is", "site_id", [world.site]]]
    assert world.rows(filters=[["is", "segment", ["Shop"]]]) == world.rows(
        filters=[*here, ["contains", "page_path", ["/"]]]
    )
    goal = [["is", "goal", ["In the shop"]]]
    assert world.rows(filters=goal) == world.rows(filters=[*goal, *here])
    assert world.rows(filters=goal, site_id="site_2") == [([], [0, 0])]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"filters": [["is", "goal", ["Blogg"]]]},
            "no goal is called 'Blogg'; did you mean 'Blog'? There are",
        ),
        (
            {"filters": [["is", "segment", ["German"]]]},
            "no segment is called 'German'; did you mean 'Germans'?",
        ),
        ({"filters": [["is", "segment", [7]]]}, "no segment is called '7'"),
        ({"filters": [["matches", "goal", ["B.*"]]]}, "is compared with is, is_not, contains"),
        ({"filters": [["contains", "goal", [1]]]}, "names of goals"),
        ({"filters": [["contains", "segment", ["G"]]]}, "a segment is named with is and is_not"),
        ({"filters": [["has_done", ["is", "segment", ["Buyers on phones"]]]]}, "has_done takes filters on"),
        ({"dimensions": ["goal", "event:goal"]}, "each only once"),
        ({"dimensions": ["segment"]}, "'segment' is not known"),
    ],
)
def test_what_is_wrong_with_a_question_is_named(world, body, said):
    answer = world.ask(body)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


def test_a_workspace_never_sees_what_another_saved(world):
    theirs = world.key(workspace=world.other)
    for path in (GOALS, SEGMENTS):
        mine = world.send("GET", path).json()["data"]
        assert world.send("GET", path, key=theirs).json() == {
            "data": [], "meta": {"total": 0, "limit": 100, "offset": 0},
        }  # fmt: skip
        for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
            answer = world.send(method, f"{path}/{mine[0]['id']}", body, theirs)
            assert answer.status_code == 404, answer.text
        assert world.send("GET", path).json()["data"] == mine
    refused = world.send("POST", GOALS, {"page": "/", "site_id": world.site}, theirs)
    assert "there is no such site" in refused.json()["detail"]
    assert world.ask({"dimensions": ["goal"]}, world.other).json()["results"] == []
    for name, field in (("conversion", "goal"), ("Germans", "segment")):
        answer = world.ask({"filters": [["is", field, [name]]]}, world.other)
        assert answer.json()["detail"].endswith(f"There are no saved {field}s")
    # The same names there mean what is saved there.
    made = world.send("POST", GOALS, {"name": "Blog", "event_type": "click"}, theirs).json()
    answer = world.ask({"metrics": ["clicks"], "dimensions": ["goal"]}, world.other).json()["results"]
    clicks = world.ask({"metrics": ["clicks"]}, world.other).json()["results"]
    assert answer == [{"metrics": clicks[0]["metrics"], "dimensions": ["Blog"]}]
    assert world.send("DELETE", f"{GOALS}/{made['id']}", key=theirs).status_code == 204


def test_goals_and_segments_are_made_changed_listed_and_deleted(world):
    made = world.post(GOALS, {"page": "/a/*/b", "properties": {"plan": "pro"}}).json()
    assert made["name"] == "Visit /a/*/b"
    assert (made["site_id"], made["event_type"], made["scroll_depth"]) == (None, "", 0)
    assert world.send("GET", GOALS, key=world.key("read")).json()["data"][0] == made
    changed = world.send("PATCH", f"{GOALS}/{made['id']}", {"name": "B of A", "site_id": world.site}).json()
    assert changed == made | {"name": "B of A", "site_id": world.site}
    again = world.send("PATCH", f"{GOALS}/{made['id']}", {"site_id": None}).json()
    assert again == made | {"name": "B of A"}
    assert world.send("DELETE", f"{GOALS}/{made['id']}").status_code == 204
    assert world.send("DELETE", f"{GOALS}/{made['id']}").status_code == 404
    made = world.post(SEGMENTS, {"name": "x", "filters": [["is", "goal", ["Blog"]]]}).json()
    changed = world.send("PATCH", f"{SEGMENTS}/{made['id']}", {"filters": [["is", "is_bot", [True]]]}).json()
    assert changed == made | {"filters": [["is", "is_bot", [True]]]}
    assert world.send("DELETE", f"{SEGMENTS}/{made['id']}").status_code == 204
    scroll = world.post(GOALS, {"scroll_depth": 75, "page": "/x"}).json()
    assert scroll["name"] == "Scroll 75% on /x"
    world.send("DELETE", f"{GOALS}/{scroll['id']}")


def test_a_segment_outlives_a_goal_that_it_names_and_says_so(world):
    goal = world.post(GOALS, {"name": "Short-lived", "event_type": "x"}).json()
    body = {"name": "Of it", "filters": [["is", "goal", ["Short-lived"]]]}
    segment = world.post(SEGMENTS, body).json()
    world.send("DELETE", f"{GOALS}/{goal['id']}")
    answer = world.ask({"filters": [["is", "segment", ["Of it"]]]})
    assert answer.status_code == 400
    assert "segment 'Of it'" in answer.json()["detail"]
    assert "no goal is called 'Short-lived'" in answer.json()["detail"]
    world.send("DELETE", f"{SEGMENTS}/{segment['id']}")


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        (GOALS, {}, 400, "event_type"),
        (GOALS, {"name": "x"}, 400, "event_type"),
        (GOALS, {"page": "blog"}, 400, "page"),
        (GOALS, {"page": "/" + "*a" * 21}, 400, "page"),
        (GOALS, {"page": "/" + "x" * 500}, 400, "page"),
        (GOALS, {"page": "/\x07"}, 400, "page"),
        (GOALS, {"scroll_depth": 101}, 400, "scroll_depth"),
        (GOALS, {"scroll_depth": 10, "event_type": "x"}, 400, "scroll_depth"),
        (GOALS, {"event_type": "x" * 65}, 400, "event_type"),
        (GOALS, {"event_type": "x", "properties": {str(n): "v" for n in range(11)}}, 400, "properties"),
        (GOALS, {"event_type": "x", "properties": {"plan": 7}}, 400, "properties"),
        (GOALS, {"event_type": "x", "site_id": "site_none"}, 400, "site_id"),
        (GOALS, {"event_type": "conversion"}, 409, "name"),
        (GOALS, {"event_type": "x", "wrong": 1}, 400, "wrong"),
        (SEGMENTS, {"name": "x", "filters": []}, 400, "filters"),
        (SEGMENTS, {"name": "", "filters": [["is", "browser", ["x"]]]}, 400, "name"),
        (SEGMENTS, {"name": "x", "filters": [["is", "browsr", ["x"]]]}, 400, "filters[0]"),
        (SEGMENTS, {"name": "x", "filters": [["is", "goal", ["none"]]]}, 400, "filters[0]"),
        (SEGMENTS, {"name": "x", "filters": [["is", "segment", ["Germans"]]]}, 400, "filters[0]"),
        (SEGMENTS, {"name": "x", "filters": [["is", "browser", ["x"]]] * 51}, 400, "filters"),
        (SEGMENTS, {"name": "Germans", "filters": [["is", "browser", ["x"]]]}, 409, "name"),
    ],
)
def test_what_is_no_goal_or_segment_is_refused(world, path, body, status, field):
    answer = world.post(path, body)
    assert answer.status_code == status, answer.text
    assert answer.json().get("field", "").startswith(field), answer.text


def test_only_a_key_that_may_manage_saves_and_only_one_that_may_read_lists(world):
    body = {"event_type": "x", "name": "never"}
    for scopes, writes, reads in ((("read",), 403, 200), (("ingest",), 403, 403), (("links",), 403, 403)):
        assert world.post(GOALS, body, world.key(*scopes)).status_code == writes
        assert world.send("GET", GOALS, key=world.key(*scopes)).status_code == reads


def test_there_are_only_so_many_and_a_question_tells_so_many_apart(world):
    console, key = world.console, world.key(workspace=(crowd := world.console.workspace("crowd")))

    def fill(connection):
        for number in range(saved.MAX_SAVED):
            goal = Goal(f"goal_{number}", crowd, "", f"g{number}", event_type="click")
            insert(connection, goals, goal)

    console.run(console.tenants.database.run(fill))
    answer = world.send("POST", GOALS, {"event_type": "one more"}, key)
    assert answer.status_code == 409
    assert "at most 500 goals" in answer.json()["detail"]
    refused = world.ask({"dimensions": ["goal"]}, crowd)
    assert "at most 100 goals" in refused.json()["detail"]
    some = world.ask({"dimensions": ["goal"], "filters": [["is", "goal", ["g1", "g2"]]]}, crowd)
    assert some.status_code == 200, some.text


def test_with_a_site_go_its_goals_and_segments(world):
    site = world.console.run(world.console.tenants.create_site(world.mine, "Brief")).id
    for path, body in ((GOALS, {"page": "/"}), (SEGMENTS, {"filters": [["is", "browser", ["x"]]]})):
        assert world.post(path, body | {"name": "Brief", "site_id": site}).status_code == 201
    world.console.run(world.console.tenants.delete_site(world.mine, site))
    for path in (GOALS, SEGMENTS):
        assert "Brief" not in [each["name"] for each in world.send("GET", path).json()["data"]]
