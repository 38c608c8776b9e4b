"""Questions about the real data of examples/data, against DuckDB over the same events."""

import math
from pathlib import Path

import pytest

from tests import duck
from tests.contract.access_log import LINES, chunks, console, select, send

CLICKS = Path(__file__).parents[2] / "examples" / "data" / "usagov_clicks.jsonl"
WHEN = ["2012-01-01", "2015-12-31"]
UNIQUES = {"visitors", "sessions"}

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def data(tmp_path_factory):
    """A data directory with the clicks of 2012 and the access log of 2015."""
    data = tmp_path_factory.mktemp("real")
    async with console(data) as http:
        for chunk in chunks(CLICKS.read_text().splitlines()):
            body = {"format": "bitly", "lines": chunk.lines, "occurrences": chunk.occurrences}
            answer = await http.post("/api/v1/imports/clicks", json=body)
            assert answer.status_code == 202, answer.text
        await send(http, LINES, origin="http://semicomplete.com")
    return data


@pytest.fixture(scope="module")
async def truth(data):
    rows = await select(data, f"SELECT {duck.COLUMNS} FROM events ORDER BY shard, seq")
    assert len(rows) == 3440 + 3783
    return duck.open_duck(rows)


@pytest.fixture(scope="module")
async def ask(data, truth):
    async with console(data) as http:

        async def ask(*metrics, by=(), **body):
            query = {"metrics": metrics, "dimensions": by, "date_range": WHEN, **body}
            answer = await http.post("/v1/query", json=query)
            assert answer.status_code == 200, answer.text
            return {tuple(row["dimensions"]): row["metrics"] for row in answer.json()["results"]}

        yield ask


def assert_same(found, expected, metrics):
    """`expected`: rows of a group's values and the metrics."""
    assert len(found) == len(expected)
    for row in expected:
        key, figures = row[: -len(metrics)], row[-len(metrics) :]
        for name, one, other in zip(metrics, found[key], figures, strict=True):
            # Few enough visitors are counted exactly, more are estimated.
            close = 0.015 if name in UNIQUES and other > 500 else 1e-9
            assert math.isclose(one, other, rel_tol=close), (key, name)


COUNTED = [
    "events",
    "clicks",
    "pageviews",
    "visitors",
    "sessions",
    "unique_countries",
    "unique_referrers",
    "links",
]


async def test_everything_together(ask, truth):
    assert_same(await ask(*COUNTED), duck.figures(truth, COUNTED), COUNTED)
    with_bots = await ask(*COUNTED, include={"bots": True})
    assert_same(with_bots, duck.figures(truth, COUNTED, bots=True), COUNTED)
    [[share]] = (await ask("bot_share")).values()
    [(expected,)] = truth.sql("SELECT avg(is_bot::int) FROM events").fetchall()
    assert math.isclose(share, expected)


@pytest.mark.parametrize(
    "by",
    [
        ["country_code"], ["browser", "os"], ["device_type"], ["referrer_host", "channel"], ["page_path"],
        ["city"], ["timezone"], ["language"], ["short_code"], ["event_type", "site_id"], ["utm_source"],
    ],
)  # fmt: skip
async def test_by_what_events_say(ask, truth, by):
    columns = [f"visit_{name}" if name in duck.OF_VISITS else name for name in by]
    assert_same(await ask(*COUNTED, by=by), duck.figures(truth, COUNTED, ", ".join(columns)), COUNTED)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month", "year"])
async def test_over_time(ask, truth, zone, interval):
    """DuckDB has its own calendar. Only buckets with events: the empty ones have tests of their own."""
    days = ["2015-05-16", "2015-05-21"]
    found = await ask(
        "events", "visitors", by=[f"time:{interval}"], timezone=zone, date_range=days, include={"bots": True}
    )
    local = f"timezone('{zone}', moment::TIMESTAMPTZ)"
    bucket = f"strftime(date_trunc('{interval}', {local}), '%Y-%m-%dT%H:%M:%S')"
    expected = duck.figures(
        truth,
        ["events", "visitors"],
        bucket,
        f"{local} >= '2015-05-16' AND {local} < '2015-05-22'",
        bots=True,
    )
    with_events = {(key[0][:19],): metrics for key, metrics in found.items() if metrics[0]}
    assert_same(with_events, expected, ["events", "visitors"])


@pytest.mark.parametrize(
    ("filters", "where"),
    [
        ([["is", "country_code", ["US", "BR"]]], "country_code IN ('US', 'BR')"),
        ([["is_not", "country_code", ["US", ""]]], "country_code NOT IN ('US', '')"),
        (
            [["contains", "page_path", ["blog", "/files"]]],
            "contains(page_path, 'blog') OR contains(page_path, '/files')",
        ),
        (
            [["contains", "browser", ["CHROME"], {"case_sensitive": False}]],
            "browser ILIKE '%chrome%'",
        ),
        (
            [["matches", "page_path", ["^/[a-m].*[0-9]$"]]],
            "regexp_matches(page_path, '^/[a-m].*[0-9]$', 's')",
        ),
        (
            [["or", [["is", "event_type", ["click"]], ["not", ["is", "os", ["Windows"]]]]]],
            "event_type = 'click' OR os <> 'Windows'",
        ),
        (
            [["has_done", ["is", "page_path", ["/projects/xdotool/"]]]],
            """visitor_id <> 0 AND visitor_id IN
            (SELECT visitor_id FROM events WHERE page_path = '/projects/xdotool/' AND NOT is_bot)""",
        ),
        (
            [
                ["has_not_done", ["contains", "referrer_host", ["google"]]],
                ["is", "event_type", ["page_view"]],
            ],
            """event_type = 'page_view' AND (visitor_id = 0 OR visitor_id NOT IN
            (SELECT visitor_id FROM events WHERE contains(visit_referrer_host, 'google') AND NOT is_bot))""",
        ),
    ],
)  # fmt: skip
async def test_filtered(ask, truth, filters, where):
    found = await ask(*COUNTED, by=["device_type"], filters=filters)
    expected = duck.figures(truth, COUNTED, "device_type", where)
    assert found
    assert_same(found, expected, COUNTED)


async def test_whole_visits(ask, truth):
    metrics = ["bounce_rate", "session_duration", "views_per_session"]
    for by in ("country_code", "page_path", "browser"):
        found = await ask(*metrics, by=[by])
        assert_same(
            {key: row for key, row in found.items() if row[0] is not None}, duck.visits(truth, by), metrics
        )
    assert_same(await ask("events", by=["entry_page"]), duck.entries(truth), ["events"])


async def test_the_last_event_of_each(ask, truth):
    found = await ask("last_at", by=["country_code"], timezone="Asia/Kolkata")
    expected = truth.sql(
        """
        SELECT country_code,
            strftime(timezone('Asia/Kolkata', max(moment)::TIMESTAMPTZ), '%Y-%m-%dT%H:%M:%S')
        FROM events WHERE NOT is_bot GROUP BY 1
        """
    ).fetchall()
    assert {key[0]: row[0][:19] for key, row in found.items()} == dict(expected)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
async def test_days_of_the_week_and_hours_of_the_day(ask, truth, zone):
    local = f"timezone('{zone}', moment::TIMESTAMPTZ)"
    by = {"time:weekday": f"isodow({local})", "time:hour_of_day": f"hour({local})"}
    figures = ["events", "clicks", "visitors"]
    for names in (["time:weekday"], ["time:hour_of_day"], ["time:weekday", "time:hour_of_day"]):
        found = await ask(*figures, by=names, timezone=zone)
        there = {key: values for key, values in found.items() if any(values)}
        assert_same(there, duck.figures(truth, figures, ", ".join(by[each] for each in names)), figures)


@pytest.mark.parametrize("where", [[], [["is", "country_code", ["US"]]]])
async def test_how_often_a_page_is_left(ask, truth, where):
    expected = dict(duck.exits(truth, "country_code = 'US'" if where else "true"))
    site = [["is_not", "page_path", [""]]]
    by_page = await ask("exit_rate", "pageviews", by=["page_path"], filters=[*where, *site])
    assert {page for (page,), (_, views) in by_page.items() if views} == expected.keys()
    for (page,), (rate, views) in by_page.items():
        assert rate == (pytest.approx(expected[page]) if views else None), page
    by_exit = await ask("sessions", "exit_rate", by=["exit_page"], filters=where)
    for (page,), (_, rate) in by_exit.items():
        assert rate == (pytest.approx(expected[page]) if page else None), page
    first = await ask("exit_rate", by=["exit_page"], filters=where, pagination={"limit": 2})
    assert all(by_exit[key][1] == rate for key, [rate] in first.items())
    [[rate, sessions, views]] = (await ask("exit_rate", "sessions", "pageviews", filters=site)).values()
    assert rate == pytest.approx(sessions / views)
