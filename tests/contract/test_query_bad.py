"""Bad questions: a refusal that names the field and what is allowed, or a harmless answer, and soon."""

import itertools
import json
import time

import pytest

from tests.console import open_console
from tests.truth import columns_of, make_events

START = 1_772_668_800_000  # 2026-03-05
DAY = 86_400_000
RANGE = ["2026-03-01", "2026-03-31"]
DE = ["is", "country_code", ["DE"]]
SQL = [
    "' OR 1=1 --",
    "x') OR ('1'='1",
    "'; DROP TABLE events; --",
    "{p0:String}",
    "') UNION ALL SELECT 1 FROM system.tables --",
    "\\' OR 1=1 --",
    "`events`; TRUNCATE TABLE events",
    '"; INSERT INTO events SELECT * FROM events',
    "%s %(x)s {x} $1 ? @@version /* */ #",
    "1 SETTINGS max_execution_time=0 FORMAT CSV",
]


def nested(depth, inner=DE):
    for _ in range(depth):
        inner = ["not", inner]
    return inner


class Acme:
    def __init__(self, console):
        self.console = console
        self.mine, self.other = console.workspace("acme"), console.workspace("other")
        self.key = console.key(self.mine, "read")
        self.link = self._link(self.mine, "spring")
        self.others_link = self._link(self.other, "secret-tag")
        events = make_events(
            1, 600, START, START + 5 * DAY, [self.mine, self.other], links=(self.link.id, self.others_link.id)
        )
        for event in events:
            ours = event["workspace_id"] == self.mine
            event["link_id"] = event["link_id"] and (self.link if ours else self.others_link).id
            event["site_id"] = "site_mine" if ours else "site_other"
        console.insert(columns_of(events))
        self.count = len(events)

    def _link(self, workspace, tag):
        return self.console.run(
            self.console.tenants.create_link(workspace, "https://example.com/", tags=[tag])
        )

    def ask(self, body):
        body = {"metrics": ["events"], "date_range": RANGE, **body}
        return self._in_time(lambda: self.console.post("/v1/query", body, self.key))

    def send(self, text):
        kind = {"content-type": "application/json"}
        return self._in_time(lambda: self.console._request("POST", "/v1/query", self.key, kind, content=text))

    def get(self, path, params):
        return self._in_time(lambda: self.console.get(path, self.key, params))

    def _in_time(self, ask):
        started = time.monotonic()
        answer = ask()
        assert time.monotonic() - started < 10
        return answer

    def rows(self, **body):
        answer = self.ask(body)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    def untouched(self):
        """Nothing was executed: the tables are there, with all that was in them."""
        [(count,)] = self.console.run(self.console.store.query("SELECT count() FROM events"))
        return count == self.count


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield Acme(console)


def assert_refused(answer, field=None, *words):
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["detail"]
    for leak in ("Traceback", "DB::", "Code:", "__table", "toUnixTimestamp"):
        assert leak not in answer.text
    if field is not None:
        assert problem.get("field") == field, problem
    for word in words:
        assert word in problem["detail"], problem


BAD = [
    ({"metrics": []}, "metrics"),
    ({"metrics": "visitors"}, "metrics"),
    ({"metrics": [1]}, "metrics[0]"),
    ({"metrics": ["nope"]}, "metrics", "visitors", "bounce_rate"),
    ({"metrics": ["visitor"]}, "metrics", "did you mean visitors?"),
    ({"metrics": ["visits"]}, "metrics", "did you mean sessions?"),
    ({"metrics": ["exit_rate"], "dimensions": ["exit_page", "page_path"]}, "metrics", "not both"),
    ({"metrics": ["exit_rate"], "filters": [["is", "event_type", ["click"]]]}, "metrics", "without a goal"),
    ({"metrics": ["exit_rate"], "order_by": [["exit_rate", "desc"]]}, "order_by", "order by sessions"),
    ({"metrics": ["Bounce Rate"]}, "metrics", "did you mean bounce_rate?"),
    ({"dimensions": ["countri"]}, "dimensions", "did you mean country?"),
    ({"dimensions": ["time:days"]}, "dimensions", "did you mean time:day? Known are time, time:hour"),
    ({"date_range": "yesteday"}, "date_range", "did you mean yesterday? Known are 24h"),
    ({"compare": "previous-period"}, "compare", "did you mean previous_period?"),
    ({"week_start": "Monday"}, "week_start", "did you mean monday?"),
    ({"metrics": ["events"], "order_by": [["event", "asc"]]}, "order_by", "did you mean events?"),
    ({"order_by": [["events", "dsc"]]}, "order_by", "did you mean desc?"),
    ({"filters": [["equals", "os", ["x"]]]}, "filters[0]", "did you mean is?"),
    ({"filters": [["contain", "os", ["x"]]]}, "filters[0]", "did you mean contains?"),
    ({"metrics": ["visitors", "visitors"]}, "metrics", "once"),
    ({"metrics": ["events"] * 50}, "metrics"),
    ({"dimensions": ["nope"]}, "dimensions", "country_code", "property:NAME"),
    ({"dimensions": ["event:props:plan"]}, "dimensions", "property:plan"),
    ({"dimensions": ["property:"]}, "dimensions", "1 to 200"),
    ({"dimensions": ["property:" + "x" * 201]}, "dimensions", "1 to 200"),
    *(
        ({"dimensions": [name]}, "dimensions")
        for name in ("visitor_id", "device_hash", "workspace_id", "user_agent")
    ),
    ({"dimensions": ["time:minute"]}, "dimensions", "time:hour"),
    ({"dimensions": ["time", "time:hour"]}, "dimensions", "once"),
    ({"dimensions": ["os", "os"]}, "dimensions", "once"),
    ({"dimensions": ["os"] * 7}, "dimensions", "6"),
    ({"dimensions": "os"}, "dimensions"),
    ({"dimensions": ["time:hour"], "date_range": ["2000-01-01", "2026-01-01"]}, "dimensions", "10000"),
    ({"date_range": "tomorrow"}, "date_range", "30d", "yesterday", "last_month"),
    ({"date_range": []}, "date_range", "[from, to]"),
    ({"date_range": ["2026-01-01"]}, "date_range", "[from, to]"),
    ({"date_range": ["2026-02-01", "2026-01-01"]}, "date_range[0]", "before"),
    ({"date_range": ["0000-01-01", "2026-01-01"]}, "date_range[0]", "1970 to 2099"),
    ({"date_range": ["-1000000-01-01", "1000000-01-01"]}, "date_range[0]", "1970 to 2099"),
    ({"date_range": ["2026-01-01", "1002026-01-01"]}, "date_range[1]", "1970 to 2099"),
    ({"date_range": ["2026-02-30", "2026-03-01"]}, "date_range[0]", "ISO 8601"),
    ({"date_range": [1, 2]}, "date_range[0]"),
    ({"date_range": {"from": 1}}, "date_range"),
    ({"date_range": None}, "date_range"),
    ({"date_range": ["2026-01-01T00:00:00+99:00", "2026-01-02"]}, "date_range[0]"),
    ({"timezone": "Mars/Olympus"}, "timezone", "Europe/Berlin"),
    ({"timezone": "../../etc/passwd"}, "timezone"),
    ({"timezone": 5}, "timezone"),
    ({"week_start": "noday"}, "week_start", "monday"),
    ({"order_by": [["os", "asc"]]}, "order_by", "asked for"),
    ({"order_by": [["events", "up"]]}, "order_by", "asc, desc"),
    ({"order_by": ["events"]}, "order_by[0]"),
    ({"pagination": {"limit": 0}}, "pagination.limit", "1"),
    ({"pagination": {"limit": 10_001}}, "pagination.limit", "10000"),
    ({"pagination": {"limit": 1.5}}, "pagination.limit"),
    ({"pagination": {"limit": "5"}}, "pagination.limit", "an integer"),
    ({"pagination": {"offset": "0"}}, "pagination.offset", "an integer"),
    ({"pagination": {"offset": -1}}, "pagination.offset", "0"),
    ({"pagination": {"offset": 10**30}}, "pagination.offset", "10000000"),
    ({"pagination": {"page": 1}}, "pagination.page"),
    ({"include": {"nope": True}}, "include.nope"),
    ({"include": {"bots": "yes"}}, "include.bots", "true or false"),
    ({"include": {"bots": "true"}}, "include.bots", "true or false"),
    ({"include": {"total_rows": 1}}, "include.total_rows", "true or false"),
    (
        {"compare": "last_week"},
        "compare",
        "previous_period, previous_month, previous_quarter, year_over_year",
    ),
    ({"compare": ["2026-02-01", "2026-01-01"]}, "compare[0]", "before"),
    ({"compare": 5}, "compare"),
    *(
        ({"date_range": ["1970-01-01", "1970-01-02"], "compare": how}, "compare", "1970")
        for how in ("previous_period", "year_over_year")
    ),
    ({"unknown": 1}, "unknown"),
    ({"site_id": 5}, "site_id"),
    ({"site_id": []}, "site_id", "1"),
    ({"site_id": ["x"] * 1001}, "site_id", "1000"),
    ({"site_id": ["x" * 2001]}, "site_id[0]", "2000"),
    ({"site_id": "x" * 2001}, "site_id", "2000"),
]
BAD_FILTERS = [
    ([], "is"),
    ([1], "is"),
    (["nope", "os", ["x"]], "contains_not", "has_done"),
    (["is", "os"], '["is", "field", [values]]'),
    (["is", "nope", ["x"]], "country_code"),
    (["is", "visitor_id", ["x"]], "country_code"),
    (["is", "country", ["Germany"]], "country_code"),
    (["is", "os", []], "1 to 1000"),
    (["is", "os", ["x"] * 1001], "1 to 1000"),
    (["is", "os", ["x" * 2001]], "2000"),
    (["is", "os", [1]], "text"),
    (["is", "os", [None]], "text"),
    (["is", "os", [["x"]]], "text"),
    (["is", "os", ["x"], {"nope": 1}], "case_sensitive"),
    (["is", "os", ["x"], {"case_sensitive": 1}], "case_sensitive"),
    (["is", "os", ["x"], {}, 1], "values"),
    (["gt", "os", ["x"]], "one number"),
    (["gt", "asn", [1, 2]], "one number"),
    (["gt", "is_bot", [1]], "one number"),
    (["contains", "asn", ["1"]], "gte"),
    (["is", "asn", ["1"]], "numbers"),
    (["is", "asn", [10**30]], "numbers"),
    (["is", "is_bot", [1]], "true or false"),
    (["contains", "tag", ["x"]], "is and is_not"),
    (["and", []], '["and", [filter'),
    (["not", DE, DE], '["not", filter]'),
    (["has_done", ["is", "entry_page", ["/"]]], "no entry or exit page"),
    (["has_not_done", ["not", ["has_done", DE]]], "no has_not_done"),
    (["matches", "os", ["("]], "RE2"),
    (["matches", "os", ["(a{1000}){1000}"]], "RE2"),
    (["matches", "os", ["(?<=a)b"]], "RE2"),
    (["matches", "os", ["a"] * 21], "20 patterns"),
]


@pytest.mark.parametrize(("body", "field", "words"), [(body, field, words) for body, field, *words in BAD])
def test_what_is_wrong_is_named_with_what_is_allowed(acme, body, field, words):
    assert_refused(acme.ask(body), field, *words)


@pytest.mark.parametrize(("given", "words"), [(given, words) for given, *words in BAD_FILTERS])
def test_a_wrong_filter_is_found_wherever_it_is(acme, given, words):
    assert_refused(acme.ask({"filters": [given]}), "filters[0]", *words)
    nested_twice = {"filters": [DE, ["or", [DE, ["not", given]]]]}
    assert_refused(acme.ask(nested_twice), "filters[1][1][1][1]", *words)


def test_an_export_takes_no_text_for_a_number_either(acme):
    body = {"format": "csv", "metrics": ["events"], "date_range": RANGE, "pagination": {"limit": "5"}}
    answer = acme.console.post("/v1/export", body, acme.key)
    assert_refused(answer, "pagination.limit", "an integer")


def test_a_metric_is_needed(acme):
    assert_refused(acme.send(b"{}"), "metrics")


def test_filters_are_limited_in_number_and_depth(acme):
    assert_refused(acme.ask({"filters": [DE] * 200}), "filters", "50")
    assert_refused(acme.ask({"filters": [["or", [DE] * 200]]}), "filters", "50")
    assert acme.ask({"filters": [nested(7)]}).status_code == 200
    for depth in (8, 100):
        assert_refused(acme.ask({"filters": [nested(depth)]}), None, "8 deep")
    assert_refused(acme.send(b"[" * 5_000), None, "an object")
    text = '{"metrics":["events"],"filters":' + "[" * 5_000 + "]" * 5_000 + "}"
    assert_refused(acme.send(text.encode()), None, "nested too deeply")
    assert_refused(acme.send(text.replace("[]", "[" * 5_000 + "]" * 5_000).encode()), None, "10,000")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"{", b'{"metrics":["events"],}',
        b'{"metrics":["events"],"pagination":{"limit":NaN}}',
        b'{"metrics":["events"],"pagination":{"limit":Infinity}}',
        b'{"metrics":["events"],"pagination":{"limit":1e400}}',
        b'{"metrics":["events"],"filters":[["gt","asn",[1e400]]]}',
        b'{"metrics":["events"],"filters":[["is","asn",[-Infinity]]]}',
        b'{"metrics":["\\ud800"]}',
        b'{"metrics":["events"],"filters":[["is","city",["\\ud800"]]]}',
        b'{"metrics":["events"],"site_id":"\\udfff"}',
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(acme, text):
    assert_refused(acme.send(text))


def test_a_body_is_limited_in_size(acme):
    answer = acme.send(b'{"metrics":["' + b"x" * 20_000_000 + b'"]}')
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_numbers_at_the_edges_are_numbers(acme):
    for value in (0, -1, 1e308 / 1e300, -0.0, 5e-324, 2**53 + 1, -(2**62), 1e18):
        for operator in ("is", "is_not", "gt", "lte"):
            assert acme.rows(filters=[[operator, "asn", [value]]])
            if operator.startswith(("gt", "lte")):
                assert acme.rows(filters=[[operator, "city", [value]]])


def test_odd_text_is_text(acme):
    for value in ("\0", "a\0b", "\n\t\r\b\f\\", "'", '"', "🦶" * 500, "\u202e", "NULL", "\ufeff", "{}", "%"):
        for operator in ("is", "contains"):
            assert acme.rows(filters=[[operator, "city", [value]]])[0]["metrics"] == [0], value
            assert acme.rows(filters=[[operator, "property:" + "x", [value], {"case_sensitive": False}]])
    assert acme.rows(dimensions=['property:it\'s "odd" \\ {x:String}'])[0]["dimensions"] == [""]
    assert_refused(acme.ask({"dimensions": ["property:\0"]}), "dimensions", "printable")


@pytest.mark.parametrize("count", [255, 256, 1000])
def test_as_many_values_as_are_allowed(acme, count):
    values = [f"x{number}" for number in range(count - 1)] + ["DE"]
    expected = acme.rows(filters=[DE])
    for operator in ("is", "contains"):
        for modifier in ([], [{"case_sensitive": False}]):
            assert acme.rows(filters=[[operator, "country_code", values, *modifier]]) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*" * 300 + "b",
        "(a|aa)+$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(.*){50}x",
        "(a|b)*a" + "(a|b)" * 200,
        r"(\w+\s?)*$",
        "[^x]{900}",
    ],
)
def test_a_catastrophic_pattern_is_quick_or_refused(acme, pattern):
    for field in ("referrer", "property:quote", "event_type"):
        answer = acme.ask({"filters": [["matches", field, [pattern] * 20]]})
        assert answer.status_code == 200 or assert_refused(answer, "filters[0]") is None


def test_a_page_beyond_the_end_is_empty(acme):
    page = {"limit": 10_000, "offset": 10_000_000}
    answer = acme.ask({"dimensions": ["os"], "pagination": page, "include": {"total_rows": True}})
    assert answer.json()["results"] == []
    assert answer.json()["meta"]["total_rows"] > 1


# What is a text stays one


@pytest.mark.parametrize("text", SQL)
def test_sql_is_data_in_every_string_of_a_question(acme, text):
    for body, field in (
        ({"metrics": [text]}, "metrics"),
        ({"metrics": ["events", text]}, "metrics"),
        ({"dimensions": [text]}, "dimensions"),
        ({"dimensions": [f"time:{text}"]}, "dimensions"),
        ({"date_range": text}, "date_range"),
        ({"date_range": [text, "2026-03-31"]}, "date_range[0]"),
        ({"date_range": ["2026-03-01", text]}, "date_range[1]"),
        ({"timezone": text}, "timezone"),
        ({"week_start": text}, "week_start"),
        ({"order_by": [[text, "asc"]]}, "order_by"),
        ({"order_by": [["events", text]]}, "order_by"),
        ({"compare": text}, "compare"),
        ({"compare": [text, "2026-03-31"]}, "compare[0]"),
        ({text: 1}, None),
        ({"pagination": {text: 1}}, None),
        ({"include": {text: True}}, None),
        ({"filters": [[text, "os", ["x"]]]}, "filters[0]"),
        ({"filters": [["is", text, ["x"]]]}, "filters[0]"),
        ({"filters": [["is", "os", ["x"], {text: True}]]}, "filters[0]"),
    ):
        assert_refused(acme.ask(body), field)

    def same_as_harmless(make):
        assert acme.rows(**make(text)) == acme.rows(**make("zz-harmless")), make(text)

    everything = {"metrics": ["events", "visitors"], "dimensions": ["country_code"]}
    same_as_harmless(lambda value: everything | {"site_id": value})
    same_as_harmless(lambda value: everything | {"site_id": ["site_mine", value]})
    same_as_harmless(lambda value: {"dimensions": [f"property:{value}"]})
    same_as_harmless(lambda value: everything | {"filters": [["is", f"property:{value}", ["x"]]]})
    for operator, field in itertools.product(
        ("is", "is_not", "contains", "contains_not"),
        ("os", "city", "entry_page", "property:plan", "mapping_id"),
    ):
        same_as_harmless(lambda value, o=operator, f=field: everything | {"filters": [[o, f, [value]]]})
    for operator in ("is", "is_not"):
        same_as_harmless(lambda value, o=operator: everything | {"filters": [[o, "tag", [value]]]})
    same_as_harmless(lambda value: everything | {"filters": [["has_done", ["is", "event_type", [value]]]]})
    same_as_harmless(
        lambda value: everything | {"filters": [["is", "os", [value], {"case_sensitive": False}]]}
    )
    pattern = acme.ask({"filters": [["matches", "os", [text]]]})
    assert pattern.status_code == 200 or assert_refused(pattern, "filters[0]", "RE2") is None
    assert acme.untouched()


def reads(console):
    """All GET reports with their parameters, as they are documented."""
    document = console.get("/openapi.json").json()
    shared = document["components"].get("parameters", {})
    for path, methods in document["paths"].items():
        if path.startswith(("/api/v1/analytics/", "/v1/stats/")) and "get" in methods:
            given = methods["get"].get("parameters", [])
            yield (
                path,
                [shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in given],
            )


def spelled(parameter):
    """What may stand in a URL for a parameter: the fields of an object each by its own name."""
    return parameter["schema"].get("properties", {parameter["name"]: None})


def test_sql_is_data_in_every_parameter_of_a_report(acme):
    """Every parameter of every report with one of the texts; the texts take turns."""
    texts = itertools.cycle(SQL)
    asked = 0
    for place, (path, parameters) in enumerate(reads(acme.console)):
        here = path.replace("{id}", acme.link.id)
        names = {name: each for each in parameters if each["in"] == "query" for name in spelled(each)}
        start, end = [name for name in names if name in ("start_date", "from", "end_date", "to")]
        base = {start: RANGE[0], end: RANGE[1]}
        base |= {name: "x" for name in names if names[name].get("required")}
        for number, name in enumerate([*names, "property:plan", "nobody_knows"]):
            if name in ("offset", "include_bots") and place % 4:
                continue
            if name not in base and number % 6 != place % 6:  # a sixth of them for each report
                continue
            answers = [acme.get(here, base | {name: value}) for value in (next(texts), "zz-harmless")]
            asked += 1
            assert {each.status_code for each in answers} in ({200}, {400}), (path, name, answers[0].text)
            if answers[0].status_code == 200:
                data = [each.json()["data"] for each in answers]
                assert data[0] == data[1], (path, name)
            else:
                assert_refused(answers[0], name)
    assert asked > 300
    for text in SQL:
        answer = acme.get(
            f"/api/v1/analytics/links/{text.replace('/', '').replace('?', '').replace('#', '')}", {}
        )
        assert answer.status_code == 404
    assert acme.untouched()


# What belongs to others


def test_nothing_of_another_workspace_is_seen(acme):
    nothing = acme.rows(filters=[["is", "site_id", ["zz"]]])
    assert nothing == [{"metrics": [0], "dimensions": []}]
    for given in (
        {"site_id": "site_other"},
        {"site_id": ["site_other", "zz"]},
        {"filters": [["is", "site_id", ["site_other"]]]},
        {"filters": [["is", "link_id", [acme.others_link.id]]]},
        {"filters": [["is", "tag", ["secret-tag"]]]},
        {"filters": [["has_done", ["is", "link_id", [acme.others_link.id]]]]},
    ):
        assert acme.rows(**given) == nothing, given
    everything = acme.rows()
    for given in (
        ["is_not", "site_id", ["site_other"]],
        ["not", ["is", "tag", ["secret-tag"]]],
        ["or", [["is", "site_id", ["site_other"]], ["is_not", "site_id", ["zz"]]]],
        ["matches", "site_id", [".*"]],
        ["has_not_done", ["is", "site_id", ["site_other"]]],
    ):
        assert acme.rows(filters=[given]) == everything, given
    text = json.dumps(acme.rows(dimensions=["site_id", "link_id"]) + acme.rows(dimensions=["tag"]))
    assert "site_mine" in text
    for secret in ("site_other", acme.others_link.id, "secret-tag", acme.other):
        assert secret not in text
    for path, parameters in reads(acme.console):
        required = {
            each["name"]: "x" for each in parameters if each.get("required") and each["in"] == "query"
        }
        answer = acme.get(path.replace("{id}", acme.others_link.id), required | {"interval": "1y"})
        assert answer.status_code == (404 if "{id}" in path else 200), answer.text
        assert "site_other" not in answer.text
        assert path.endswith("{id}") or acme.others_link.id not in answer.text
