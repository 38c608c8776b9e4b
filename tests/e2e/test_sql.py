"""`footfall sql` and the views: what they say, who may ask, and that nothing is changed."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from tests.e2e.serving import KEY, footfall, serving, until

DAY = datetime.now(UTC).date().isoformat()


def click(link, visitor, **more):
    return {
        "event_type": "click", "link_id": link, "visitor_id": visitor, "occurred_at": f"{DAY}T00:00:01Z",
        "device_type": "mobile", "country_code": "DE", "referrer": "https://t.co/x", "is_bot": False,
    } | more  # fmt: skip


EVENTS = [
    click("a", "v1"),
    click("a", "v1"),
    click("a", "v2", device_type="desktop", country_code="FR"),
    click("a", "v3", device_type="tablet", is_bot=True, referrer=""),
    click("b", "v1"),
    *(
        {
            "event_type": kind, "visitor_id": visitor, "session_id": visitor,
            "occurred_at": f"{DAY}T00:00:02Z", "source": "wordpress", "is_bot": False,
            "properties": {"mapping_id": 456, "post_id": 123, "device_slug": "iphone"},
        }
        for kind, visitor in [
            ("widget_impression", "v1"), ("widget_impression", "v2"), ("widget_click", "v2"),
        ]
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("sql") / "data"


@pytest.fixture(scope="module")
def server(data):
    with serving(data) as server:
        assert server.door.post("/v1/events", json=EVENTS).json()["accepted"] == len(EVENTS)
        until(lambda: server.count("click") == 4)
        until(lambda: server.count("widget_click") == 1)
        yield server


def rows(data, statement):
    done = footfall("sql", statement, "--data", data, cwd=data.parent)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_the_views_say_what_was_sent(server, data):
    (a, b) = rows(data, "SELECT * EXCEPT (workspace_id, day) FROM clicks_daily ORDER BY link_id")
    assert a == {
        "link_id": "a", "total_clicks": "4.0", "unique_clicks": "3", "human_clicks": "3.0",
        "mobile_clicks": "2.0", "desktop_clicks": "1.0", "tablet_clicks": "1.0",
        "unique_countries": "2", "unique_referrers": "1",
    }  # fmt: skip
    assert b["total_clicks"] == "1.0"
    hours = rows(data, "SELECT link_id, total_clicks, unique_clicks FROM clicks_hourly ORDER BY link_id")
    assert [each["unique_clicks"] for each in hours] == ["3", "1"]
    events = rows(data, "SELECT link_id, referer_host, country_code, is_bot FROM click_events")
    assert len(events) == 5
    (widget,) = rows(data, "SELECT * EXCEPT (workspace_id, day) FROM daily_widget_stats")
    assert widget == {
        "site_id": "", "sender": "wordpress", "mapping_id": "456", "post_id": "123", "device_slug": "iphone",
        "impressions": "2.0", "clicks": "1.0", "unique_visitors": "2", "unique_sessions": "2",
    }  # fmt: skip
    (post,) = rows(data, "SELECT post_id, impressions, clicks, unique_sessions FROM daily_post_stats")
    assert post == {"post_id": "123", "impressions": "2.0", "clicks": "1.0", "unique_sessions": "2"}


def test_views_are_those_of_the_reports(server, data):
    (mine,) = rows(data, "SELECT sum(human_clicks) AS clicks FROM clicks_daily")
    assert int(float(mine["clicks"])) == server.count("click")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE events",
        "DROP VIEW clicks_daily",
        "INSERT INTO events (seq) VALUES (1)",
        "ALTER TABLE events DELETE WHERE 1",
        "TRUNCATE TABLE events",
        "CREATE TABLE t (a UInt8) ENGINE = Memory",
        "SELECT 1 INTO OUTFILE '/tmp/footfall-sql-test'",
        "SELECT FROM",
    ],
)
def test_nothing_is_changed(server, data, statement):
    done = footfall("sql", statement, "--data", data, cwd=data.parent)
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(rows(data, "SELECT 1 FROM click_events")) == 5


def test_no_key_opens_it(server):
    body = {"sql": "SELECT 1"}
    for headers in ({}, {"authorization": f"Bearer {KEY}"}, {"authorization": ""}):
        answer = server.console.post("/api/v1/sql", json=body, headers=headers)
        assert answer.status_code in (401, 403)
        assert "1" not in json.dumps(answer.json().get("rows", ""))


def test_without_a_server_the_command_opens_the_data(server, data):
    server.stop()
    assert len(rows(data, "SELECT * FROM click_events")) == 5
