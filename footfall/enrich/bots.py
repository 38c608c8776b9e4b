"""User agent -> is it a program, and which.

Yes or no is isbot's pattern, the broadest list in use; name and category are those of the
crawler-user-agents list. Why, and what an empty user agent means: decisions/0004.
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # pyright: ignore[reportMissingTypeStubs]  it has none

from footfall.enrich.text import clean
from footfall.enrich.user_agent import MAX_LENGTH
from footfall.errors import Misconfigured

_PATTERN = Path(__file__).parents[1] / "_data" / "isbot.txt"


class Bot(NamedTuple):
    """The verdict. `bot_name` is "" where no list knows the program; its category is then `other`.

    Categories are those of crawler-user-agents: ai-crawler, search-engine, social-preview,
    monitoring, seo, ...; "" for people.
    """

    is_bot: bool
    bot_name: str
    bot_category: str


NOT_A_BOT = Bot(is_bot=False, bot_name="", bot_category="")


class _Crawler(NamedTuple):
    category: str
    literal: str  # the whole pattern, where it is plain text: most are, and `in` is ten times faster
    pattern: re.Pattern[str] | None


def classify(user_agent: str, client_hints: str = "") -> Bot:
    """Tell people from programs. An empty user agent is not called a bot: nothing is known of it.

    `client_hints` as `parse_user_agent` takes them: a browser without a window may say so only there.
    """
    text = clean(user_agent, MAX_LENGTH)
    if "headless" in client_hints.lower():
        text = f"{text} {clean(client_hints, MAX_LENGTH)}"
    if not text or not _isbot().search(text.lower()):
        return NOT_A_BOT
    for crawler in _crawlers():
        if crawler.pattern is None:
            if crawler.literal in text:
                return Bot(True, crawler.literal.strip("/ "), crawler.category)
        elif found := crawler.pattern.search(text):
            return Bot(True, clean(found[0].strip("/ "), 64), crawler.category)
    return Bot(True, "", "other")


@cache
def _isbot() -> re.Pattern[str]:
    """Upstream's pattern is lower case and ignores case: on lowered text it need not, and is faster."""
    try:
        return re.compile(_PATTERN.read_text(encoding="utf-8"), re.ASCII)
    except FileNotFoundError:
        raise Misconfigured(
            f"{_PATTERN} is missing; the package's build makes it: uv sync --reinstall-package footfall"
        ) from None


@cache
def _crawlers() -> tuple[_Crawler, ...]:
    """The list, most specific (longest) pattern first, so that Googlebot-Image is not Googlebot."""
    crawlers: list[_Crawler] = []
    for entry in sorted(CRAWLER_USER_AGENTS_DATA, key=lambda entry: -len(entry["pattern"])):
        pattern: str = entry["pattern"]
        special = re.search(r"[][(){}^$*+?|.]|\\\w", re.sub(r"\\\W", "", pattern))
        if special:
            crawlers.append(_Crawler(entry["tags"][0], "", re.compile(pattern)))
        else:
            crawlers.append(_Crawler(entry["tags"][0], re.sub(r"\\(\W)", r"\1", pattern), None))
    return tuple(crawlers)
