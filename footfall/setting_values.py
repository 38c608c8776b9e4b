"""How a setting is read: networks, times and sizes, each with what is allowed.

What is written has its unit; Python passes seconds and bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import cast
from urllib.parse import urlsplit

from pydantic import ValidationInfo

from footfall.model.times import DAY
from footfall.units import FOREVER, parse_size, parse_time, spell_size, spell_time

CENTURY = 36_500 * DAY
"""The longest time that can be set, in seconds."""

LARGEST = 1 << 50
"""The largest size that can be set, in bytes."""


def read_networks(value: object) -> object:
    """FOOTFALL_TRUSTED_PROXIES=10.0.0.0/8,::1 as well as a TOML array."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("write a list of networks")  # noqa: TRY004 -- pydantic wants a ValueError
    texts = [str(each).strip() for each in cast("Sequence[object]", given)]
    return tuple(_network(text) for text in texts if text)


_MAPPED_BITS = 96


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text} is no network: write addresses or networks with commas between them, as in "
            "192.0.2.1, 10.0.0.0/8, fd00::/8"
        ) from None
    if str(network) != text and "/" in text and ip_interface(text).ip != network.network_address:
        raise ValueError(f"{text} has bits behind its prefix: write {network}, or the address alone")
    # IPv4 inside IPv6: such addresses are compared as those of IPv4, at every place.
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    bits = network.prefixlen - _MAPPED_BITS
    return network if mapped is None or bits < 0 else IPv4Network((mapped, bits))


@dataclass(frozen=True)
class TimeRange:
    """Reads a time: text with its unit, or seconds. Both ends are allowed."""

    least: float
    most: float

    def __call__(self, value: object) -> float:
        """The time in seconds. Raises ValueError, which says what is allowed."""
        seconds = parse_time(value) if isinstance(value, str) else _number(value)
        if not self.least <= seconds <= self.most:
            raise ValueError(f"from {spell_time(self.least)} to {spell_time(self.most)} is allowed")
        return seconds


@dataclass(frozen=True)
class SizeRange:
    """Reads a size: text with its unit, or bytes. Both ends are allowed."""

    least: int
    most: int

    def __call__(self, value: object) -> int:
        """The size in bytes. Raises ValueError, which says what is allowed."""
        size = parse_size(value) if isinstance(value, str) else int(_number(value))
        if not self.least <= size <= self.most:
            raise ValueError(f"from {spell_size(self.least)} to {spell_size(self.most)} is allowed")
        return size


def read_origins(value: object) -> object:
    """FOOTFALL_READ_ORIGINS=https://app.example.com,http://localhost:3000 as well as a TOML array."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("write a list of origins")  # noqa: TRY004 -- pydantic wants a ValueError
    texts = [str(each).strip() for each in cast("Sequence[object]", given)]
    return tuple(_origin(text) for text in texts if text)


def _origin(text: str) -> str:
    if text == "*":
        return text
    origin = str(read_url(text)).lower().removesuffix("/")
    if urlsplit(origin).path or "?" in origin or "#" in origin or "@" in origin:
        raise ValueError(f"{text} is no origin: write scheme, host and port, as in https://app.example.com")
    return origin


def read_url(value: object) -> object:
    """Where the world reaches a port: a scheme and a host, or nothing."""
    if not isinstance(value, str) or not value:
        return value
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not value.isprintable() or " " in value:
        raise ValueError("write a whole address, as in https://go.example.com")
    return value


def read_retention(value: object, info: ValidationInfo) -> float:
    """How long something is kept: at least a day, unless `short_retention` says otherwise."""
    seconds = parse_time(value, long=True) if isinstance(value, str) else _number(value)
    if seconds < 0 or not (seconds <= CENTURY or seconds == FOREVER):
        raise ValueError('from 1d to 100y is allowed, or "forever"')
    if seconds < DAY and not info.data.get("short_retention"):
        raise ValueError(
            'this would delete what is younger than a day: write "forever" to keep all, or set '
            "short_retention = true if you mean it"
        )
    return seconds


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:  # noqa: PLR0124 -- no NaN
        return value
    raise ValueError("write a number with its unit")
