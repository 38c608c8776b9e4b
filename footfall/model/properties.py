"""What the free properties of an event may hold, so that every store can keep them.

They are kept as text, and read by one fast parser: `check` accepts only what it can read, and
sends on what it accepts byte for byte, except that addresses are dropped (see `is_address`).
"""

import re
from math import isfinite
from typing import Any, cast

import msgspec

from footfall.errors import Invalid, TooLarge

MAX_NAMES = 200  # of an event, at all levels together
MAX_DEPTH = 8  # objects and arrays inside each other; the properties themselves are level 1
MAX_NAME = 200  # characters
MAX_TEXT = 8192  # characters of one string
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1

_WORDS = re.compile(r"[-_. ]+|(?<=[a-z0-9])(?=[A-Z])")
_LAST_WORDS = frozenset({"ip", "ips", "ipv4", "ipv6", "ipaddr", "ipaddress", "ipaddresses"})
_LAST_TWO_WORDS = frozenset(
    {"ipaddr", "ipaddress", "ipaddresses", "ipv4", "ipv6", "ipv4address", "ipv6address"}
)
_WHOLE_NAMES = frozenset({
    "clientip", "customerip", "realip", "remoteip", "sourceip", "srcip", "userip", "visitorip",
    "xclientip", "xrealip", "trueclientip", "cfconnectingip",
    "clientaddr", "clientaddress", "peeraddr", "peeraddress", "remoteaddr", "remoteaddress",
    "remotehost", "sourceaddr", "sourceaddress",
    "forwarded", "forwardedfor", "xforwardedfor", "xoriginalforwardedfor", "xenvoyexternaladdress",
})  # fmt: skip

_encode = msgspec.json.Encoder().encode

# Names seen before that may be stored, so that an ordinary event costs one look-up a name.
_known: set[str] = set()
_KNOWN_LIMIT = 10_000


def check(properties: dict[str, Any]) -> str:
    """The JSON text to store for `properties` (as JSON gives them: dict, list, str, int, ...).

    Raises Invalid, or TooLarge beyond a limit, whose field names the property, as in
    "properties.cart.items".
    """
    for name, value in properties.items():
        kind: Any = value.__class__
        if name not in _known or not (
            (kind is str and len(value) <= MAX_TEXT)
            or (kind is int and MIN_INTEGER <= value <= MAX_INTEGER)
            or (kind is float and isfinite(value))
            or kind is bool
            or value is None
        ):
            break
    else:
        if len(properties) <= MAX_NAMES:
            return _text(properties)
    return _text(_Checker().properties(properties, "properties", 1))


def is_address(name: str) -> bool:
    """Whether a property of this name would carry a visitor's address, and so is never kept.

    Names whose last word is "ip", in any spelling (`ip`, `last_ip`, `clientIp`,
    `user-ip-address`), and the usual header and server variables (`REMOTE_ADDR`,
    `X-Forwarded-For`).
    """
    words = [word.lower() for word in _WORDS.split(name) if word]
    return (
        "".join(words[-1:]) in _LAST_WORDS
        or "".join(words[-2:]) in _LAST_TWO_WORDS
        or "".join(words) in _WHOLE_NAMES
    )


def _text(properties: dict[str, Any]) -> str:
    try:
        return _encode(properties).decode()
    except UnicodeEncodeError:
        raise Invalid("text must be valid Unicode, without lone surrogates", field="properties") from None


class _Checker:
    """The thorough way, for what is nested or new: one per event, it counts its names."""

    def __init__(self) -> None:
        self.names = 0

    def properties(self, values: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
        """An object without addresses. Raises Invalid for what cannot be stored."""
        self.names += len(values)
        if self.names > MAX_NAMES:
            raise TooLarge(f"an event has at most {MAX_NAMES} properties, all levels together", field=path)
        return {
            name: self.value(value, f"{path}.{name}", depth + 1)
            for name, value in values.items()
            if _may_store(name, path)
        }

    def value(self, value: Any, path: str, depth: int) -> Any:
        if not isinstance(value, dict | list):
            _check_scalar(value, path)
            return value
        if depth > MAX_DEPTH:
            raise TooLarge(f"{path} is nested deeper than {MAX_DEPTH} levels", field=path)
        if isinstance(value, dict):
            return self.properties(cast("dict[Any, Any]", value), path, depth)
        return [
            item if _is_plain(item) else self.value(item, path, depth + 1)
            for item in cast("list[Any]", value)
        ]


def _is_plain(value: Any) -> bool:
    """Whether it may be kept as it is, at the cost of a look: there may be thousands in a list."""
    kind: Any = value.__class__
    return (
        (kind is int and MIN_INTEGER <= value <= MAX_INTEGER)
        or (kind is str and len(value) <= MAX_TEXT)
        or (kind is float and isfinite(value))
    )


def _check_scalar(value: Any, path: str) -> None:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise TooLarge(f"{path} is longer than {MAX_TEXT} characters", field=path)
    elif isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise Invalid(f"{path} does not fit in 64 bits; send it as a string", field=path)
    elif isinstance(value, float):
        if not isfinite(value):
            raise Invalid(f"{path} must be a finite number", field=path)
    elif value is not None:
        raise Invalid(f"{path} is no JSON value", field=path)


def _may_store(name: Any, path: str) -> bool:
    """Whether a property of this name is kept: an address is not.

    Raises Invalid when it cannot be a name.
    """
    if name in _known:
        return True
    if not isinstance(name, str) or not name:
        raise Invalid(f"{path} has a property without a name", field=path)
    if len(name) > MAX_NAME:
        raise TooLarge(f"{path} has a name longer than {MAX_NAME} characters", field=path)
    if is_address(name):
        return False
    if len(_known) >= _KNOWN_LIMIT:
        _known.clear()
    _known.add(name)
    return True
