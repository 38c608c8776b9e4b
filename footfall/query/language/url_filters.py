"""Filters in a query string: `country_code=US,BR` is any of these, `country_code=-US,BR` none of them.

A comma or a leading hyphen that belongs to the value has a backslash before it, as has a
backslash before one of the three. `""` is the empty text that stands for unknown.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from footfall.errors import Invalid
from footfall.query.catalog.fields import KINDS, PROPERTY, find_field
from footfall.query.language.question import Comparison

MAX_FILTERS = 20
MAX_VALUES = 50
MAX_LENGTH = 200
MAX_LONG = 2000
"""Characters of a URL, a path or the value of a property; MAX_LENGTH of all else."""

EMPTY = '""'

ALIASES: Mapping[str, str] = {
    "country": "country_code",
    "device": "device_type",
    "referer": "referrer_host",
    "referer_host": "referrer_host",
    "visitor_timezone": "timezone",
}
"""Other names of fields. `timezone` itself is the parameter of that name."""

_LONG = frozenset({"page_url", "page_path", "entry_page", "exit_page", "referrer", "destination_url"})
_HIDDEN = frozenset({"timezone"})
_TOKEN = re.compile(r"\\[,\\-]|.", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?", re.ASCII)
_BOOLS = {"true": True, "1": True, "false": False, "0": False}

_MEANINGS: Mapping[str, str] = {
    "country_code": "ISO 3166-1 alpha-2",
    "region": "the ISO 3166-2 part after the country",
    "asn": "number of the autonomous system",
    "timezone": "of the visitor's address",
    "entry_page": "path of the first page view of the visit in the range",
    "exit_page": "path of the last page view of the visit in the range",
    "device_type": "desktop, mobile, tablet, ...",
    "channel": "search, social, ai, email, paid_search, internal, direct, other, ...",
    "referrer": "the whole URL; see also `referrer_host`",
    "is_bot": "with `true`, bots are counted without `include_bots`",
}


def filters_documented() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each filter's name in a query string and its JSON schema."""
    others = {field: [name for name in ALIASES if ALIASES[name] == field] for field in ALIASES.values()}
    for field in KINDS:
        names = others.get(field, [])
        name = names[0] if field in _HIDDEN else field
        about = f" ({_MEANINGS[field]})" if field in _MEANINGS else ""
        also = f" `{'`, `'.join(names)}` means the same." if names and name == field else ""
        yield (
            name,
            {
                "type": "string",
                "minLength": 1,
                "description": f"Only events with one of these{about}, separated by commas; "
                f"with a leading `-` those with none of them.{also}",
            },
        )


def field_of(name: str) -> str | None:
    """The field that a parameter of this name filters on; None if it is no filter."""
    if name.startswith(PROPERTY):
        return name
    field = ALIASES.get(name, name)
    return field if field in KINDS and name not in _HIDDEN else None


def read_filter(name: str, text: str) -> Comparison:
    """The filter that the parameter `name`, which has a field, makes of `text`. Raises Invalid."""
    field = field_of(name) or name
    kind = find_field(field, name)
    parts = _split(name, text)
    negated = parts[0][0]
    if len({minus for minus, _ in parts[1:]}) > 1 or any(minus > negated for minus, _ in parts[1:]):
        raise Invalid(
            f"{name} must be values to include (a,b) or values to exclude (-a,b), not both; "
            rf"write \- where a value begins with a hyphen",
            field=name,
        )
    operator = "is_not" if negated else "is"
    return Comparison(field, operator, tuple(_value(name, field, kind, value) for _, value in parts))


def _split(name: str, text: str) -> list[tuple[bool, str]]:
    """The values in `text`, each with whether an unescaped hyphen leads it. Raises Invalid for too many.

    A value that is too long ends early: it is refused where its kind is known.
    """
    found: list[tuple[bool, str]] = []
    minus, value, begun = False, "", False
    for token in _TOKEN.finditer(text):
        part = token[0]
        if part == ",":
            found.append((minus, value))
            minus, value, begun = False, "", False
            if len(found) == MAX_VALUES:
                raise Invalid(f"{name} must have at most {MAX_VALUES} values", field=name)
        elif part == "-" and not begun:
            minus = begun = True
        else:
            value += part[-1]
            begun = True
            if len(value) > MAX_LONG:
                break
    return [*found, (minus, value)]


def _value(name: str, field: str, kind: str, text: str) -> str | float | bool:
    if kind == "bool":
        if (value := _BOOLS.get(text.lower())) is not None:
            return value
        raise Invalid(f"{name} must be true or false", field=name)
    if kind == "number":
        if _NUMBER.fullmatch(text):
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        raise Invalid(f"{name} must be numbers, separated by commas", field=name)
    longest = MAX_LONG if field in _LONG or field.startswith(PROPERTY) else MAX_LENGTH
    if not 1 <= len(text) <= longest:
        raise Invalid(
            f"{name} must be values of 1 to {longest} characters, separated by commas; "
            f"{EMPTY} stands for unknown",
            field=name,
        )
    if text == EMPTY or (text == "direct" and name.startswith("referer")):  # as the reports show it
        return ""
    return text
