"""What `POST /v1/query` promises beside its numbers: shapes, order, comparison, what `meta` says."""

# ruff: noqa: RUF001 -- letters that look alike are what folding is about

import random
from datetime import UTC, datetime, timedelta

import pytest

from footfall.model.columns import COLUMNS
from footfall.query.catalog.measures import UNIQUE_ERROR
from footfall.query.catalog.metrics import METRICS
from footfall.tenants import tenants
from tests.console import open_console
from tests.contract.acme import assert_problem
from tests.truth import EMPTY, columns_of

MARCH = ["2026-03-01", "2026-03-31"]
AT = 1_773_576_000_000  # 2026-03-15T12:00:00Z
DAY = 86_400_000


class Place:
    """A workspace of its own, with the events that a test says."""

    _number = 0

    def __init__(self, console):
        Place._number += 1
        self.console = console
        self.workspace = console.workspace(f"place {Place._number}")
        self.key = console.key(self.workspace, "read")

    def store(self, *events):
        """Each event: what it has beside being a page view of somebody at noon of 15 March 2026."""
        rows = []
        for number, event in enumerate(events):
            values = {column.name: EMPTY.get(_bare(column.type), 0) for column in COLUMNS}
            values |= {"event_id": random.randbytes(16), "event_type": "page_view", "sample_weight": 1.0}
            values |= {"occurred_at": AT, "received_at": AT, "workspace_id": self.workspace, "seq": number}
            rows.append(values | event)
        self.console.insert(columns_of(rows))

    def ask(self, **body):
        answer = self.console.post(
            "/v1/query", {"metrics": ["events"], "date_range": MARCH, **body}, self.key
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, **body):
        return [(*row["dimensions"], *row["metrics"]) for row in self.ask(**body)["results"]]


def _bare(kind):
    return kind.removeprefix("LowCardinality(").removesuffix(")")


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as opened:
        yield opened


@pytest.fixture
def place(console):
    return Place(console)


def test_an_answer_says_what_was_understood(place):
    place.store({"visitor_id": 1})
    answer = place.ask(
        metrics=["visitors", "events"], dimensions=["time"], date_range=["2026-03-14", "2026-03-15"]
    )
    assert answer["results"][12] == {"metrics": [0, 0], "dimensions": ["2026-03-14T12:00:00+00:00"]}
    assert answer["results"][36]["metrics"] == [1, 1]
    assert len(answer["results"]) == 48
    assert answer["query"] == {
        "metrics": ["visitors", "events"],
        "date_range": ["2026-03-14T00:00:00+00:00", "2026-03-16T00:00:00+00:00"],
        "site_id": None,
        "dimensions": ["time:hour"],
        "filters": [],
        "timezone": "UTC",
        "week_start": "monday",
        "order_by": [],
        "pagination": {"limit": 10_000, "offset": 0},
        "include": {"total_rows": False, "time_labels": False, "bots": False, "match_day_of_week": False},
        "compare": None,
    }
    meta = answer["meta"]
    assert "total_rows" not in meta
    assert "time_labels" not in meta
    assert meta["partial"] == []
    assert meta | {"warnings": []} == {
        "exact": True,
        "source": "raw",
        "source_reasons": ["no_rollups"],
        "timezone": "UTC",
        "bots": "excluded",
        "salt_period": "day",
        "sampled": False,
        "complete_through": None,
        "warnings": [],
        "partial": [],
    }


def test_nothing_at_all_is_an_answer_too(place):
    metrics = list(METRICS)
    [row] = place.ask(metrics=metrics)["results"]
    found = dict(zip(metrics, row["metrics"], strict=True))
    counts = {name for name in metrics if METRICS[name].unit in ("count", "uniques")}
    assert {found[name] for name in counts} == {0}
    money = {name for name in metrics if METRICS[name].unit == "money"}
    assert all(found[name] == {} for name in money)
    assert {found[name] for name in metrics if name not in counts | money} == {None}
    assert place.rows(metrics=metrics, dimensions=["country_code"]) == []
    assert place.rows(dimensions=["time:year"], date_range="all") == [(place.ask(
        dimensions=["time:year"], date_range="all")["results"][0]["dimensions"][0], 0)]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "events", "bots"),
    [
        ([["is", "is_bot", [True]]], 2, "included"),
        ([["is_not", "is_bot", [False]]], 2, "included"),
        ([["and", [["is", "is_bot", [True]], ["is", "event_type", ["page_view"]]]]], 2, "included"),
        ([["is", "is_bot", [False]]], 1, "excluded"),
        ([["not", ["is", "is_bot", [True]]]], 1, "excluded"),
    ],
)
def test_who_asks_for_bots_gets_them(place, filters, events, bots):
    place.store({"is_bot": True}, {"is_bot": True}, {"is_bot": False})
    answer = place.ask(filters=filters)
    assert answer["results"][0]["metrics"] == [events]
    assert answer["meta"]["bots"] == bots


def test_a_metric_does_not_change_with_its_neighbours(place):
    """bot_share looks at bots; what stands beside it does not."""
    visit = {"session_id": 5, "visitor_id": 5}
    bot = {"session_id": 6, "visitor_id": 6, "is_bot": True, "occurred_at": AT + 60_000}
    place.store(visit, visit | {"occurred_at": AT + 30_000}, bot)
    alone = {name: place.rows(metrics=[name])[0][0] for name in METRICS}
    assert (alone["bounce_rate"], alone["session_duration"]) == (0.0, 30.0)
    assert alone["last_at"] == "2026-03-15T12:00:30+00:00"
    assert alone["bot_share"] == pytest.approx(1 / 3)
    together = place.rows(metrics=[*METRICS]), place.rows(metrics=[*METRICS][::-1])
    assert together[0] == [tuple(alone[name] for name in [*METRICS])]
    assert together[1] == [tuple(alone[name] for name in [*METRICS][::-1])]
    answer = place.ask(metrics=["bot_share"])
    assert "visitor" not in " ".join(answer["meta"]["warnings"])


@pytest.mark.parametrize("text", ["ΟΔΟΣ", "ÜNÏ", "İstanbul", "STRASSE", "ĲSSEL", "ǅ"])
def test_upper_and_lower_case(place, text):
    place.store({"city": text}, {"city": "other"})
    for written in (text, text.lower()) if text.isascii() or text == "ÜNÏ" else (text,):
        for operator in ("is", "contains", "matches"):
            ignoring = [[operator, "city", [written], {"case_sensitive": False}]]
            assert place.rows(filters=ignoring) == [(1,)], (operator, written)
        assert place.rows(filters=[["is", "city", [written]]]) == [(int(written == text),)]


@pytest.mark.parametrize(
    ("stored", "asked"),
    [("Straße", "STRASSE"), ("İstanbul", "istanbul"), ("ısparta", "ISPARTA"), ("ΟΔΟΣ", "οδος"), ("ﬁn", "FIN"),
     ("Ｔｏｋｙｏ", "tokyo"), ("خرید‌شده", "خریدشده"), ("Å", "Å"), ("A", "ａ"), ("Köln\u00ad", "KÖLN")],
)  # fmt: skip
def test_texts_that_differ_by_case_are_found_both_ways(place, stored, asked):
    place.store({"city": f"in {stored}"}, {"city": f"in {asked}"}, {"city": "other"})
    for text in (stored, asked):
        ignoring = {"case_sensitive": False}
        assert place.rows(filters=[["contains", "city", [text], ignoring]]) == [(2,)], text
        assert place.rows(filters=[["is", "city", [f"in {text}"], ignoring]]) == [(2,)], text
        assert place.rows(filters=[["contains_not", "city", [text], ignoring]]) == [(1,)], text


def test_the_empty_text_is_in_every_text(place):
    place.store({"city": ""}, {"city": "x"})
    for values in ([""], ["nope", ""], ["", "nope"], ["x", ""], ["\u200d"]):
        if values == ["\u200d"]:  # a joiner is nothing where case is ignored
            where = [["contains", "city", values, {"case_sensitive": False}]]
            assert place.rows(filters=where) == [(2,)]
            continue
        for modifier in ([], [{"case_sensitive": False}]):
            assert place.rows(filters=[["contains", "city", values, *modifier]]) == [(2,)], values
            assert place.rows(filters=[["contains_not", "city", values, *modifier]]) == [(0,)], values


def test_events_without_a_visit_have_no_entry_page(place):
    place.store(
        {"session_id": 1, "visitor_id": 1, "page_path": "/in"},
        {"session_id": 1, "visitor_id": 1, "page_path": "/out", "occurred_at": AT + 1},
        {"session_id": 1, "visitor_id": 1, "event_type": "click", "occurred_at": AT + 2},
        {"event_type": "click"},
        {"session_id": 2, "visitor_id": 2, "event_type": "click", "page_path": "/no view"},
    )
    assert place.rows(dimensions=["entry_page"]) == [("/in", 3), ("", 2)]
    assert place.rows(dimensions=["exit_page"]) == [("/out", 3), ("", 2)]
    assert place.rows(filters=[["is_not", "entry_page", ["/in"]]]) == [(2,)]
    assert place.rows(filters=[["or", [["is", "entry_page", ["/in"]], ["is", "event_type", ["click"]]]]]) == [
        (5,)
    ]
    assert place.rows(dimensions=["entry_page"], metrics=["visitors", "percentage"]) == [
        ("", 1, 0.5),
        ("/in", 1, 0.5),
    ]


def test_an_event_counts_for_each_tag_of_its_link(console):
    place = Place(console)
    make = console.tenants.create_link
    one, two, bare = (
        console.run(make(place.workspace, "https://example.com/", tags=tags)).id
        for tags in (["a", "b"], ["b"], [])
    )
    place.store(*({"link_id": link, "visitor_id": 1} for link in (one, two, two, bare, "")))
    assert place.rows(metrics=["events", "percentage"], dimensions=["tag"]) == [("b", 3, 1.0), ("a", 1, 1.0)]
    assert place.rows(filters=[["is", "tag", ["a"]]]) == [(1,)]
    assert place.rows(filters=[["is_not", "tag", ["a", "nobody's"]]]) == [(4,)]


# Order and comparison


def test_tags_of_more_links_than_a_question_can_be_about_are_refused_and_never_counted_in_part(
    console, monkeypatch
):
    monkeypatch.setattr(tenants, "MAX_TAGGED", 4)
    monkeypatch.setattr(tenants, "_TAGGED_PAGE", 2)
    place = Place(console)
    made = [
        console.run(console.tenants.create_link(place.workspace, "https://example.com/", tags=tags)).id
        for tags in [["few"], *[["many"]] * 5, ["few", "some"]]
    ]
    place.store(*({"link_id": link} for link in made))
    assert place.rows(filters=[["is", "tag", ["few"]]]) == [(2,)]
    assert place.rows(filters=[["is_not", "tag", ["few"]]]) == [(5,)]
    assert place.rows(filters=[["or", [["is", "tag", ["few"]], ["is", "tag", ["some"]]]]]) == [(2,)]
    for asked in (
        {"filters": [["is", "tag", ["many"]]]},
        {"filters": [["not", ["is", "tag", ["some", "many"]]]]},
        {"dimensions": ["tag"]},
        {"dimensions": ["tag"], "filters": [["is", "tag", ["few"]]]},
    ):
        body = {"metrics": ["events"], "date_range": MARCH, **asked}
        assert_problem(console.post("/v1/query", body, place.key), 400, "tag")


def test_empty_buckets_stand_where_the_order_wants_them(place):
    place.store(*[{}] * 3, *[{"occurred_at": AT + DAY}] * 2)
    asked = {"dimensions": ["time:day"], "date_range": ["2026-03-14", "2026-03-17"]}
    days = [f"2026-03-{day}T00:00:00+00:00" for day in (14, 15, 16, 17)]

    def order(*by):
        return [days.index(day) for day, _ in place.rows(**asked, order_by=list(by))]

    assert order() == [0, 1, 2, 3]
    assert order(["time:day", "desc"]) == [3, 2, 1, 0]
    assert order(["events", "asc"]) == [0, 3, 2, 1]
    assert order(["events", "desc"]) == [1, 2, 0, 3]
    assert order(["events", "asc"], ["time:day", "desc"]) == [3, 0, 2, 1]
    page = place.rows(**asked, order_by=[["events", "asc"]], pagination={"limit": 2, "offset": 1})
    assert [day for day, _ in page] == [days[3], days[2]]


def test_a_comparison_is_the_answer_about_the_other_range(place):
    then = {"occurred_at": AT - 31 * DAY}
    place.store(
        *({"visitor_id": number, "country_code": "DE"} for number in (1, 2, 3)),
        {"visitor_id": 9, "country_code": "US"},
        *(then | {"visitor_id": number, "country_code": "DE"} for number in (1, 2)),
        *(then | {"visitor_id": number, "country_code": "FR"} for number in (4, 5, 6, 7, 8, 9)),
    )
    answer = place.ask(
        metrics=["visitors", "percentage", "last_at"],
        dimensions=["country_code"],
        compare="previous_period",
        pagination={"limit": 1},
    )
    assert answer["meta"]["compared_with"] == ["2026-01-29T00:00:00+00:00", "2026-03-01T00:00:00+00:00"]
    assert answer["results"] == [
        {
            "dimensions": ["DE"],
            "metrics": [3, 0.75, "2026-03-15T12:00:00+00:00"],
            "comparison": {
                "metrics": [2, 0.25, "2026-02-12T12:00:00+00:00"],
                "change": [0.5, 2.0, None],
            },
        }
    ]


@pytest.mark.parametrize(
    ("asked", "compared"),
    [
        (["2024-02-28", "2024-02-28"], ["2023-02-28", "2023-03-01"]),
        (["2024-02-01", "2024-02-28"], ["2023-02-01", "2023-03-01"]),
        (["2024-02-29", "2024-02-29"], ["2023-02-28", "2023-03-01"]),
        (["2024-02-01", "2024-02-29"], ["2023-02-01", "2023-03-01"]),
        (["2025-02-01", "2025-02-28"], ["2024-02-01", "2024-03-01"]),
    ],
)
def test_a_year_before_a_leap_day(place, asked, compared):
    answer = place.ask(date_range=asked, compare="year_over_year", dimensions=["time:day"])
    assert [text[:10] for text in answer["meta"]["compared_with"]] == compared


def test_no_comparison_is_better_than_a_wrong_one(place):
    """More groups in the other range than are looked at: nobody knows whether a missing one was there."""
    hosts = [f"host{number}.example" for number in range(10_500)]
    place.store(
        *({"page_url": f"https://{host}/", "occurred_at": AT - 31 * DAY} for host in hosts),
        *({"page_url": f"https://{host}/"} for host in hosts[::500]),
    )
    answer = place.ask(dimensions=["hostname"], compare="previous_period")
    known = [row["comparison"]["metrics"] for row in answer["results"] if "comparison" in row]
    assert len(answer["results"]) == 21
    assert all(metrics == [1] for metrics in known)


def test_a_bucket_is_partial_until_it_is_over(place):
    today = datetime.now(UTC).date()
    days = [(today + timedelta(days=number)).isoformat() for number in range(-2, 3)]
    meta = place.ask(dimensions=["time:day"], date_range=[f"{days[0]}T06:00", days[-1]])["meta"]
    assert [text[:10] for text in meta["partial"]] == [days[0], *days[2:]]


# Estimates


def test_more_than_five_hundred_are_an_estimate_and_said_so(place):
    place.store(*({"visitor_id": random.getrandbits(64), "session_id": 1} for _ in range(2000)))
    for body in (
        {"metrics": ["visitors"]},
        {"metrics": ["conversion_rate"]},
        {"metrics": ["percentage"], "dimensions": ["country_code"]},
    ):
        meta = place.ask(**body)["meta"]
        assert (meta["exact"], meta["error"]) == (False, UNIQUE_ERROR)
    then = {"date_range": ["2026-04-01", "2026-04-30"], "compare": ["2026-03-01", "2026-03-31"]}
    assert not place.ask(metrics=["visitors"], dimensions=["time:month"], **then)["meta"]["exact"]
    assert place.ask(metrics=["events", "sessions"])["meta"]["exact"]
    [[visitors]] = place.rows(metrics=["visitors"])
    assert visitors == pytest.approx(2000, rel=0.015)


def test_weights_count(place):
    place.store(
        {"sample_weight": 10.0},
        {"sample_weight": 0.25},
        {"sample_weight": 0.25},
        {"event_type": "conversion", "properties": '{"value_minor":0,"currency":"EUR"}'},
        {"event_type": "conversion", "properties": '{"value_minor":-5,"currency":"JPY"}'},
        {"event_type": "conversion", "properties": '{"name":"free"}'},
    )
    answer = place.ask(metrics=["events", "pageviews", "conversions", "revenue"])
    assert answer["results"][0]["metrics"] == [14, 10, 3, {"EUR": 0, "JPY": -5}]
    assert answer["meta"]["sampled"]
    assert not place.ask(filters=[["is", "event_type", ["conversion"]]])["meta"]["sampled"]


def test_new_visitors_are_those_with_an_id_of_their_own_whose_first_event_it_is(place):
    lasting = {"visitor_id": 1, "device_hash": 7}
    place.store(
        lasting | {"occurred_at": AT - 40 * DAY, "channel": "email"},  # before the range
        lasting | {"channel": "search"},
        {"visitor_id": 2, "device_hash": 8, "channel": "search", "site_id": "a"},
        {"visitor_id": 2, "device_hash": 9, "channel": "social", "site_id": "b", "occurred_at": AT + DAY},
        {"visitor_id": 3, "device_hash": 3, "channel": "search"},  # known for a day
        {"visitor_id": 0, "device_hash": 0},
        {"visitor_id": 4, "device_hash": 8, "is_bot": True},
    )
    answer = place.ask(metrics=["new_visitors", "visitors"])
    assert answer["results"][0]["metrics"] == [1, 3]
    assert (
        "1 events are of visitors recognised for one day only: not in new_visitors"
        in answer["meta"]["warnings"]
    )
    assert answer["meta"]["exact"]
    by_channel = place.rows(metrics=["new_visitors"], dimensions=["event_channel"])
    assert {row for row in by_channel if row[1]} == {("search", 1)}
    assert place.rows(metrics=["new_visitors"], site_id="b") == [(1,)]
    assert place.rows(metrics=["new_visitors"], include={"bots": True}) == [(2,)]
    assert place.rows(metrics=["new_visitors"], date_range=["2026-02-01", "2026-02-10"]) == [(1,)]
    february_on = place.ask(
        metrics=["new_visitors"], dimensions=["time:month"], date_range=["2026-02-01", "2026-03-31"]
    )
    assert [row["metrics"] for row in february_on["results"]] == [[1], [1]]
