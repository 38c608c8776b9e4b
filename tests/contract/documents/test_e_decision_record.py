"""Document E, the decision record: clicks by the short URL."""

import json
import uuid

import pytest

CLICK = {
    "original_url": "https://example.com/x",
    "timestamp": "2025-03-01T10:00:00Z",
    "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:135.0) Gecko/20100101 Firefox/135.0",
    "ip_address": "203.0.113.9",
    "referer": "https://news.example/a",
    "geo_location": {
        "country": "United States",
        "country_code": "US",
        "region": "Texas",
        "city": "Austin",
        "latitude": 0,
        "longitude": 0,
    },
}


def click(short_url, **more):
    return CLICK | {"click_id": str(uuid.uuid4()), "short_url": short_url} | more


@pytest.fixture(scope="module")
def links(at):
    """The same code on three domains: the installation's own, and two more."""
    return {
        domain: at.link(f"https://example.com/{domain}", code="abc", **({"domain": domain} if domain else {}))
        for domain in ("", "go.example.com", "other.example.com")
    }


def test_the_example_is_a_click_with_its_place(at, links):
    sent = click("https://go.example.com/abc", utm_campaign="example")
    at.send(sent)
    at.settle()
    stored = at.event(utm_campaign="example")
    assert stored["event_type"] == "click"
    assert stored["event_id"] == sent["click_id"]
    assert stored["link_id"] == links["go.example.com"]["id"]
    assert (stored["short_code"], stored["destination_url"]) == ("abc", "https://example.com/x")
    assert (stored["country_code"], stored["region"], stored["city"]) == ("US", "Texas", "Austin")
    assert (stored["latitude"], stored["longitude"]) == (0, 0)
    assert (stored["browser"], stored["os"]) == ("Firefox", "macOS")


def test_a_short_url_belongs_to_the_link_of_that_domain_and_code(at, links):
    own = f"http://localhost:{at.port}/abc"
    expected = {
        own: "",
        f"http://127.0.0.1:{at.port}/abc": "",
        "/abc": "",
        "abc": "",
        "https://go.example.com/abc": "go.example.com",
        "http://GO.example.com/abc/": "go.example.com",
        "go.example.com/abc": "go.example.com",
        "//go.example.com/abc?utm=1#x": "go.example.com",
        "https://go.example.com:443/abc": "go.example.com",
        "https://other.example.com/abc": "other.example.com",
        "https://third.example.com/abc": None,
        "https://bit.ly/abc": None,
        "https://go.example.com/ABC": None,
        "https://go.example.com/abc/def": None,
        "https://go.example.com/": None,
        "https://go.example.com:8443/abc": "go.example.com",  # as the door itself answers there
        "https://xgo.example.com/abc": None,
        "https://go.example.com@evil.example/abc": None,
    }
    for number, url in enumerate(expected):
        at.send(click(url, utm_campaign=f"url{number}"))
    at.settle()
    for number, (url, domain) in enumerate(expected.items()):
        stored = at.event(utm_campaign=f"url{number}")
        assert stored["link_id"] == (links[domain]["id"] if domain is not None else ""), url


def test_a_code_alone_is_one_of_the_own_domain(at, links):
    at.send({"short_code": "abc", "utm_campaign": "alone"})
    at.settle()
    assert at.event(utm_campaign="alone")["link_id"] == links[""]["id"]


@pytest.mark.parametrize("only", ["click_id", "short_url", "short_code", "link_id", "linkId", "shortUrl"])
def test_a_click_without_a_type_is_a_click(at, only):
    value = str(uuid.uuid4()) if only == "click_id" else "zzz"
    at.send({only: value, "utm_campaign": f"only-{only}"})
    at.settle()
    assert at.event(utm_campaign=f"only-{only}")["event_type"] == "click"


@pytest.mark.parametrize(
    "event", [{"page_url": "https://example.com"}, {"short_code": ""}, {"link_id": None}, {}]
)
def test_what_names_no_link_needs_a_type(at, event):
    answer = at.door.post("/v1/events", json=[event]).json()
    assert answer["results"][0]["reason"] == "missing_event_type"


def test_a_type_that_is_said_stays(at):
    at.send({"event_type": "qr_scan", "short_code": "zzz", "utm_campaign": "said"})
    at.settle()
    assert at.event("qr_scan", utm_campaign="said")


def test_without_a_key_a_click_is_refused(at):
    at.site("clicks.example")
    answer = at.send_from_a_page(json.dumps([CLICK | {"short_url": "zzz"}]), "https://clicks.example").json()
    assert (answer["accepted"], answer["results"][0]["reason"]) == (0, "forbidden")
