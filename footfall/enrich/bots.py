"""User agent -> is it a program, and which.

Yes is what device-detector lists, and what isbot's pattern finds, the broadest in use, unless that is a
phone, a television or an app which only has a word in common with programs. Name and category are those of
the crawler-user-agents list. Why, and what an empty user agent means: decisions/0004.
"""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # pyright: ignore[reportMissingTypeStubs]  it has none

from footfall.enrich.device_type import is_known_device
from footfall.enrich.devices import is_listed_app, is_listed_bot
from footfall.enrich.text import clean
from footfall.enrich.user_agent import MAX_LENGTH
from footfall.errors import Misconfigured

_PATTERN = Path(__file__).parents[1] / "_data" / "isbot.txt"


# The model in an Android browser's user agent: CUBOT, Discovery, Google Nexus, whatever its maker liked.
_MODEL = re.compile(
    r"(Android [\d.]+;(?: [a-z]{2}(?:[-_][a-z]{2})?;)?)[^;)]*?(?= Build/|;|\))",
    re.IGNORECASE,
)
# What isbot misreads: plug-ins and products of people, and how phones of MediaTek name their software.
_HARMLESS = re.compile(
    r"chromeframe(?:/[\d.]+)?|AlphaServer|Google Earth(?:/[\d.]+)?|QQDownload(?:[ /]\d+)?|https?://bsalsa\.com"
    r"|WAP[ _]Browser\S* \([^)]*\)|MAUI[/ ]\(?(?:HTTP PGDL|\))|HTTP PGDL|https?://(?:www\.)?(?:xbmc\.org|kodi\.tv)"
    r"|Sogou(?:MobileBrowser|MSE|Search Android)|OptimizedIE\d|SpeedMode; Proxy;|Process/toolsmp|GoogleChirp"
    r"|^WhatsApp/\S+ \S+ Device/\S+",
    re.IGNORECASE,
)
# Whatever else a user agent looks like.
_SURELY = re.compile(
    r"https?:|www\.|@\w+\.|\bbots?\b|crawl|spider|headless|lighthouse|phantomjs|monitor|preview|scan|check|python|curl"
    r"|wget|ptst|pagespeed|archiv|fetch|google-|weblight|insights|\bnode\b|scrap|validator|inspect|robot|synthetic"
    r"|selenium|puppeteer|playwright|burpcollaborator|devtools|\brss\b|feed|torrent|firephp|whatsapp/|cursor/"
)


# isbot's pattern takes a time that grows with the square of a word. No name is as long.
_LONG_WORD = re.compile(r"([\w-]{64})[\w-]+", re.ASCII)


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
    text = _LONG_WORD.sub(r"\1", clean(user_agent, MAX_LENGTH))
    if "headless" in client_hints.lower():
        text = f"{text} {clean(client_hints, MAX_LENGTH)}"
    if not text or not (is_listed_bot(text) or _seems_bot(text)):
        return NOT_A_BOT
    return _named(text) or Bot(True, "", "other")


def _seems_bot(text: str) -> bool:
    """The verdict of isbot, but for devices and apps that only have a word in common with programs."""
    if not _isbot().search(text.lower()):
        return False
    rest = _HARMLESS.sub("", _MODEL.sub(r"\1 x", text)).strip().lower()
    if not rest or not _isbot().search(rest):
        return False
    if _SURELY.search(rest) or _named(text):
        return True
    return not (is_known_device(text) or is_listed_app(text))


@lru_cache(512)
def _named(text: str) -> Bot | None:
    for crawler in _crawlers():
        if crawler.pattern is None:
            if crawler.literal in text:
                return Bot(True, crawler.literal.strip("/ "), crawler.category)
        elif found := crawler.pattern.search(text):
            return Bot(True, clean(found[0].strip("/ "), 64), crawler.category)
    return None


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
