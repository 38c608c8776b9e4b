"""Filters, ranges by name, and what `meta` says of both: the same for every report."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from footfall.query.language.presets import RangeName
from footfall.query.reports import REPORTS
from tests.contract.acme import BY_NAME, DAY, FIRST, assert_problem, required
from tests.truth import columns_of, make_events

every_report = pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)


def count(acme, **params):
    answer = acme.ask(BY_NAME["overview"], **params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["events"]


def seen(acme, test):
    return sum(
        event["workspace_id"] == acme.acme and not event["is_bot"] and bool(test(event))
        for event in acme.events
    )


def test_commas_are_any_of_and_a_hyphen_is_none_of(acme):
    some = seen(acme, lambda event: event["country_code"] in ("US", "DE"))
    assert count(acme, country_code="US,DE") == count(acme, country="DE,US") == some > 0
    others = seen(acme, lambda event: event["country_code"] not in ("US", "DE"))
    assert count(acme, country_code="-US,DE") == count(acme, country="-US,-DE") == others > 0
    assert_problem(acme.ask(BY_NAME["overview"], country="US,-DE"), 400, field="country")


def test_unknown_is_two_quotes(acme):
    assert count(acme, country='""') == seen(acme, lambda event: not event["country_code"]) > 0
    known = seen(acme, lambda event: event["country_code"])
    assert count(acme, country='-""') == known
    assert_problem(acme.ask(BY_NAME["overview"], country=""), 400, field="country")


def test_what_a_report_shows_can_be_filtered_on(acme):
    for report, column in (
        ("referers", "referer_host"),
        ("countries", "country_code"),
        ("languages", "language"),
    ):
        for row in acme.ask(BY_NAME[report]).json()["data"]:
            value = row[column] or '""'
            (same,) = acme.ask(
                BY_NAME[report], **{column: value, "channel": row.get("channel", "-x")}
            ).json()["data"]
            assert same == row


def test_properties_are_compared_as_text(acme):
    name = "property:plan"
    pro = seen(acme, lambda event: '"plan":"pro"' in event["properties"])
    assert count(acme, **{name: "pro"}) == pro > 0
    assert count(acme, **{name: '-""'}) == seen(acme, lambda event: '"plan"' in event["properties"])
    assert count(acme, **{"property:half": "0.5"}) == seen(
        acme, lambda event: '"half"' in event["properties"]
    )


@every_report
def test_every_report_takes_every_filter(acme, report):
    for name, value in (
        ("country", "-ZZ"),
        ("page_path", "-/none"),
        ("asn", "-1"),
        ("property:none", "-x"),
        ("is_bot", "false"),
    ):
        plain, filtered = acme.ask(report).json(), acme.ask(report, **{name: value}).json()
        field = {"country": "country_code"}.get(name, name)
        assert filtered["meta"]["query"]["filters"][field] == value
        if name != "is_bot" or report.name not in ("bots", "overview"):  # these tell how many bots there are
            assert filtered["data"] == plain["data"], name
    assert_problem(acme.ask(report, contry="US"), 400, field="contry")


def test_a_filter_on_bots_speaks_for_itself(acme):
    robots = sum(event["is_bot"] for event in acme.events if event["workspace_id"] == acme.acme)
    answer = acme.ask(BY_NAME["overview"], is_bot="true").json()
    assert answer["data"]["events"] == answer["data"]["bots"] == robots > 0
    assert answer["meta"]["bots"] == "included"
    assert acme.ask(BY_NAME["overview"], is_bot="-true").json()["meta"]["bots"] == "excluded"
    bots = acme.ask(BY_NAME["bots"]).json()
    assert sum(row["events"] for row in bots["data"]) == robots
    assert bots["meta"]["bots"] == "only"


def test_a_list_of_other_events_than_asked_for_says_so(acme):
    for report, kinds in (("pages", "click"), ("widgets", "click,page_view"), ("countries", "-click")):
        answer = acme.ask(BY_NAME[report], event_type=kinds).json()
        assert answer["data"] == []
        assert any("event_type" in warning for warning in answer["meta"]["warnings"])
    fine = acme.ask(BY_NAME["widgets"], event_type="widget_click").json()
    assert not any("event_type" in warning for warning in fine["meta"]["warnings"])
    assert {row["impressions"] for row in fine["data"]} == {0}
    assert {row["ctr"] for row in fine["data"]} == {row["ctr_low"] for row in fine["data"]} == {None}


@every_report
def test_a_range_may_be_named(acme, report):
    path, needed = acme.path(report), required(report)
    answer = acme.console.get(path, acme.key, needed | {"interval": "7d", "timezone": "Asia/Tokyo"})
    assert answer.status_code == 200, answer.text
    query = answer.json()["meta"]["query"]
    start, end = datetime.fromisoformat(query["start"]), datetime.fromisoformat(query["end"])
    assert (query["interval"], end - start, end.hour) == ("7d", timedelta(days=7), 0)
    both = acme.console.get(path, acme.key, needed | {"interval": "7d", "start_date": "2026-03-01"})
    assert_problem(both, 400, field="interval")


@pytest.mark.parametrize("name", get_args(RangeName))
def test_every_name_of_a_range_has_an_answer(acme, name):
    path, zone = "/api/v1/analytics/timeseries", "Asia/Kolkata"
    answer = acme.console.get(path, acme.key, {"interval": name, "timezone": zone})
    assert answer.status_code == 200, answer.text
    asked = {"metrics": ["events"], "date_range": name, "timezone": zone}
    other = acme.console.post("/v1/query", asked, acme.key)
    assert other.status_code == 200, other.text
    query, begin, end = answer.json()["meta"]["query"], *other.json()["query"]["date_range"]
    if name != "24h":  # that is of the minute it was asked in
        assert (query["start"], query["end"]) == (begin, end)
    over = datetime.fromisoformat(end) <= datetime.now(UTC)
    assert over == (name == "yesterday" or name.startswith(("last_", "previous_")))


def test_all_begins_with_the_first_event_kept(acme):
    answer = acme.console.get("/api/v1/analytics/timeseries", acme.key, {"interval": "all"}).json()
    first = min(event["occurred_at"] for event in acme.events if event["workspace_id"] == acme.acme)
    assert (
        answer["meta"]["query"]["start"] == datetime.fromtimestamp(first // DAY * DAY / 1000, UTC).isoformat()
    )
    assert sum(row["events"] for row in answer["data"]) == seen(acme, lambda _: True)
    nobody = acme.console.key(acme.console.workspace("empty"), "read")
    rows = acme.console.get("/api/v1/analytics/timeseries", nobody, {"interval": "all"}).json()["data"]
    assert len(rows) in (23, 24, 25)  # nothing is kept: today, by hours


def test_buckets_of_a_named_range_are_as_long_as_asked(acme):
    def ask(**params):
        return acme.console.get("/api/v1/analytics/timeseries", acme.key, params).json()

    assert len(ask(interval="7d")["data"]) == 7
    assert len(ask(interval="24h")["data"]) in (24, 25)
    weeks = ask(interval="90d", granularity="week", week_start="sunday")
    assert {datetime.fromisoformat(row["bucket"]).isoweekday() for row in weeks["data"]} == {7}
    query = weeks["meta"]["query"]
    assert (query["interval"], query["granularity"], query["week_start"]) == ("90d", "week", "sunday")
    refused = acme.console.get(
        "/api/v1/analytics/timeseries", acme.key, {"interval": "7d", "granularity": "7d"}
    )
    assert_problem(refused, 400, field="granularity")


def test_the_last_bucket_is_partial_as_long_as_it_is_not_over(acme):
    rows = acme.console.get(
        "/v1/stats/timeseries", acme.key, {"interval": "mtd", "granularity": "month"}
    ).json()
    assert [row["partial"] for row in rows["data"]] == [True]
    rows = acme.console.get("/v1/stats/timeseries", acme.key, {"interval": "7d"}).json()["data"]
    assert [row["partial"] for row in rows] == [False] * 6 + [True]


def test_sampled_events_count_as_often_as_they_say_and_meta_tells(acme):
    workspace = acme.console.workspace("sampled")
    key = acme.console.key(workspace, "read")
    events = make_events(5, 50, FIRST, FIRST + DAY, [workspace])
    for event in events:
        event |= {"sample_weight": 10.0, "is_bot": False, "event_type": "click"}
    acme.console.insert(columns_of(events))

    def ask(report):
        return acme.console.get(acme.path(report), key, {"from": "2026-03-01", "to": "2026-03-01"}).json()

    answer = ask(BY_NAME["overview"])
    assert answer["data"]["clicks"] == 500
    assert answer["meta"]["sampled"] is True
    assert any("sample_weight" in warning for warning in answer["meta"]["warnings"])
    clicks = ask(BY_NAME["clicks"])
    assert (len(clicks["data"]), clicks["meta"]["total"], clicks["meta"]["sampled"]) == (50, 50, True)
    assert acme.ask(BY_NAME["overview"]).json()["meta"]["sampled"] is False
