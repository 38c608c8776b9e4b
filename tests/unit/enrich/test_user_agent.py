"""What a user agent tells, on real ones of 2007 to 2026."""

import json
from collections import Counter
from pathlib import Path

import pytest

from footfall.enrich.user_agent import Device, parse_user_agent

CLICKS = Path(__file__).parents[3] / "examples" / "data" / "usagov_clicks.jsonl"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X"
WINDOWS_CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36"
BRANDS = '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"'


def iphone(os: str, rest: str) -> str:
    return f"Mozilla/5.0 (iPhone; CPU iPhone OS {os} like Mac OS X) {APPLE} {rest}"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (
            f"Mozilla/5.0 (Windows NT 6.1; WOW64) {WEBKIT} Chrome/17.0.963.78 Safari/535.11",
            ("desktop", "Chrome", "17", "Windows", "7"),
        ),
        (
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)",
            ("desktop", "IE", "8", "Windows", "XP"),
        ),
        (
            f"{MAC} 10_6_8) AppleWebKit/534.52.7 (KHTML, like Gecko) Version/5.1.2 Safari/534.52.7",
            ("desktop", "Safari", "5.1", "macOS", "10.6"),
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            ("desktop", "Firefox", "145", "Ubuntu", ""),
        ),
        (
            "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; Tablet PC 2.0; rv:11.0) like Gecko",
            ("desktop", "IE", "11", "Windows", "7"),
        ),
        (
            f"{WINDOWS_CHROME} Edg/142.0.0.0".replace("Windows NT 10.0", "Windows NT 6.3"),
            ("desktop", "Edge", "142", "Windows", "8.1"),
        ),
        (
            iphone("17_5_1", "Version/17.5 Mobile/15E148 Safari/604.1"),
            ("mobile", "Safari", "17.5", "iOS", "17.5"),
        ),
        (
            iphone("17_5", "Mobile/21F79"),
            ("mobile", "Safari (in-app)", "", "iOS", "17.5"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {WEBKIT} Chrome/124.0.6367.82 Mobile Safari/537.36",
            ("mobile", "Chrome", "124", "Android", "14"),
        ),
        (
            f"Mozilla/5.0 (Linux; U; Android 2.3; LG-E510) {WEBKIT} Version/4.0 Mobile Safari/53 LG-Android",
            ("mobile", "Android Browser", "2.3", "Android", "2.3"),
        ),
        (
            f"Mozilla/5.0 (iPad; CPU OS 5_1 like Mac OS X) {APPLE} Mobile/9B176 Twitter for iPad",
            ("tablet", "Twitter", "", "iOS", "5.1"),
        ),
        (
            "Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/117.0 Firefox/117.0",
            ("tablet", "Firefox", "117", "Android", "13"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 11; KFTRWI) {WEBKIT} Silk/112.5.1 like Chrome/112.0 Safari/537.36",
            ("tablet", "Amazon Silk", "112.5", "Android", "11"),
        ),
        (
            f"Mozilla/5.0 (Web0S; Linux/SmartTV) {WEBKIT} Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
            ("tv", "Chrome", "94", "webOS", ""),
        ),
        ("Roku/DVP-12.0 (12.0.0.4182-88)", ("tv", "Roku", "12", "Roku", "12")),
        ("Opera/9.30 (Nintendo Wii; U; ; 3642; en)", ("other", "Opera", "9.30", "", "")),
        ("curl/8.5.0", ("other", "curl", "8.5", "", "")),
        ("", ("", "", "", "", "")),
    ],
)
def test_reads(user_agent, expected):
    assert tuple(parse_user_agent(user_agent, "")) == expected


@pytest.mark.parametrize(
    ("user_agent", "os"),
    [
        (f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36", "Android"),
        (WINDOWS_CHROME, "Windows"),
        (
            f"{MAC} 10_15_7) {APPLE} Version/26.0 Safari/605.1.15",
            "macOS",
        ),
        (f"{MAC} 10.15; rv:145.0) Gecko/20100101 Firefox/145.0", "macOS"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/142.0.0.0 Safari/537.36", "Chrome OS"),
        (iphone("18_6", "Version/26.0 Mobile/15E148 Safari/604.1"), "iOS"),
        (iphone("18_7", "Mobile/15E148"), "iOS"),
    ],
)
def test_frozen_versions_are_unknown(user_agent, os):
    device = parse_user_agent(user_agent, "")
    assert (device.os, device.os_version) == (os, "")
    assert "K" not in device  # the model that is none


@pytest.mark.parametrize(
    ("user_agent", "os_version"),
    [
        (
            f"Mozilla/5.0 (Linux; Android 10; SM-G973F) {WEBKIT} Chrome/80.0.3987.99 Mobile Safari/537.36",
            "10",
        ),
        (
            f"{MAC} 10_15_4) {APPLE} Version/13.1 Safari/605.1.15",
            "10.15",
        ),
        (iphone("18_6_2", "Version/18.6 Mobile/15E148 Safari/604.1"), "18.6"),
    ],
)
def test_real_versions_that_look_frozen_stay(user_agent, os_version):
    assert parse_user_agent(user_agent, "").os_version == os_version


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (f'{BRANDS}|?0|"Windows"', ("desktop", "Chrome", "142", "Windows", "")),
        (
            f'{BRANDS.replace("Google Chrome", "Brave")}|?0|"Windows"',
            ("desktop", "Brave", "142", "Windows", ""),
        ),
        (f'{BRANDS}|?0|"Android"', ("tablet", "Chrome", "142", "Android", "")),
        (f'{BRANDS}|?1|"Android"', ("mobile", "Chrome", "142", "Android", "")),
        (f'{BRANDS}|?0|"Chromium OS"', ("desktop", "Chrome", "142", "Chrome OS", "")),
        ('||""', ("desktop", "Chrome", "142", "Windows", "")),
        ("nonsense", ("desktop", "Chrome", "142", "Windows", "")),
    ],
)
def test_client_hints_refine(hints, expected):
    assert tuple(parse_user_agent(WINDOWS_CHROME, hints)) == expected


ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "hints", "expected"),
    [
        (WINDOWS_CHROME, '|?0|"Windows"|""|"15.0.0"|', ("desktop", "Chrome", "142", "Windows", "11")),
        (WINDOWS_CHROME, '|?0|"Windows"|""|"10.0.0"|', ("desktop", "Chrome", "142", "Windows", "10")),
        (WINDOWS_CHROME, '|?0|"Windows"|""|"0.3.0"|', ("desktop", "Chrome", "142", "Windows", "8.1")),
        (WINDOWS_CHROME, '|?0|"macOS"|""|"15.5.0"|', ("desktop", "Chrome", "142", "macOS", "15.5")),
        (ANDROID, '|?1|"Android"|"SM-T580"|"14.0.0"|', ("tablet", "Chrome", "142", "Android", "14")),
        (ANDROID, '|?0|"Android"|"SM-G991B"|"15"|', ("mobile", "Chrome", "142", "Android", "15")),
        (ANDROID, '|?1|"Android"|"MIBOX4"|""|', ("tv", "Chrome", "142", "Android", "")),
        (ANDROID, '|?1|"Android"|"Pixel 9"|"16.0.0"|"Tablet"', ("tablet", "Chrome", "142", "Android", "16")),
        (ANDROID, '|?1|"Android"|"Quest 3"|""|"XR"', ("other", "Chrome", "142", "Android", "")),
        (ANDROID, '|?1|"Android"|""|""|', ("mobile", "Chrome", "142", "Android", "")),
        (ANDROID, '|?1|"Android"|"a|b"|"x"|', ("mobile", "Chrome", "142", "Android", "")),
    ],
)
def test_hints_that_must_be_asked_for_are_believed_where_they_are_sent(agent, hints, expected):
    assert tuple(parse_user_agent(agent, hints)) == expected


def test_hints_say_linux_where_the_user_agent_names_the_distribution():
    ubuntu = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    assert parse_user_agent(ubuntu, '|?0|"Linux"').os == "Ubuntu"


def test_the_real_clicks_of_2012():
    lines = [json.loads(line) for line in CLICKS.read_text().splitlines()]
    clicks = [parse_user_agent(line["a"], "") for line in lines if "_heartbeat_" not in line]
    devices = Counter(device.device_type for device in clicks)
    browsers = Counter(device.browser for device in clicks)
    assert len(clicks) == 3440
    assert devices == {"desktop": 2634, "mobile": 440, "other": 191, "tablet": 175}
    assert [browsers[name] for name in ("Firefox", "IE", "Chrome", "Safari")] == [1013, 757, 676, 251]
    windows = sum("Windows" in line.get("a", "") for line in lines)
    assert sum(device.os in {"Windows", "Windows Phone"} for device in clicks) == windows


def test_the_answer_is_a_device_even_for_a_million_characters():
    device = parse_user_agent("Mozilla/5.0 (" + "x" * 1_000_000, "")
    assert isinstance(device, Device)
    assert max(map(len, device)) <= 64
