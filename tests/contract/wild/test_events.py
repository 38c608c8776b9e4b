"""Fields of events and headers as other systems write them."""

import pytest

from tests.contract.wild.world import FIREFOX

PLACE = ("country_code",)


@pytest.mark.parametrize(
    "written",
    [
        "8.8.8.8",
        " 8.8.8.8 ",
        "8.8.8.8, 10.0.0.1",
        "8.8.8.8,10.0.0.1, 192.168.0.1",
        "10.0.0.7, 8.8.8.8",
        "-, 8.8.8.8",
        "8.8.8.8:56418",
        '"8.8.8.8"',
        "::ffff:8.8.8.8",
        "[::ffff:8.8.8.8]:443",
        "64:ff9b::808:808",
        "for=8.8.8.8;proto=https",
        'for="8.8.8.8:4711", for=10.0.0.1',
    ],
)
def test_an_address_in_any_spelling_is_the_clients(world, written):
    name = world.event(ip_address="8.8.8.8", user_agent=FIREFOX)
    world.event(event_type=name, ip_address=written, user_agent=FIREFOX)
    assert world.stored(name, "country_code", count=2) == ("US",)
    assert world.ask(["visitors"], filters=[["is", "event_type", [name]]]) == [(1,)]


@pytest.mark.parametrize(
    "written",
    [
        "unknown, 10.0.0.1",
        "8.8.8.8 10.0.0.1",
        "8.8.8.8, here",
        "8.8.8.8:port",
        "[8.8.8.8",
        "8.8.8",
        "localhost",
        ",",
        "-",
        "_gazonk",
    ],
)
def test_what_is_no_address_is_refused_and_the_field_named(world, written):
    verdict = world.verdict(ip_address=written)
    assert (verdict["status"], verdict["field"]) == ("rejected", "ip_address")
    assert written not in verdict["message"] or written in {",", "-"}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (
            "/%D8%AE%D8%B1%DB%8C%D8%AF%E2%80%8C%D8%B4%D8%AF%D9%87",
            "/\u062e\u0631\u06cc\u062f\u200c\u0634\u062f\u0647",
        ),
        ("/%F0%9F%91%A8%E2%80%8D%F0%9F%92%BB", "/\U0001f468\u200d\U0001f4bb"),
        ("/%E0%A4%95%E0%A5%8D%E2%80%8D%E0%A4%B7", "/\u0915\u094d\u200d\u0937"),
        ("/%E2%9D%A4%EF%B8%8F", "/\u2764\ufe0f"),
        (
            "/%F0%9F%8F%B4%F3%A0%81%A7%F3%A0%81%A2%F3%A0%81%A5%F3%A0%81%AE%F3%A0%81%A7%F3%A0%81%BF",
            "/\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
        ("/%D8%80%D9%A1", "/\u0600\u0661"),
        ("/caf%C3%A9%20menu", "/caf\u00e9 menu"),
        ("/a%E2%80%AEb", "/a%E2%80%AEb"),
        ("/a%E2%80%8Fb", "/a%E2%80%8Fb"),
        ("/a%E2%81%A6b", "/a%E2%81%A6b"),
        ("/a%00b%E2%80%8D", "/a%00b%E2%80%8D"),
        ("/a%E2%80%8Bb", "/a%E2%80%8Bb"),
        ("/a%F3%A0%81%A7b", "/a%F3%A0%81%A7b"),
        ("/a%0Ab", "/a%0Ab"),
        ("/caf%E9", "/caf%E9"),
    ],
)
def test_paths_are_shown_as_they_are_read(world, path, shown):
    name = world.event(page_url=f"https://example.com{path}")
    assert world.stored(name, "page_path") == (shown,)


@pytest.mark.parametrize(
    ("written", "language"),
    [
        *(
            (each, "en-US")
            for each in ("en-US", "en-us", "EN-us", "en_US", "EN_us", "en_US.UTF-8", "en-US-u-hc-h12")
        ),
        ("de", "de"),
        ("DE", "de"),
        ("zh-hans-cn", "zh-Hans-CN"),
        ("ZH_HANT_TW", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sr-latn", "sr-Latn"),
        ("de-DE@euro", "de-DE"),
        ("de,en;q=0.8", "de"),
        ("*", ""),
        ("C", ""),
        ("", ""),
    ],
)
def test_a_language_is_written_in_one_way(world, written, language):
    assert world.stored(world.event(language=written), "language") == (language,)


def test_languages_that_differ_in_case_are_one_row(world):
    name = world.event(language="pt-BR")
    for written in ("pt-br", "PT-br", "pt_BR"):
        world.event(event_type=name, language=written)
    world.stored(name, count=4)
    answer = world.console.get("/api/v1/analytics/languages", params={"event_type": name})
    assert [(row["language"], row["events"]) for row in answer.json()["data"]] == [("pt-BR", 4)]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("en;q=0.3,de;q=0.9", "de"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr-CH"),
        ("*", ""),
        ("*;q=0.9, it;q=0.1", "it"),
        ("de;q=0, en;q=0.1", "en"),
        ("en;q=0.5, de ; q=0.5", "en"),
        ("en-us;q=0.2,en;q=0.1,fr-fr;q=0.3,fr;q=0.25,da;level=1;q=0.7,sv;q=0.65", "da"),
        ("nb-NO", "nb-NO"),
        ("q=0.5", ""),
        (";;,,;q=1", ""),
        ("en;q=nonsense,de;q=.4", "de"),
        ("", ""),
    ],
)
def test_the_language_of_the_highest_quality_is_preferred(world, header, language):
    name = world.beacon({"Accept-Language": header})
    assert world.stored(name, "language") == (language,)


def test_a_click_has_the_preferred_language_too(world):
    world.link(url="https://example.com/", code="inde")
    world.visit("/inde", Accept_Language="en;q=0.3,de-at;q=0.9")
    assert world.clicks_of("inde", "language") == ("de-AT",)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("T1", ""),
        ("t1", ""),
        ("XX", ""),
        ("xx", ""),
        ("A1", ""),
        ("A2", ""),
        ("O1", ""),
        ("EU", ""),
        ("AP", ""),
        ("ZZ", ""),
        ("-", ""),
        ("--", ""),
        ("**", ""),
        ("??", ""),
        ("Unknown", ""),
        ("(not set)", ""),
        ("N/A", ""),
        ("", ""),
        ("de", "DE"),
        ("XK", "XK"),
        ("UK", "GB"),
    ],
)
def test_codes_of_no_country_are_taken_as_unknown(world, written, code):
    name = world.event(country_code=written, ip_address="8.8.8.8")
    assert world.stored(name, *PLACE) == (code,)


@pytest.mark.parametrize("written", ["1T", "Germany?", "D-", "---"])
def test_what_is_no_code_of_a_country_is_refused(world, written):
    assert world.verdict(country_code=written)["field"] == "country_code"


APPLE = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    "rest",
    [
        "CriOS/124 Version/11.1.1 Safari/605.1.15",
        "EdgiOS/124.0.2478.50 Version/17.0 Safari/605.1.15",
        "FxiOS/125.0 Safari/605.1.15",
        "GSA/316.0.629999 Mobile/15E148 Safari/604.1",
        "OPT/4.7.0 Version/17.4 Safari/605.1.15",
        "Version/17.4 Mobile/15E148 Safari/604.1",
        "Mobile/15E148 [FBAN/FBIOS;FBAV/450.0]",
    ],
)
def test_a_tablet_that_asks_for_the_desktop_site_is_none(world, rest):
    name = world.event(user_agent=f"{APPLE} {rest}")
    assert world.stored(name, "os", "device_type") == ("iOS", "tablet")


CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("brands", "is_bot"),
    [
        ('"HeadlessChrome";v="131", "Chromium";v="131"', True),
        ('"Chromium";v="131", "Not_A Brand";v="24", "HeadlessChrome";v="131"', True),
        ('"HeadlessEdg";v="131", "Chromium";v="131"', True),
        ('"Headless Shell";v="131"', True),
        ('"Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"', False),
        ('"Brave";v="131", "Chromium";v="131"', False),
        ("", False),
    ],
)
def test_a_browser_without_a_window_says_so_in_its_hints(world, brands, is_bot):
    hints = {"Sec-CH-UA": brands, "Sec-CH-UA-Mobile": "?0", "Sec-CH-UA-Platform": '"Linux"'}
    name = world.beacon({"User-Agent": CHROME} | hints)
    assert world.stored(name, "is_bot") == (is_bot,)
    world.link(url="https://example.com/", code=name)
    world.visit(f"/{name}", User_Agent=CHROME, **{k.replace("-", "_"): v for k, v in hints.items()})
    assert world.clicks_of(name, "is_bot") == (is_bot,)


def test_a_request_without_a_user_agent_is_a_programs(world):
    """Browsers have one. Of a server that speaks for visitors its own says nothing of theirs."""
    name = world.beacon({"User-Agent": ""})
    assert world.stored(name, "is_bot") == (True,)
    name = world.event()
    assert world.stored(name, "is_bot") == (False,)
