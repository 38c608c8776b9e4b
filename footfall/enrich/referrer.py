"""Referrer -> its host and the channel it came through.

Channels: `search`, `social`, `ai` (assistants), `email`, `internal` (from a page of the same host),
`direct` (no referrer), `other`. Which hosts belong to which: channels.toml.
"""

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

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
            r"|(?:[\w-]+\.)?yandex\.(?:com?\.)?[a-z]{2,3}"
        ),
    ),
    ("social", re.compile(r"(?:[\w-]+\.)?pinterest\.(?:com?\.)?[a-z]{2,3}")),
)

# What a campaign's utm_medium (or utm_source) says outright.
_MEDIA = {
    "email": "email", "e-mail": "email", "mail": "email", "newsletter": "email",
    "social": "social", "social-media": "social", "social_media": "social", "social media": "social",
    "social-network": "social", "sm": "social",
    "organic": "search",
}  # fmt: skip


class Source(NamedTuple):
    """Where a visit came from; the host is lower case, without port and leading "www."."""

    referrer_host: str
    channel: str


def parse_referrer(referrer: str, page_url: str, utm_source: str, utm_medium: str) -> Source:
    """Name the host and the channel.

    A campaign that names its medium is believed first; then the referrer; and where there is
    none, the campaign's source ("google", "chatgpt.com").
    """
    host = host_of(referrer) if referrer else ""
    medium = _MEDIA.get(utm_medium.lower()) or _MEDIA.get(utm_source.lower())
    if medium:
        return Source(host, medium)
    if host:
        return Source(host, "internal" if page_url and host == host_of(page_url) else channel_of(host))
    if utm_source:
        name = utm_source.lower()
        return Source("", channel_of(host_of(name) or name + ".com"))
    return Source("", "direct")


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
    """`search`, `social`, `ai`, `email` or `other`."""
    hosts = _hosts()
    rest = host
    while rest:
        if rest in hosts:
            return hosts[rest]
        rest = rest.partition(".")[2]
    return next((channel for channel, family in _FAMILIES if family.fullmatch(host)), "other")


@cache
def _hosts() -> dict[str, str]:
    table = tomllib.loads(Path(__file__).with_name("channels.toml").read_text(encoding="utf-8"))
    return {host: channel for channel, entry in table.items() for host in entry["hosts"]}
