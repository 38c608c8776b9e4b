"""Checks of the small fields that several things have: names, tags, pages of lists."""

import re
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from footfall.errors import Invalid
from footfall.tenants.links.targets import check_host
from footfall.tenants.model import SCOPES, Scope

T = TypeVar("T")

MAX_PAGE = 1000
_MAX_OFFSET = 10**9
_MAX_NAME = 200
_MAX_TAGS = 50
_MAX_ORIGINS = 100
_MAX_TIME = 253_402_300_800_000  # the year 10000, in ms
# Control characters; lone surrogates, which no database stores.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class ListPage(Struct, Generic[T], frozen=True):
    """Some of a list: `items`, out of `total`."""

    items: Sequence[T]
    total: int


def check_text(value: str, field: str, *, longest: int = _MAX_NAME, empty: bool = False) -> str:
    """One line of text without spaces at its ends. Raises Invalid."""
    value = value.strip()
    if not value and not empty:
        raise Invalid(f"{field} must not be empty", field=field)
    if len(value) > longest or _FORBIDDEN.search(value):
        raise Invalid(f"{field} must be at most {longest} characters and no control characters", field=field)
    return value


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Each tag once, in the order given. Raises Invalid."""
    checked = tuple(dict.fromkeys(check_text(tag, "tags", longest=100) for tag in tags))
    if len(checked) > _MAX_TAGS:
        raise Invalid(f"at most {_MAX_TAGS} tags are allowed", field="tags")
    return checked


def check_origins(origins: Iterable[str]) -> tuple[str, ...]:
    """Hosts whose pages may send: `example.com`, or `*.example.com` for all below it. Raises Invalid."""
    checked: dict[str, None] = {}
    for origin in origins:
        host = check_text(origin, "origins", longest=300)
        star = "*." if host.startswith("*.") else ""
        checked[star + check_host(host.removeprefix("*."), field="origins")] = None
    if len(checked) > _MAX_ORIGINS:
        raise Invalid(f"at most {_MAX_ORIGINS} origins are allowed", field="origins")
    return tuple(checked)


def check_timezone(name: str) -> str:
    """An IANA zone. Raises Invalid."""
    try:
        ZoneInfo(check_text(name, "timezone"))
    except (ValueError, LookupError, OSError):  # also: a directory of the zone database, as "America"
        raise Invalid("timezone must be an IANA name, as in Europe/Berlin or UTC", field="timezone") from None
    return name


def check_scopes(scopes: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes of a key, in the order of `SCOPES`. Raises Invalid."""
    wanted = set(scopes)
    if not wanted or wanted - set(SCOPES):
        raise Invalid(f"scopes must be one or more of {', '.join(SCOPES)}", field="scopes")
    return tuple(scope for scope in SCOPES if scope in wanted)


def check_time(value: int, field: str) -> int:
    """A time in ms since 1970 UTC, 0 for never. Raises Invalid."""
    if not 0 <= value < _MAX_TIME:
        raise Invalid(f"{field} must be a time between the years 1970 and 9999", field=field)
    return value


def check_page(limit: int, offset: int) -> None:
    """Raises Invalid for a page that is no page."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"limit must be between 1 and {MAX_PAGE}", field="limit")
    if not 0 <= offset <= _MAX_OFFSET:
        raise Invalid(f"offset must be between 0 and {_MAX_OFFSET}", field="offset")
