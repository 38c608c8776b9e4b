"""What a reader may ask: bounded in all, compiled and answered in threads, so nobody else waits for it."""

import pytest

from tests.console import open_console
from tests.contract.acme import Acme, assert_problem
from tests.security.watching import LONGEST, asked

RANGE = ["2026-03-01", "2026-03-31"]
HOURS = {"dimensions": ["time:hour"], "date_range": ["2025-02-10", "2026-03-31"]}
LARGE = r"[\p{L}]{60}"
SMALL = [f"x{number}" for number in range(20)]
MANY = [f"x{number}" for number in range(1000)]


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield Acme(console)


def question(**parts):
    return {"metrics": ["visitors"], "date_range": RANGE} | parts


def ask(acme, method, path, **content):
    """The answer, given without holding the loop."""
    (answer,), longest = acme.console.run(
        asked(acme.console.app, {"Authorization": f"Bearer {acme.key}"}, [(method, path, content)])
    )
    assert longest < LONGEST, f"{longest * 1000:.0f} ms"
    return answer


PATTERNS = {
    "the program is large": [["matches", "page_url", [LARGE]]],
    "it is large once its case is ignored": [["matches", "os", [r"\p{L}{60}"], {"case_sensitive": False}]],
    "a range of repetitions is as large as its end": [["matches_not", "os", [r"\p{L}{0,100}"]]],
    "it is large by nesting": [["matches", "property:plan", [r"((\w\p{Lu}){30}){30}"]]],
    "many classes are as dear to read": [["matches", "os", ["|".join([r"\pL"] * 400)]]],
    "49 filters of 20": [["matches", "page_url", SMALL]] * 49,
    "two filters of 11": [["matches", "os", SMALL[:11]], ["matches_not", "browser", SMALL[:11]]],
    "spread over and, or and not": [
        ["and", [["or", [["matches", "os", SMALL[:9]], ["matches", "browser", SMALL[:9]]]]]],
        ["not", ["matches_not", "city", SMALL[:9]]],
    ],
    "spread over what was done": [["has_done", ["matches", "os", SMALL[:7]]]] * 3,
}


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("path", ["/v1/query", "/v1/export"])
def test_patterns_of_a_question_are_bounded_in_all(acme, name, path):
    body = question(filters=PATTERNS[name]) | ({"format": "csv"} if path.endswith("export") else {})
    problem = assert_problem(ask(acme, "POST", path, json=body), 400)
    assert (
        "20 patterns" in problem["detail"] or "too large" in problem["detail"] or "20 cl" in problem["detail"]
    )
    assert problem["field"].startswith("filters[")


def test_patterns_that_people_write_are_not_refused(acme):
    patterns = [r"^/blog/\d{4}/.*", r"\p{L}{8}", r"[^/]{1,200}", "(?i)utm|gclid", r"\.(png|jpe?g)$"]
    body = question(filters=[["matches", "page_url", patterns * 4]], compare="previous_period")
    assert ask(acme, "POST", "/v1/query", json=body).status_code == 200


VALUES = {
    "forty filters of 1,000": {"filters": [["contains", "page_url", MANY]] * 40},
    "three of 1,000": {"filters": [["is", "os", MANY], ["is_not", "city", MANY], ["is", "os", ["x"]]]},
    "with sites": {"site_id": MANY, "filters": [["is", "os", MANY], ["is", "browser", ["x"]]]},
    "in what was done": {"filters": [["has_not_done", ["or", [["contains", "os", MANY]] * 3]]]},
    "of numbers": {"filters": [["is", "asn", list(range(1000))]] * 3},
    "of tags": {"filters": [["is", "tag", MANY]] * 3},
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_a_question_are_bounded_in_all(acme, name):
    problem = assert_problem(ask(acme, "POST", "/v1/query", json=question(**VALUES[name])), 400)
    assert "2,000 values" in problem["detail"]


def test_as_many_values_as_are_allowed_hold_nobody_up(acme):
    filters = [["contains", "page_url", MANY], ["is_not", "os", MANY]]
    assert ask(acme, "POST", "/v1/query", json=question(filters=filters)).status_code == 200


def test_links_that_tags_stand_for_are_bounded_in_all(acme, monkeypatch):
    monkeypatch.setattr("footfall.query.language.filters.MAX_LINKS", 5)
    tenants = acme.console.tenants
    for _ in range(2):
        acme.console.run(tenants.create_link(acme.acme, "https://example.com/", tags=["spring"]))
    spring = ["is", "tag", ["spring"]]
    assert ask(acme, "POST", "/v1/query", json=question(filters=[spring] * 2)).status_code == 200
    problem = assert_problem(ask(acme, "POST", "/v1/query", json=question(filters=[spring] * 3)), 400)
    assert "links" in problem["detail"]


BODIES = {"lists": b"[],", "lists in lists": b"[[[]]],", "objects": b"{},", "numbers": b"1,", "texts": b'"",'}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("size", [500_000, 5_000_000])
def test_no_body_of_a_question_holds_the_loop(acme, name, size):
    unit = BODIES[name]
    body = b'{"metrics":["visitors"],"filters":[["is","os",[' + unit * (size // len(unit)) + b"1]]]}"
    answer = ask(acme, "POST", "/v1/query", content=body, headers={"content-type": "application/json"})
    assert_problem(answer, 413 if size > 1_000_000 else 400)


@pytest.mark.parametrize(
    "body",
    [
        question(**HOURS),
        question(**HOURS, metrics=["visitors", "events", "bounce_rate"], compare="previous_period"),
        question(**HOURS, order_by=[["visitors", "asc"]], include={"time_labels": True}),
    ],
)
def test_ten_thousand_rows_are_made_beside_the_loop(acme, body):
    answer = ask(acme, "POST", "/v1/query", json=body)
    assert len(answer.json()["results"]) == 9960


@pytest.mark.parametrize(
    "path", ["/api/v1/analytics/timeseries", "/v1/stats/timeseries", "/v1/stats/widgets/timeseries"]
)
def test_so_are_those_of_a_report(acme, path):
    first, last = ("from", "to") if path.startswith("/v1") else ("start_date", "end_date")
    params = {"interval": "hour", first: "2025-02-10", last: "2026-03-31"}
    assert len(ask(acme, "GET", path, params=params).json()["data"]) == 9960


@pytest.mark.parametrize(
    "query",
    ["page_path=" + "," * 50_000, "page_path=" + "a" * 60_000, "a=1&" * 12_000, "os=" + "%5C," * 15_000],
)
def test_a_long_query_string_holds_nobody_up(acme, query):
    assert_problem(ask(acme, "GET", f"/api/v1/analytics/overview?{query}"), 400)


def test_the_description_of_the_api_which_needs_no_key_is_made_once(acme):
    assert ask(acme, "GET", "/openapi.json").json()["openapi"].startswith("3.1")
