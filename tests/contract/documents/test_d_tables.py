"""Document D, tables in PostgreSQL: bodies in camelCase with metadata."""

import pytest

EVENT = {
    "linkId": "link_d1",
    "workspaceId": "ws_1",
    "eventType": "click",
    "visitorId": "visitor-1",
    "sessionId": "session-1",
    "metadata": {
        "country": "US",
        "city": "Austin",
        "device": "mobile",
        "browser": "Chrome",
        "referrer": "https://t.co/x",
    },
}


def test_the_example_is_understood(at):
    at.send(EVENT)
    at.settle()
    stored = at.event(link_id="link_d1")
    assert (stored["country_code"], stored["city"]) == ("US", "Austin")
    assert (stored["device_type"], stored["browser"]) == ("mobile", "Chrome")
    assert (stored["referrer"], stored["referrer_host"]) == ("https://t.co/x", "t.co")
    assert stored["properties"] == {}
    at.send(
        [
            EVENT | {"linkId": "link_d2"},
            {"link_id": "link_d2", "visitor_id": "visitor-1", "session_id": "session-1"},
        ]
    )
    at.settle()
    found = at.events(link_id="link_d2")
    assert len(found) == 2
    assert {(each["visitor_id"], each["session_id"]) for each in found} == {
        (stored["visitor_id"], stored["session_id"])
    }


@pytest.mark.parametrize(
    ("metadata", "fields", "properties"),
    [
        ({"country": "Germany", "plan": "pro"}, {"country_code": "DE"}, {"plan": "pro"}),
        ({"device": "iphone-15-pro"}, {"device_type": ""}, {"device": "iphone-15-pro"}),
        ({"country": {"iso": "DE"}}, {"country_code": ""}, {"country": {"iso": "DE"}}),
        ({"country": "Atlantis"}, {"country_code": ""}, {"country": "Atlantis"}),
        ({"countryCode": "FR", "deviceType": "tablet"}, {"country_code": "FR", "device_type": "tablet"}, {}),
        (
            {"os": "iOS", "osVersion": "17", "isBot": False},
            {"os": "iOS", "os_version": "17", "is_bot": False},
            {},
        ),
        ({"utm_source": "news", "cart": {"items": [1]}}, {"utm_source": "news"}, {"cart": {"items": [1]}}),
        ({"ip": "203.0.113.9", "clientIp": "203.0.113.9"}, {}, {}),
        (None, {"country_code": ""}, {}),
    ],
)
def test_metadata_is_fields_and_properties(at, metadata, fields, properties):
    link = f"link_m_{abs(hash(str(metadata)))}"
    at.send(EVENT | {"linkId": link, "metadata": metadata})
    at.settle()
    stored = at.event(link_id=link)
    assert {name: stored[name] for name in fields} == fields
    assert stored["properties"] == properties


def test_metadata_stands_behind_what_the_event_says(at):
    at.send(
        EVENT
        | {
            "linkId": "link_d3",
            "country_code": "FR",
            "properties": {"plan": "free"},
            "metadata": {"country": "US", "plan": "pro", "seats": 2},
        }
    )
    at.settle()
    stored = at.event(link_id="link_d3")
    assert stored["country_code"] == "FR"
    assert stored["properties"] == {"plan": "free", "seats": 2}


def test_other_names_in_camel_case(at):
    at.send(
        {
            "eventType": "signedUp",
            "occurredAt": "2025-05-05T05:05:05Z",
            "pageUrl": "https://shop.example/a",
            "userAgent": "SomeApp/1",
            "ipAddress": "203.0.113.8",
            "utmSource": "news",
            "eventVersion": 2,
            "planName": "pro",
        }
    )
    at.settle()
    stored = at.event("signedUp", include_bots="true")
    assert stored["occurred_at"].startswith("2025-05-05T05:05:05")
    assert (stored["page_path"], stored["utm_source"], stored["event_version"]) == ("/a", "news", 2)
    assert stored["properties"] == {"planName": "pro"}


def test_aggregates_by_link_and_bucket(at):
    clicks = [
        ("a", "01T10:00:00", "US"),
        ("a", "01T10:30:00", "US"),
        ("b", "01T11:00:00", "DE"),
        ("c", "02T10:00:00", "FR"),
    ]
    for who, when, country in clicks:
        ids = {"linkId": "link_agg", "visitorId": who, "sessionId": who}
        at.send(EVENT | ids | {"timestamp": f"2025-06-{when}Z", "metadata": {"country": country}})
    at.settle()
    dates = {"start_date": "2025-06-01", "end_date": "2025-06-30", "link_id": "link_agg"}
    rows = at.ask("/api/v1/analytics/aggregates", **dates, interval="day")
    assert rows == [
        {
            "workspaceId": "default",
            "linkId": "link_agg",
            "bucket": "day",
            "bucket_start": "2025-06-01T00:00:00+00:00",
            "bucket_end": "2025-06-02T00:00:00+00:00",
            "totalClicks": 3,
            "uniqueClicks": 2,
            "humanClicks": 3,
            "uniqueVisitors": 2,
            "uniqueSessions": 2,
            "topCountries": [{"country": "US", "clicks": 2}, {"country": "DE", "clicks": 1}],
        },
        {
            "workspaceId": "default",
            "linkId": "link_agg",
            "bucket": "day",
            "bucket_start": "2025-06-02T00:00:00+00:00",
            "bucket_end": "2025-06-03T00:00:00+00:00",
            "totalClicks": 1,
            "uniqueClicks": 1,
            "humanClicks": 1,
            "uniqueVisitors": 1,
            "uniqueSessions": 1,
            "topCountries": [{"country": "FR", "clicks": 1}],
        },
    ]
    ends = {
        "hour": ["2025-06-01T11:00", "2025-06-01T12:00", "2025-06-02T11:00"],
        "week": ["2025-06-02T00:00", "2025-06-09T00:00"],
        "month": ["2025-07-01T00:00"],
        "year": ["2026-01-01T00:00"],
    }
    for interval, expected in ends.items():
        rows = at.ask("/api/v1/analytics/aggregates", **dates, interval=interval)
        assert [row["bucket_end"][:16] for row in rows] == expected
        assert sum(row["totalClicks"] for row in rows) == 4
