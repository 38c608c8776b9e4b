"""Referrer, campaign and click ids -> host and channel.

Channels: `search`, `social`, `ai` (assistants), `email`; `paid_search`, `paid_social`, `display`, `affiliate`
and `paid`, which were paid for; `internal` (from a page of the same site), `direct` (nothing says where
from), `other`. Which hosts and names belong to which: channels.toml.
"""

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_plus

from footfall.enrich.page import MAX_UTM
from footfall.enrich.text import clean

MAX_HOST = 253

_LONG = 500  # a URL whose host is not remembered

_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?|\[[0-9a-f:.]+\]")
_FAMILIES = (
    # mail.example.com, us.mg4.mail.yahoo.com, webmail.example.org
    ("email", re.compile(r"(?:.+\.)?(?:e-?|web)?mail\d*\.[\w-]+\.[\w.-]+")),
    (
        "search",
        re.compile(
            r"(?:(?:books|cse|images|m|maps|news|scholar|shopping|video)\.)?google\.(?:com?\.)?[a-z]{2,3}"
            r"|(?:[\w-]+\.)*search\.yahoo\.(?:com?\.)?[a-z]{2,3}|(?:\w\w\.)?yahoo\.(?:com?\.)?[a-z]{2,3}"
            r"|(?:(?:images|m|search|video)\.)?yandex\.(?:com?\.)?[a-z]{2,3}"
        ),
    ),
    ("social", re.compile(r"(?:[\w-]+\.)?pinterest\.(?:com?\.)?[a-z]{2,3}")),
)

_ABOUT = re.compile(
    r"(?:blogs?|help|support|docs|status|community|forums?|developers?|about|press|investors?)\."
)

# What a campaign's utm_medium says outright.
_MEDIA = {
    "email": "email", "e-mail": "email", "mail": "email", "newsletter": "email", "email-newsletter": "email",
    "social": "social", "social-media": "social", "social-network": "social", "sm": "social",
    "social-organic": "social", "organic-social": "social",
    "organic": "search", "organic-search": "search",
    "display": "display", "banner": "display", "cpm": "display", "expandable": "display",
    "interstitial": "display",
    "affiliate": "affiliate", "affiliates": "affiliate", "partner": "affiliate",
    "paid-search": "paid_search", "paidsearch": "paid_search", "sem": "paid_search",
    "paid-social": "paid_social", "paidsocial": "paid_social", "social-paid": "paid_social",
    "social-ads": "paid_social",
}  # fmt: skip
# Media of what is paid for, whatever it is: the source says that.
_PAID = re.compile(r"(?:cpc|cpa|cpv|ppc|cpl|cpp|ad|ads|retargeting|remarketing|paid(?:[-_ ].*)?|paid[a-z]+)")

# What is added to the URLs that a click leads to. Only whether it is there counts, never its value.
_CLICK_IDS = {
    "gclid": "paid_search", "gbraid": "paid_search", "wbraid": "paid_search", "gad_source": "paid_search",
    "gclsrc": "paid_search", "msclkid": "paid_search", "yclid": "paid_search", "srsltid": "search",
    "dclid": "display", "obclid": "display", "tblci": "display",
    "ttclid": "paid_social", "twclid": "paid_social", "li_fat_id": "paid_social", "rdt_cid": "paid_social",
    "sccid": "paid_social", "epik": "paid_social",
    # These stand behind every link that leads out of their networks, paid for or not.
    "fbclid": "social", "igshid": "social", "igsh": "social",
    "mc_cid": "email", "mc_eid": "email", "_hsenc": "email", "_kx": "email", "vero_id": "email",
    "ck_subscriber_id": "email",
    "irclickid": "affiliate", "awc": "affiliate",
}  # fmt: skip

_BOUGHT = frozenset({"paid_search", "paid_social", "display"})
_NAME = re.compile(r"[\w.+ -]{2,60}")


class Source(NamedTuple):
    """Where a visit came from; the host is lower case, without port and leading "www."."""

    referrer_host: str
    channel: str


def name_source(utm_source: str, page_url: str, referrer: str) -> str:
    """The campaign's source, or else what the page's URL says as `source=` or `ref=`.

    Links from page to page of the site have parameters of that name, too, which are none.
    """
    if utm_source or "?" not in page_url or (referrer and host_of(referrer) == host_of(page_url)):
        return utm_source
    return _in_query(page_url)[1]


def parse_referrer(
    referrer: str,
    page_url: str,
    utm_source: str,
    utm_medium: str,
    own_referrer: bool = False,  # noqa: FBT001, FBT002 -- a column
) -> Source:
    """Name the host and the channel. `own_referrer`: it is known for a page of the site.

    A campaign that names its medium is believed first; then one that is a newsletter by its name; then a
    click id of what was paid for; then the referrer; and where there is none that is known, the campaign's
    source ("google", "chatgpt.com").
    """
    host = host_of(referrer) if referrer else ""
    of_host = channel_of(host) if host else ""
    of_source = _source_channel(utm_source) if utm_source else ""
    medium = _plain(utm_medium)
    if medium and (said := _MEDIA.get(medium) or _paid(medium, of_source, of_host)):
        return Source(host, said)
    if of_source == "email":
        return Source(host, of_source)
    of_click = _CLICK_IDS.get(_in_query(page_url)[0], "") if "?" in page_url else ""
    if of_click in _BOUGHT:
        return Source(host, of_click)
    if host and (own_referrer or (page_url and host == host_of(page_url))):
        return Source(host, "internal")
    known = (each for each in (of_host, of_source, of_click) if each and each != "other")
    return Source(host, next(known, "other" if host or utm_source else "direct"))


def _paid(medium: str, of_source: str, of_host: str) -> str:
    """The channel of what was paid for, by who was paid; "" where the medium does not say so."""
    if not _PAID.fullmatch(medium):
        return ""
    of = of_source if of_source not in {"", "other"} else of_host
    return {"search": "paid_search", "social": "paid_social"}.get(of, of if of in _BOUGHT else "paid")


@lru_cache(maxsize=10_000)
def _source_channel(source: str) -> str:
    """The channel of a campaign's source: a name, or a host."""
    name = _plain(source)
    names, host = _names(), host_of(source)
    if name in names:
        return names[name]
    if re.search(r"(?:^|-)(?:e-?mail|newsletter)(?:-|$)", name):
        return "email"
    return channel_of(host or name + ".com")


def _plain(text: str) -> str:
    """As the tables write names."""
    return re.sub(r"[\s_+]+", "-", text.strip().lower()) if text else ""


@lru_cache(maxsize=10_000)
def _in_query(page_url: str) -> tuple[str, str]:
    """The first click id in a URL, and what it names as its source beside utm_source."""
    click_id = named = ""
    for pair in page_url.partition("#")[0].partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        name = name.lower()
        if not click_id and value and name in _CLICK_IDS:
            click_id = name
        elif value and (name == "source" or (name == "ref" and not named)):
            text = clean(unquote_plus(value), MAX_UTM)
            named = (text if _NAME.fullmatch(text) else host_of(text)) or named
    return click_id, named


def host_of(url: str) -> str:
    """Host of a URL (or of "example.com/path"), lower case, without port and "www."; "" if there is none."""
    return _host_of(url) if len(url) <= _LONG else _host_of.__wrapped__(url)


@lru_cache(maxsize=10_000)
def _host_of(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found:
        rest = scheme.removeprefix("//")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2].lower().strip()
    host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    if len(host) > MAX_HOST or not _HOST.fullmatch(host) or not (found or "." in host):
        return ""
    host = host.rstrip(".")
    return clean(host.removeprefix("www.") if host.count(".") > 1 else host, MAX_HOST)


@lru_cache(maxsize=10_000)
def channel_of(host: str) -> str:
    """The channel of a host; `other` where none is known."""
    portals, hosts = _portals(), _hosts()
    if (portal := portals.get(host.removeprefix("m."))) is not None:
        return portal
    rest = host
    while rest:
        if rest in hosts:
            # What a search engine writes about itself is no search.
            return "other" if hosts[rest] == "search" and _ABOUT.match(host) else hosts[rest]
        rest = rest.partition(".")[2]
    return next((channel for channel, family in _FAMILIES if family.fullmatch(host)), "other")


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(Path(__file__).with_name("channels.toml").read_text(encoding="utf-8"))


@cache
def _hosts() -> dict[str, str]:
    return {host: channel for channel, entry in _table().items() for host in entry["hosts"]}


@cache
def _portals() -> dict[str, str]:
    return {host: channel for channel, entry in _table().items() for host in entry.get("portals", ())}


@cache
def _names() -> dict[str, str]:
    return {name: channel for channel, entry in _table().items() for name in entry["names"]}
