"""Document A, the event service: pages without a key or a site's id, and the statistics they show."""

import json
from datetime import UTC, datetime

import pytest

from tests.contract.documents.conftest import CHROME

ORIGIN = "https://shop.example"


@pytest.fixture(scope="module")
def site(at):
    return at.site("shop.example", "*.shop.example")


def now():
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def impression(**properties):
    """The document's own body, but that it happens now."""
    return {
        "event_type": "widget_impression",
        "occurred_at": now(),
        "session_id": "s_abc123",
        "visitor_id": "v_xyz789",
        "page_url": "https://shop.example/post/123",
        "properties": {
            "mapping_id": 456,
            "post_id": 123,
            "widget_index": 0,
            "device_slug": "iphone-15-pro",
            "viewport_percent": 100,
        }
        | properties,
    }


def test_the_example_is_taken_without_a_key_as_json_and_as_text(at, site):
    body = json.dumps({"events": [impression(mapping_id=1001)]})
    for content_type in ("application/json", "text/plain;charset=UTF-8"):
        answer = at.send_from_a_page(body, ORIGIN, **{"content-type": content_type})
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"accepted": 1, "rejected": 0} | {"results": []}
        assert answer.headers["access-control-allow-origin"] == "*"
    at.settle()
    events = at.events("widget_impression", mapping_id=1001)
    assert [event["site_id"] for event in events] == [site, site]
    assert {json.dumps(event["properties"]) for event in events} == {
        json.dumps(impression(mapping_id=1001)["properties"])
    }
    assert {event["source"] for event in events} == {"beacon"}


def test_a_browser_may_ask_first(at, site):
    asked = at.door.options(
        "/v1/events",
        headers={
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
            "authorization": "",
        },
    )
    assert asked.status_code == 204
    assert "content-type" in asked.headers["access-control-allow-headers"].lower()


def test_all_that_the_page_script_sends_is_understood(at, site):
    event = impression(mapping_id=1002) | {
        "page_path": "/post/123",
        "referrer_domain": "news.ycombinator.com",
    }
    at.send_from_a_page(json.dumps({"events": [event]}), "https://www.shop.example")
    at.settle()
    stored = at.event("widget_impression", mapping_id=1002)
    assert stored["site_id"] == site
    assert (stored["page_url"], stored["page_path"]) == ("https://shop.example/post/123", "/post/123")
    assert (stored["referrer_host"], stored["channel"]) == ("news.ycombinator.com", "social")
    assert stored["visitor_id"]
    assert stored["session_id"]


def test_a_path_without_its_page_is_the_path(at, site):
    event = impression(mapping_id=1003) | {"page_url": "", "page_path": "post/9"}
    at.send_from_a_page(json.dumps([event]), ORIGIN)
    at.settle()
    assert at.event("widget_impression", mapping_id=1003)["page_path"] == "/post/9"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://shop.example.evil.example", ""])
def test_another_page_is_refused(at, site, origin):
    answer = at.send_from_a_page(json.dumps({"events": [impression()]}), origin)
    assert answer.status_code in (401, 403)
    assert "origins" in answer.json()["detail"]


NAMES = ["shop.example", "SHOP.example", "https://shop.example/post", "www.shop.example", "shop.example:443"]


def test_a_site_by_its_domain(at, site):
    ways = [(named, shape) for named in NAMES for shape in ("event", "envelope", "query")]
    for named, shape in ways:
        event = impression(mapping_id=f"{named}-{shape}") | ({"site_id": named} if shape == "event" else {})
        body = {"events": [event]} | ({"site_id": named} if shape == "envelope" else {})
        query = {"site_id": named} if shape == "query" else {}
        for who in ({"origin": ORIGIN, "authorization": "", "user-agent": CHROME}, {}):  # a page, a key
            answer = at.door.post("/v1/events", params=query, json=body, headers=who)
            assert answer.json() == {"accepted": 1, "rejected": 0, "results": []}
    at.settle()
    for named, shape in ways:
        found = at.events("widget_impression", mapping_id=f"{named}-{shape}")
        assert [each["site_id"] for each in found] == [site, site], (named, shape)


def test_a_site_of_another_domain_is_refused(at, site):
    body = {"events": [impression() | {"site_id": "nobody.example"}]}
    with_key = at.door.post("/v1/events", json=body).json()
    assert with_key["results"][0]["reason"] == "unknown_site"
    without = at.send_from_a_page(json.dumps(body), ORIGIN)
    assert without.status_code in (401, 403, 400)


def test_a_page_with_a_key_is_known_by_its_origin(at, site):
    at.send({"events": [impression(mapping_id=1004)]}, origin=ORIGIN)
    at.send({"events": [impression(mapping_id=1005)]}, origin="https://elsewhere.example")
    at.settle()
    assert at.event("widget_impression", mapping_id=1004)["site_id"] == site
    assert at.event("widget_impression", mapping_id=1005)["site_id"] == ""


def test_source_is_the_word_of_a_sender_with_a_key(at):
    words = ["wordpress", "mobile_app", "api"]
    for word in words:
        at.send({"events": [impression(mapping_id=f"source-{word}") | {"source": word}]})
        at.send({"source": word, "events": [impression(mapping_id=f"envelope-{word}")]})
    at.settle()
    for word, mapping in [(word, f"{where}-{word}") for word in words for where in ("source", "envelope")]:
        assert at.event("widget_impression", mapping_id=mapping)["source"] == word
        assert at.event("widget_impression", mapping_id=mapping, source=word)
        question = {
            "metrics": ["events"],
            "dimensions": ["source"],
            "filters": [["is", "mapping_id", [mapping]]],
            "date_range": "7d",
        }
        rows = at.console.post("/v1/query", json=question).json()["results"]
        assert rows == [{"metrics": [1], "dimensions": [word]}]


def test_no_sender_calls_itself_what_only_footfall_says(at):
    words = ["redirect", "beacon", "Pixel", "import:bitly", "import", " api "]
    at.send({"events": [impression(mapping_id=f"ours-{word}") | {"source": word} for word in words]})
    at.settle()
    for word in words:
        assert at.event("widget_impression", mapping_id=f"ours-{word}")["source"] == "api"


def test_a_page_without_a_key_has_no_word_for_itself(at, site):
    body = {"source": "wordpress", "events": [impression(mapping_id=1006) | {"source": "wordpress"}]}
    at.send_from_a_page(json.dumps(body), ORIGIN)
    at.settle()
    assert at.event("widget_impression", mapping_id=1006)["source"] == "beacon"


SENT = [
    (
        "widget_impression",
        {"mapping_id": 456, "post_id": 123, "raw_model": "iPhone16,1", "viewport_percent": 0},
    ),
    ("widget_impression", {"mapping_id": "map-a", "post_id": "post-b", "widget_index": 2}),
    ("widget_impression", {"mapping_id": "456", "post_id": "0123"}),
    ("widget_impression", {"mapping_id": 0, "post_id": -1}),
    ("widget_impression", {"mapping_id": 2**53 + 1, "post_id": 9_007_199_254_740_993}),
    (
        "widget_click",
        {
            "mapping_id": 456,
            "post_id": 123,
            "device_slug": "iphone-15-pro",
            "click_target": "buy_button",
            "destination_url": "https://shop.example/device/iphone-15-pro",
        },
    ),
    (
        "device_page_view",
        {
            "device_id": "dev_1",
            "device_slug": "iphone-15-pro",
            "brand": "Apple",
            "view_source": "widget_click",
            "referrer_mapping_id": 456,
        },
    ),
    ("device_page_view", {"device_id": 77, "referrer_mapping_id": "456"}),
]


def test_properties_come_back_as_they_were_sent(at, site):
    events = [
        {"event_type": kind, "occurred_at": now(), "visitor_id": "v_back", "properties": properties}
        for kind, properties in SENT
    ]
    answer = at.send_from_a_page(json.dumps({"events": events}), ORIGIN)
    assert answer.json() == {"accepted": len(SENT), "rejected": 0, "results": []}
    at.settle()
    for kind, properties in SENT:
        texts = [json.dumps(each["properties"]) for each in at.events(kind)]
        assert json.dumps(properties) in texts


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("widget_impression", {"mapping_id": True}),
        ("widget_impression", {"mapping_id": 1.5}),
        ("widget_impression", {"mapping_id": None}),
        ("widget_impression", {"mapping_id": ""}),
        ("widget_click", {"mapping_id": 1, "post_id": [1]}),
        ("device_page_view", {"device_id": 1, "referrer_mapping_id": {}}),
    ],
)
def test_an_id_is_a_number_or_text(at, site, kind, wrong):
    answer = at.send_from_a_page(json.dumps([{"event_type": kind, "properties": wrong}]), ORIGIN).json()
    assert answer["results"][0]["reason"] == "invalid_property"
