"""What every report promises to everyone who asks: shapes, scope, refusals, what `meta` says."""

import json
from datetime import UTC, datetime

import pytest

from footfall.errors import Invalid, StoreDown
from footfall.query.catalog.measures import UNIQUE_ERROR
from footfall.query.reports import REPORTS
from tests.contract.acme import BY_NAME, DAY, FIRST, RANGE, assert_problem, required
from tests.truth import columns_of, make_events
from tests.truth_cases import escaped

FIGURES = {"visitors", "events", "clicks", "pageviews"}
RATES = {"viewable_impressions", "unique_visitors", "ctr", "ctr_low", "ctr_high"}
SHAPES = {
    "overview": {"clicks", "events", "visitors", "sessions", "links", "bots"},
    "link": {
        "link_id",
        "short_code",
        "destination_url",
        "title",
        "clicks",
        "visitors",
        "last_click_at",
        "timeseries",
        "countries",
        "referers",
        "devices",
    },
    "countries": {"country_code", "country", "clicks", "visitors"},
    "devices": {"device_type", "browser", "os", "clicks", "visitors"},
    "referers": {"referer_host", "channel", "clicks", "visitors"},
    "timeseries": {"bucket", "bucket_end", "clicks", "events", "visitors", "partial"},
    "aggregates": {
        "workspaceId",
        "linkId",
        "bucket",
        "bucket_start",
        "bucket_end",
        "totalClicks",
        "uniqueClicks",
        "humanClicks",
        "uniqueVisitors",
        "uniqueSessions",
        "topCountries",
    },
    "widgets": {"mapping_id", "device_slug", "impressions", "clicks", *RATES},
    "widgets_timeseries": {"bucket", "impressions", "clicks", "partial", *RATES},
    "posts": {"post_id", "widget_impressions", "widget_clicks", *RATES},
    "posts_timeseries": {"bucket", "widget_impressions", "widget_clicks", "partial", *RATES},
    "stats_timeseries": {"bucket", "count", "unique_visitors", "partial"},
    "pages": {"page_path", "pageviews", "visitors"},
    "entry_pages": {"entry_page", "sessions", "visitors", "bounce_rate"},
    "exit_pages": {"exit_page", "sessions", "visitors"},
    "browsers": {"browser", *FIGURES},
    "os": {"os", *FIGURES},
    "cities": {"country_code", "country", "region", "city", *FIGURES},
    "regions": {"country_code", "country", "region", *FIGURES},
    "languages": {"language", *FIGURES},
    "channels": {"channel", *FIGURES},
    "links": {"link_id", "short_code", "title", "clicks", "visitors"},
    "utm_sources": {"utm_source", *FIGURES},
    "utm_mediums": {"utm_medium", *FIGURES},
    "utm_campaigns": {"utm_campaign", *FIGURES},
    "utm_terms": {"utm_term", *FIGURES},
    "utm_contents": {"utm_content", *FIGURES},
    "bots": {"bot_name", "bot_category", "events", "clicks", "pageviews"},
    "event_types": {"event_type", "events", "visitors", "sessions"},
    "properties": {"property", "events", "visitors", "values"},
    "property_values": {"value", "events", "visitors"},
    "orphan_clicks": {"domain", "short_code", "clicks", "visitors", "last_at"},
    "networks": {"asn", "organisation", *FIGURES},
    "device_pages": {"device_slug", "brand", "views", "unique_visitors"},
}

INJECTIONS = [
    "' OR 1=1 --",
    "'; DROP TABLE events; --",
    "\\' OR '1'='1",
    "{workspace_id:String}",
    "{start:Int64}",
    "%(workspace_id)s",
    "a') UNION ALL SELECT * FROM events --",
    "$$x$$",
    "\0",
    "\\",
    "`events`",
    "\U0001f642\u202e",
]


every_report = pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)


# Shapes


@every_report
def test_answers_have_data_and_meta_of_the_documented_shape(acme, report):
    answer = acme.ask(report).json()
    assert set(answer) == {"data", "meta"}
    rows = answer["data"] if isinstance(answer["data"], list) else [answer["data"]]
    assert rows
    if report.name != "clicks":  # its rows are the columns: see below
        assert all(set(row) == SHAPES[report.name] for row in rows)
    assert {
        "query",
        "exact",
        "complete_through",
        "source",
        "bots",
        "warnings",
        "sampled",
        "salt_period",
    } <= set(answer["meta"])


def test_an_event_shows_its_columns_and_properties_and_nothing_private(acme):
    (event,) = acme.ask(
        BY_NAME["clicks"], event_type="widget_click", limit=1, timezone="Asia/Kolkata"
    ).json()["data"]
    stored = next(
        each for each in acme.events if each["event_id"].hex() == event["event_id"].replace("-", "")
    )
    assert event["properties"] == json.loads(stored["properties"])
    assert event["occurred_at"].endswith("+05:30")
    assert datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000 == stored["occurred_at"]
    visitor = stored["visitor_id"]
    assert event["visitor_id"] == (f"{visitor:016x}" if visitor else None)
    assert event["latitude"] == stored["latitude"]
    assert event["via_click_id"] is None
    assert event["occurred_at_original"] is None
    assert not {"device_hash", "shard", "seq"} & set(event)
    assert event["workspace_id"] == acme.acme


def test_properties_come_back_as_they_were_sent(acme):
    answer = acme.ask(BY_NAME["clicks"], limit=1000, include_bots="true").json()["data"]
    shown = {event["event_id"].replace("-", ""): event["properties"] for event in answer}
    sent = {
        event["event_id"].hex(): json.loads(event["properties"] or "{}")
        for event in acme.events
        if event["workspace_id"] == acme.acme and event["event_type"] == "click"
    }
    assert shown == sent


# Scope


def is_nothing(figures):
    """Whether there is no row, or only rows (or totals) of zeros."""
    rows = figures if isinstance(figures, list) else [figures]
    return not any(
        value
        for row in rows
        for name, value in row.items()
        if name not in ("bucket", "bucket_end", "partial")
    )


@every_report
def test_a_workspace_sees_nothing_of_another(acme, report):
    path = acme.path(report, acme.others_link)
    theirs = RANGE | required(report) | {"link_id": acme.others_link.id, "include_bots": "true"}
    assert not is_nothing(acme.console.get(path, acme.others_key, theirs).json()["data"])
    seen = acme.console.get(path, acme.key, theirs)
    nobody = acme.console.key(acme.console.workspace("empty"), "read")
    empty = acme.console.get(path, nobody, RANGE | required(report))
    if report.name == "link":
        assert_problem(seen, 404)
        assert_problem(empty, 404)
    else:
        assert is_nothing(seen.json()["data"])
        assert is_nothing(empty.json()["data"])


def test_events_of_both_workspaces_are_disjoint_and_complete(acme):
    found = []
    for key in (acme.key, acme.others_key):
        for kind in {event["event_type"] for event in acme.events}:
            params = RANGE | {"event_type": escaped(kind), "limit": 1000, "include_bots": "true"}
            found += acme.console.get("/api/v1/analytics/clicks", key, params).json()["data"]
    ids = [event["event_id"].replace("-", "") for event in found]
    assert sorted(ids) == sorted(event["event_id"].hex() for event in acme.events)


@every_report
def test_a_key_that_may_read_is_needed(acme, report):
    path = acme.path(report)
    for key in (None, "ff_nobody_knows_this_one"):
        refused = acme.console.get(path, key, RANGE)
        assert_problem(refused, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")
    assert_problem(acme.console.get(path, acme.console.key(acme.acme, "ingest", "links"), RANGE), 403)
    admin = acme.console.key(acme.acme, "admin")
    assert acme.console.get(path, admin, RANGE | required(report)).status_code == 200


# Refusals


@every_report
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_date", "yesterday"),
        ("end_date", "2026-13-01"),
        ("from", "1e9"),
        ("timezone", "Mars/Olympus"),
        ("include_bots", "perhaps"),
        ("site_id", ""),
        ("event_type", "x" * 300),
        ("strat_date", "2026-01-01"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(acme, report, name, value):
    body = assert_problem(acme.console.get(acme.path(report), acme.key, {name: value}), 400, field=name)
    assert body["instance"] == acme.path(report)


def test_a_reversed_range_and_too_many_buckets_are_refused(acme):
    assert_problem(acme.ask(BY_NAME["overview"], start_date="2026-03-09"), 400, field="start_date")
    too_many = acme.ask(
        BY_NAME["timeseries"], start_date="1970-01-01", end_date="2099-12-31", interval="hour"
    )
    assert_problem(too_many, 400, field="interval")


@every_report
@pytest.mark.parametrize("evil", INJECTIONS)
def test_sql_in_a_parameter_is_only_text(acme, report, evil):
    names = ("site_id", "event_type", "mapping_id", "country_code", "page_path", "property:plan")
    answer = acme.ask(report, **dict.fromkeys(names, evil))
    assert answer.status_code == 200, answer.text
    assert is_nothing(answer.json()["data"]) or report.name == "link"
    assert answer.json()["meta"]["query"]["filters"] == dict.fromkeys(names, evil)
    assert_problem(acme.ask(report, asn=evil), 400, field="asn")
    if "\0" not in evil:
        assert acme.ask(report, **{f"property:{evil}": evil}).status_code == 200
    for name in ("start_date", "end_date", "timezone", "limit", "offset", "interval", "by", "cursor"):
        if name in report.params.__struct_fields__:
            assert_problem(acme.ask(report, **{name: evil}), 400, field=name)
    assert_problem(acme.ask(report, **{evil: "1"}), 400)
    assert acme.console.get("/api/v1/analytics/links/" + "a'b\\", acme.key).status_code == 404


def test_after_all_that_the_events_are_still_there(acme):
    count = acme.ask(BY_NAME["overview"], include_bots="true").json()["data"]["events"]
    assert count == sum(event["workspace_id"] == acme.acme for event in acme.events)


def test_errors_of_the_store_are_told_apart(acme):
    class Broken:
        def __init__(self, error):
            self.error = error

        async def query(self, *_, **__):
            raise self.error

    down = acme.console.with_store(Broken(StoreDown("the store does not answer", retry_after=3)))
    answer = down.get("/api/v1/analytics/overview", acme.key, RANGE)
    assert_problem(answer, 503)
    assert answer.headers["retry-after"] == "3"
    slow = acme.console.with_store(Broken(Invalid("the question takes more than 30 s")))
    assert_problem(slow.get("/api/v1/analytics/overview", acme.key, RANGE), 400)
    bad = acme.console.with_store(Broken(RuntimeError("secret detail")))
    answer = bad.get("/api/v1/analytics/overview", acme.key, RANGE)
    assert_problem(answer, 500)
    assert "secret" not in answer.text


# Meta


def test_meta_echoes_the_question_as_it_was_understood(acme):
    params = {"timezone": "Europe/Berlin", "site_id": "site_1", "interval": "week"}
    meta = acme.ask(BY_NAME["timeseries"], **params).json()["meta"]
    assert meta["query"] == {
        "start": "2026-03-01T00:00:00+01:00",
        "end": "2026-03-08T00:00:00+01:00",
        "timezone": "Europe/Berlin",
        "interval": "week",
        "granularity": "week",
        "week_start": "monday",
        "filters": {"site_id": "site_1"},
    }
    assert (meta["source"], meta["bots"], meta["exact"]) == ("raw", "excluded", True)
    listed = acme.ask(BY_NAME["devices"], by="os", limit=5, include_bots="true").json()["meta"]
    assert (listed["query"]["by"], listed["query"]["limit"], listed["query"]["offset"]) == (["os"], 5, 0)
    assert listed["bots"] == "included"


def test_without_dates_the_last_thirty_days_are_answered(acme):
    answer = acme.console.get("/api/v1/analytics/timeseries", acme.key).json()
    assert len(answer["data"]) == 30
    today = datetime.now(UTC).date().isoformat()
    assert answer["data"][-1]["bucket"][:10] in (today, answer["meta"]["query"]["end"][:10])


def test_meta_says_how_far_the_answer_is_complete(acme):
    assert acme.ask(BY_NAME["overview"]).json()["meta"]["complete_through"] is None
    acme.console.complete_through = datetime(2026, 3, 1, tzinfo=UTC)
    try:
        meta = acme.ask(BY_NAME["overview"], timezone="Asia/Tokyo").json()["meta"]
        assert meta["complete_through"] == "2026-03-01T09:00:00+09:00"
    finally:
        acme.console.complete_through = None


def test_meta_warns_of_what_unique_does_not_mean(acme):
    unknown = sum(
        event["visitor_id"] == 0 and event["workspace_id"] == acme.acme and not event["is_bot"]
        for event in acme.events
    )
    warnings = acme.ask(BY_NAME["overview"]).json()["meta"]["warnings"]
    assert any(str(unknown) in warning and "no visitor" in warning for warning in warnings)
    assert any("over several days" in warning for warning in warnings)
    one_day = acme.ask(BY_NAME["overview"], end_date="2026-03-01").json()["meta"]["warnings"]
    assert not any("over several days" in warning for warning in one_day)


def test_meta_warns_of_parameters_without_effect(acme):
    (warning, *_) = acme.ask(BY_NAME["overview"], interval="day").json()["meta"]["warnings"]
    assert "interval" in warning
    meta = acme.ask(BY_NAME["countries"], event_type="page_view").json()["meta"]
    assert any("event_type" in warning for warning in meta["warnings"])


def test_totals_stand_also_on_a_page_past_the_end(acme):
    answer = acme.ask(BY_NAME["referers"], offset=500).json()
    assert answer["data"] == []
    assert answer["meta"]["total"] == acme.ask(BY_NAME["referers"]).json()["meta"]["total"] > 0


def test_many_visitors_are_an_estimate_that_says_so(acme):
    workspace = acme.console.workspace("many")
    events = make_events(11, 12_000, FIRST, FIRST + DAY, [workspace])
    for number, event in enumerate(events):
        event["visitor_id"] = event["session_id"] = (number + 1) * 0x9E3779B97F4A7C15 % 2**64
        event["is_bot"] = False
    acme.console.insert(columns_of(events))
    answer = acme.console.get("/api/v1/analytics/overview", acme.console.key(workspace, "read"), RANGE).json()
    assert answer["meta"]["exact"] is False
    assert answer["meta"]["error"] == UNIQUE_ERROR
    assert answer["data"]["visitors"] == pytest.approx(12_000, rel=5 * UNIQUE_ERROR)
    # Up to 500 they are counted.
    half_hour = RANGE | {"start_date": "2026-03-01T01:00", "end_date": "2026-03-01T01:30"}
    answer = acme.console.get(
        "/api/v1/analytics/overview", acme.console.key(workspace, "read"), half_hour
    ).json()
    expected = sum(3_600_000 <= event["occurred_at"] - FIRST < 5_400_000 for event in events)
    assert answer["meta"]["exact"] is True
    assert answer["data"]["visitors"] == answer["data"]["sessions"] == expected > 200
