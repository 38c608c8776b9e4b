"""Programs are told from people, and named."""

import json
from collections import Counter
from pathlib import Path

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from footfall.enrich.bots import NOT_A_BOT, Bot, classify

CLICKS = Path(__file__).parents[3] / "examples" / "data" / "usagov_clicks.jsonl"

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name", "category"),
    [
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot",
            "search-engine",
        ),
        ("Googlebot-Image/1.0", "Googlebot-Image", "search-engine"),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "GPTBot",
            "ai-crawler",
        ),
        (
            "Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
            "ClaudeBot",
            "ai-crawler",
        ),
        (
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "facebookexternalhit",
            "social-preview",
        ),
        # Previews in Apple's Messages name three programs; the longest name is the most specific.
        (
            f"Mozilla/5.0 (Macintosh) {WEBKIT} Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
            "facebookexternalhit",
            "social-preview",
        ),
        ("WhatsApp/2.23.20.0", "WhatsApp", "social-preview"),
        ("curl/8.5.0", "curl", "http-library"),
        ("python-requests/2.31.0", "python-requests", "http-library"),
        (
            f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36",
            "HeadlessChrome",
            "browser-automation",
        ),
        ("TEST_INTERNET_AGENT", "", "other"),
        # How access logs, and our door, write a request that had no User-Agent header.
        ("-", "", "other"),
    ],
)
def test_programs(user_agent, name, category):
    assert classify(user_agent) == Bot(True, name, category)


@pytest.mark.parametrize(
    "user_agent",
    [
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {WEBKIT} Version/26.0 Mobile/15E148",
        # A phone whose maker is Cubot.
        f"Mozilla/5.0 (Linux; Android 9; CUBOT X19) {WEBKIT} Chrome/85.0 Mobile Safari/537.36",
        # Nothing is known: a server's own events and imports have none.
        "",
        "   ",
    ],
)
def test_people(user_agent):
    assert classify(user_agent) == NOT_A_BOT


def test_nearly_all_crawlers_of_the_list_are_found():
    """9 of 2,123 look exactly like browsers; a new release of either list may move this a little."""
    instances = [user_agent for entry in CRAWLER_USER_AGENTS_DATA for user_agent in entry["instances"]]
    found = [classify(user_agent) for user_agent in instances]
    assert sum(bot.is_bot for bot in found) / len(instances) > 0.99
    assert all(bot.bot_name and bot.bot_category for bot in found if bot.is_bot)


def test_the_real_clicks_of_2012():
    lines = [json.loads(line) for line in CLICKS.read_text().splitlines()]
    agents = Counter(line["a"] for line in lines if "_heartbeat_" not in line)
    bots = {agent for agent in agents if classify(agent).is_bot}
    assert (len(agents), len(bots)) == (761, 15)
    assert sum(agents[agent] for agent in bots) == 193  # 121 of them one map on a county's page
