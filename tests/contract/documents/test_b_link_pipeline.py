"""Document B, the link shortener's pipeline: its clicks, posted with a key, and what it reads."""

import json
import uuid

import pytest

CLICK = {
    "short_code": "abc", "workspace_id": "ws_of_theirs", "timestamp": "2025-01-24T10:00:00Z",
    "ip_address": "203.0.113.7", "user_agent": "SomeApp/1.0",
    "referer": "https://t.co/x", "referer_host": "t.co",
    "country": "United States", "country_code": "US", "region": "California", "city": "San Francisco",
    "latitude": 37.7, "longitude": -122.4, "timezone": "America/Los_Angeles",
    "device_type": "mobile", "browser": "Chrome", "browser_version": "120.0",
    "os": "Android", "os_version": "14",
    "is_bot": False, "bot_name": "", "is_unique": True,
    "utm_source": "", "utm_medium": "", "utm_campaign": "", "utm_term": "", "utm_content": "",
}  # fmt: skip


def click(link, **more):
    return CLICK | {"event_id": str(uuid.uuid4()), "link_id": link} | more


def test_the_example_is_a_click_and_comes_back_with_its_fields(at):
    sent = click("link_b1")
    at.send(sent)
    at.settle()
    stored = at.event(link_id="link_b1")
    assert stored["event_type"] == "click"
    same = (
        "event_id", "link_id", "short_code", "user_agent", "country_code", "region", "city", "latitude",
        "longitude", "timezone", "device_type", "browser", "browser_version", "os", "os_version", "is_bot",
        "bot_name", "utm_source", "utm_content",
    )  # fmt: skip
    shown = stored | {"user_agent": sent["user_agent"]}
    assert {name: shown[name] for name in same} == {name: sent[name] for name in same}
    assert (stored["referrer"], stored["referrer_host"]) == ("https://t.co/x", "t.co")
    assert stored["occurred_at"].startswith("2025-01-24T10:00:00.000")
    assert "203.0.113.7" not in json.dumps(stored)


def test_what_is_not_filled_in_is_found_out_here(at):
    agent = (
        "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 "
        "Version/17.4 Mobile/15E148 Safari/604.1"
    )
    empty = dict.fromkeys(("device_type", "browser", "browser_version", "os", "os_version", "bot_name"), "")
    at.send(click("link_b2", **empty, is_bot=None, user_agent=agent, referer="", referer_host="news.example"))
    at.settle()
    stored = at.event(link_id="link_b2")
    assert (stored["device_type"], stored["browser"], stored["os"]) == ("tablet", "Safari", "iOS")
    assert stored["is_bot"] is False
    assert stored["referrer_host"] == "news.example"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"is_bot": True, "bot_name": "AcmeBot"}, (True, "AcmeBot", "other")),
        ({"is_bot": True, "bot_name": ""}, (True, "", "other")),
        ({"is_bot": None, "bot_name": "AcmeBot"}, (True, "AcmeBot", "other")),
        ({"is_bot": 1}, (True, "", "other")),
        ({"is_bot": "false", "user_agent": "Googlebot/2.1"}, (False, "", "")),
        (
            {"is_bot": None, "bot_name": "", "user_agent": "Googlebot/2.1"},
            (True, "Googlebot", "search-engine"),
        ),
    ],
)
def test_a_bot_is_what_the_producer_says(at, told, kept):
    link = f"link_b_{uuid.uuid4()}"
    at.send(click(link, **told))
    at.settle()
    stored = at.event(link_id=link, include_bots="true")
    assert (stored["is_bot"], stored["bot_name"], stored["bot_category"]) == kept


def test_a_version_belongs_to_the_program_it_was_said_of(at):
    chrome = (
        "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36"
    )
    at.send([
        click("link_b3", browser="Acme", browser_version="", os="AcmeOS", os_version="", user_agent=chrome),
        click("link_b4", browser="Chrome", browser_version="", os="", os_version="", user_agent=chrome),
    ])  # fmt: skip
    at.settle()
    stored = at.event(link_id="link_b3")
    assert (stored["browser"], stored["browser_version"]) == ("Acme", "")
    assert (stored["os"], stored["os_version"]) == ("AcmeOS", "")
    stored = at.event(link_id="link_b4")
    assert (stored["browser"], stored["browser_version"]) == ("Chrome", "109")
    assert (stored["os"], stored["os_version"]) == ("Windows", "7")


COUNTRIES = {
    "United States": "US", "United Kingdom": "GB", "Russian Federation": "RU", "South Korea": "KR",
    "Türkiye": "TR", "Turkey": "TR", "Côte d'Ivoire": "CI", "Ivory Coast": "CI", "Czech Republic": "CZ",
    "Hong Kong": "HK", "The Netherlands": "NL", "Bosnia and Herzegovina": "BA", "Viet Nam": "VN",
    "germany": "DE", "DEU": "DE", "de": "DE", "Atlantis": "", "Unknown": "", "": "", "XX": "",
}  # fmt: skip


def test_countries_by_name(at):
    """Without a code the name says it; a name that is none costs nothing but itself."""
    sent = [
        click(f"link_c{number}", country=name, country_code=given)
        for number, (name, given) in enumerate([(n, g) for n in COUNTRIES for g in ("", None)])
    ]
    at.send(sent)
    at.settle()
    for each in sent:
        stored = at.event(link_id=each["link_id"])
        assert stored["country_code"] == COUNTRIES[each["country"]], each["country"]
        assert stored["city"] == "San Francisco"


def test_a_code_wins_over_a_name(at):
    at.send([click("link_b5", country="Canada", country_code="US"), click("link_b6", country_code="USA")])
    at.settle()
    assert at.event(link_id="link_b5")["country_code"] == "US"
    assert at.event(link_id="link_b6")["country_code"] == "US"


def test_without_a_key_nothing_of_it_is_believed(at):
    site = at.site("believe.example")
    event = {name: value for name, value in CLICK.items() if name not in ("short_code", "ip_address")}
    body = json.dumps({"events": [event | {"event_type": "believed"}]})
    answer = at.send_from_a_page(body, "https://believe.example")
    assert answer.json()["accepted"] == 1, answer.text
    at.settle()
    stored = at.event("believed", site_id=site)
    assert (stored["country_code"], stored["city"], stored["browser"]) == ("", "", "Chrome")
    assert stored["browser_version"] == "120"
    assert stored["os_version"] == "14"


def test_device_classes_by_other_names(at):
    names = {"smartphone": "mobile", "Phone": "mobile", "PC": "desktop", "Smart TV": "tv", "console": "other"}
    at.send([click(f"link_d_{name}", device_type=name) for name in names])
    at.settle()
    assert {name: at.event(link_id=f"link_d_{name}")["device_type"] for name in names} == names
