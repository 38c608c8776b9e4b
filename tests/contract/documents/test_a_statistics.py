"""Document A, what its statistics answer, in the shapes that programs depend on."""

import json
from datetime import UTC, datetime, timedelta

import pytest

DAY = "2024-01-15"
RANGE = {"from": "2024-01-01", "to": "2024-01-31"}


def event(kind, visitor, hour, **properties):
    return {
        "event_type": kind,
        "occurred_at": f"{DAY}T{hour:02d}:30:00.000Z",
        "session_id": f"s_{visitor}",
        "visitor_id": f"v_{visitor}",
        "properties": properties,
    }


@pytest.fixture(scope="module", autouse=True)
def sent(at):
    """Of one mapping and post by number, of another by text that looks like a number."""
    number = {"mapping_id": 456, "post_id": 123, "device_slug": "iphone-15-pro"}
    text = {"mapping_id": "457", "post_id": "0124", "device_slug": "pixel-8"}
    at.send(
        {
            "source": "wordpress",
            "events": [
                *(event("widget_impression", n, 10, **number, viewport_percent=100) for n in range(8)),
                *(event("widget_click", n, 11, **number, click_target="buy_button") for n in range(2)),
                *(event("widget_impression", n, 12, **text, widget_index=0) for n in range(4)),
                event("widget_click", 1, 13, **text),
                event(
                    "device_page_view",
                    1,
                    14,
                    device_id=9,
                    view_source="widget_click",
                    referrer_mapping_id=456,
                ),
                event("device_page_view", 2, 14, device_id="9a", referrer_mapping_id="456a"),
            ],
        }
    )
    at.settle()


def these(row, names):
    """What the document names of a row; what we say beside it stays out."""
    return {name: row[name] for name in names}


WIDGET = ("mapping_id", "device_slug", "impressions", "clicks", "unique_visitors", "ctr")
POST = ("post_id", "widget_impressions", "widget_clicks", "unique_visitors")


def test_widgets_by_mapping(at):
    (row,) = at.ask("/v1/stats/widgets", **RANGE, mapping_id=456)
    assert these(row, WIDGET) == {
        "mapping_id": 456, "device_slug": "iphone-15-pro", "impressions": 8, "clicks": 2,
        "unique_visitors": 8, "ctr": 0.25,
    }  # fmt: skip
    assert type(row["mapping_id"]) is int
    rows = at.ask("/v1/stats/widgets", **RANGE)
    assert [row["mapping_id"] for row in rows] == [456, "457"]


def test_posts(at):
    (row,) = at.ask("/v1/stats/posts", **RANGE, post_id=123)
    assert these(row, POST) == {
        "post_id": 123, "widget_impressions": 8, "widget_clicks": 2, "unique_visitors": 8,
    }  # fmt: skip
    assert [row["post_id"] for row in at.ask("/v1/stats/posts", **RANGE)] == [123, "0124"]


@pytest.mark.parametrize(
    ("path", "names"),
    [("/v1/stats/widgets", {"by": "mapping_id"}), ("/v1/stats/posts", {"by": "post_id,mapping_id"})],
)
def test_ids_are_as_they_were_sent_however_they_are_grouped(at, path, names):
    for row in at.ask(path, **RANGE, **names):
        assert row["mapping_id"] in (456, "457")


def test_device_pages_by_widget(at):
    rows = at.ask("/v1/stats/devices", **RANGE, by="referrer_mapping_id,device_id")
    assert sorted(((row["referrer_mapping_id"], row["device_id"]) for row in rows), key=str) == [
        ("456a", "9a"),
        (456, 9),
    ]


def test_a_time_series_of_days(at):
    rows = at.ask("/v1/stats/timeseries", **RANGE, interval="day", event_type="widget_impression")
    assert [row["bucket"] for row in rows] == [f"2024-01-{day:02d}" for day in range(1, 32)]
    (row,) = (row for row in rows if row["bucket"] == DAY)
    assert these(row, ("bucket", "count", "unique_visitors")) == {
        "bucket": DAY, "count": 12, "unique_visitors": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "first"),
    [
        ("hour", "2024-01-01T00:00:00+00:00"),
        ("day", "2024-01-01"),
        ("week", "2024-01-01"),
        ("month", "2024-01-01"),
        ("year", "2024-01-01"),
    ],
)
@pytest.mark.parametrize("path", ["timeseries", "widgets/timeseries", "posts/timeseries"])
def test_buckets_of_a_day_and_longer_are_dates(at, path, interval, first):
    rows = at.ask(f"/v1/stats/{path}", **RANGE, interval=interval)
    assert rows[0]["bucket"] == first


def test_a_day_of_a_zone_is_its_date(at):
    rows = at.ask("/v1/stats/timeseries", **RANGE, interval="day", timezone="America/Los_Angeles")
    assert rows[0]["bucket"] == "2024-01-01"


def test_sessions_and_source_of_widgets(at):
    question = {
        "metrics": ["impressions", "widget_clicks", "visitors", "sessions"],
        "dimensions": ["source", "mapping_id", "post_id", "device_slug"],
        "filters": [["is", "event_type", ["widget_impression", "widget_click"]]],
        "date_range": [DAY, DAY],
    }
    rows = at.console.post("/v1/query", json=question).json()["results"]
    assert {tuple(row["dimensions"]): row["metrics"] for row in rows} == {
        ("wordpress", "456", "123", "iphone-15-pro"): [8, 2, 8, 8],
        ("wordpress", "457", "0124", "pixel-8"): [4, 1, 4, 4],
    }


def test_an_old_event_of_a_page_counts_when_it_came(at):
    """Without a key nobody dates events back: this is said in docs/events.md."""
    old = event("page_view", 1, 10)
    site = at.site("old.example")
    answer = at.send_from_a_page(json.dumps({"events": [old]}), "https://old.example")
    assert answer.json()["accepted"] == 1
    at.settle()
    stored = at.event("page_view", site_id=site)
    came = datetime.fromisoformat(stored["occurred_at"])
    assert datetime.now(UTC) - came < timedelta(minutes=10)
    assert stored["occurred_at_original"].startswith(DAY)
