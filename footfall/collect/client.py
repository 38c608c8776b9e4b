"""Who is calling: the client's address, through trusted proxies only, and what its headers say.

An address exists only in memory, for the length of a request.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from footfall.enrich.address import Address, parse_address
from footfall.enrich.text import preferred_language, without_controls

Network = IPv4Network | IPv6Network
Headers = Iterable[tuple[bytes, bytes]]


_LONGEST_ADDRESS = 100  # a longer text is none, and is not remembered as such


class Caller(Struct, frozen=True):
    """The headers of a request that concern who sent it. Text is cut to sane lengths."""

    ip: str
    user_agent: str
    client_hints: str
    language: str
    referrer: str
    host: str


class Proxies:
    """The configured proxies, and the one rule: walk X-Forwarded-For from the right, skip our own."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self._check = lru_cache(4096)(self._look)

    def _is_trusted(self, text: str) -> bool:
        return len(text) <= _LONGEST_ADDRESS and self._check(text)

    def _look(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(
            address in network for network in self._trusted if network.version == address.version
        )

    def client_ip(self, peer: str, forwarded: str) -> str:
        """The client's address; `peer` unless it is a trusted proxy that names another. "" if unknown."""
        if not self._trusted or not forwarded or not self._is_trusted(peer):
            return _plain(peer)
        client = peer
        for hop in reversed(forwarded.split(",")[-20:]):
            if _parse(hop) is None:
                break
            client = hop
            if not self._is_trusted(hop):
                break
        return _plain(client)


# The headers that are read, and where their values stand in the list below.
_PLACES = {
    b"user-agent": 0,
    b"host": 1,
    b"referer": 2,
    b"accept-language": 3,
    b"sec-ch-ua": 4,
    b"sec-ch-ua-mobile": 5,
    b"sec-ch-ua-platform": 6,
    b"sec-ch-ua-model": 7,
    b"sec-ch-ua-platform-version": 8,
    b"sec-ch-ua-form-factors": 9,
    b"x-forwarded-for": 10,
}
_FORWARDED = 10


NO_USER_AGENT = "-"
"""Of a request that had no such header."""


def read_caller(scope: dict[str, Any], proxies: Proxies) -> Caller:
    """Read what one ASGI request says about its sender."""
    peer = scope["client"][0] if scope.get("client") else ""
    values = [b""] * 11
    for name, value in scope["headers"]:
        place = _PLACES.get(name)
        if place is not None:
            before = values[place]
            values[place] = before + b"," + value if before and place == _FORWARDED else value
    agent, host, referrer, language, brands, mobile, platform, *asked, forwarded = values
    hints = b""
    if brands or platform:
        # What must be asked for is rarely sent.
        hints = b"|".join((brands, mobile, platform, *asked) if any(asked) else (brands, mobile, platform))
    return Caller(
        ip=proxies.client_ip(peer, forwarded.decode("latin-1")),
        # Programs leave it out, browsers never do: "-", as access logs write it (decision 0004).
        user_agent=header_text(agent, 1000).strip() or NO_USER_AGENT,
        client_hints=header_text(hints, 500),
        language=preferred_language(header_text(language, 300)) if language else "",
        referrer=header_text(referrer, 2048),
        host=header_text(host, 255).lower(),
    )


# HTTP libraries and tools as they name themselves: the start of their User-Agent.
_LIBRARY = re.compile(
    r"(?:curl|wget|httpie|postman|insomnia|hurl|xh|python|aiohttp|httpx|node|undici|axios|got|deno|bun|go-http|"
    r"okhttp|java|apache-httpclient|jakarta|ruby|faraday|php|guzzle|symfony|libwww|lwp|perl|rest-client|"
    r"reqwest|hyper|ureq|dart|dotnet|restsharp|powershell|elixir|hackney|req/|mint|cpr|footfall)",
    re.IGNORECASE,
)


def without_library(caller: Caller) -> Caller:
    """The caller of a request with a secret key: a server, which speaks for visitors.

    A User-Agent that names an HTTP library, or none, is the server's own, no visitor's: as one, every event
    sent from a backend would be a bot's.
    """
    named = caller.user_agent
    return replace(caller, user_agent="") if named == NO_USER_AGENT or _LIBRARY.match(named) else caller


def header_text(value: bytes, limit: int) -> str:
    """A header as text: UTF-8 if it is, else Latin-1; control characters removed."""
    if not value:
        return ""
    cut = value[:limit]
    try:
        text = cut.decode()
    except UnicodeDecodeError:
        text = cut.decode("latin-1")
    return without_controls(text)


def _parse(text: str) -> Address | None:
    return _parse_short(text) if len(text) <= _LONGEST_ADDRESS else None


_parse_short = lru_cache(4096)(parse_address)


def _plain(text: str) -> str:
    address = _parse(text)
    return "" if address is None else str(address)
