"""What events can be grouped by and filtered on.

A field is a column of the envelope that is not private, a property that Footfall knows, or any
other property as `property:name`. A dimension is what a caller groups by: a field as it is, or
something said of one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from footfall.enrich.countries import UNKNOWN, country_names
from footfall.errors import Invalid
from footfall.model.columns import COLUMNS, SHOWN_AS, TYPES
from footfall.model.cubes import PROPERTY_FIELDS, property_text
from footfall.model.entry import ENTRY_OF
from footfall.model.session_fields import PAGE_OF
from footfall.store.statement import Values

Kind = Literal["text", "number", "bool"]

PROPERTY = "property:"
TAG = "tag"
"""The dimension of links' tags: an event counts for each tag of its link."""
GOAL = "goal"
"""The dimension of saved goals: an event counts for each that it reaches."""
SEGMENT = "segment"
"""What filters name a saved segment by."""
_PROPERTY_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")

OF_THE_VISIT: tuple[str, ...] = (
    "referrer_host", "channel", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "referer_host",
)  # fmt: skip
"""What is asked of the visit by these names, and of the event itself by the same with EVENT before it."""
EVENT = "event_"
VISIT = "entry_"
"""Before the name of a column that says it of the visit."""

KINDS: Mapping[str, Kind] = {
    **{
        column.name: TYPES[column.type].compared_as
        for column in COLUMNS
        if column.role == "dimension" and column.name != "user_agent"
    },
    **dict.fromkeys(PROPERTY_FIELDS, "text"),
    "hostname": "text",
    "exit_page": "text",
    **{EVENT + name: "text" for name in OF_THE_VISIT if name != "referer_host"},
}
"""Every field with its kind."""

SESSION_FIELDS: frozenset[str] = frozenset(PAGE_OF)
"""Fields of the session that an event belongs to."""


Resolve = Callable[[str], str]
"""A field's SQL in the source at hand."""


def find_field(name: str, what: str = "dimensions", hint: str = "") -> Kind:
    """The kind of a field. Raises Invalid, naming `what` the caller gave and what is allowed.

    `hint`: "; did you mean NAME?", which the refusal says first.
    """
    if name.startswith(PROPERTY):
        if not _PROPERTY_NAME.fullmatch(name.removeprefix(PROPERTY)):
            raise Invalid(f"{what}: a property's name has 1 to 200 printable characters", field=what)
        return "text"
    if name not in KINDS:
        raise Invalid(
            f"{what}: {_shown(name)} is not known{hint or '.'} "
            f"Known are {', '.join(KINDS)} and property:NAME",
            field=what,
        )
    return KINDS[name]


def over_events(name: str, values: Values) -> str:
    """The SQL of a field over `events`."""
    if name.startswith(PROPERTY):
        return f"JSONExtract(properties, {values.add(name.removeprefix(PROPERTY), 'String')}, 'String')"
    if name == "hostname":  # names of hosts are the same in any case
        return "lower(domain(page_url))"
    return property_text(name) if name in PROPERTY_FIELDS else SHOWN_AS.get(name, name)


def of_visit(name: str) -> str:
    """The column, or dimension, that a name stands for where visits and visitors are asked about."""
    return VISIT + name if name in OF_THE_VISIT else of_event(name)


def of_event(name: str) -> str:
    """The same where events themselves are asked for."""
    bare = name.removeprefix(EVENT)
    return bare if bare in OF_THE_VISIT else name


def of_click(name: str) -> str:
    """The same where clicks are asked about: each is an entry of its own."""
    bare = of_visit(name).removeprefix(VISIT)
    return bare if VISIT + bare in _ENTRIES_OF_CLICKS else of_visit(name)


@dataclass(frozen=True, slots=True)
class Dimension:
    """What can be grouped by, beside the fields as they are. `sql` gets the fields' SQL."""

    fields: tuple[str, ...]
    sql: Callable[[Resolve, Values], str]


def _country(field: Resolve, values: Values) -> str:
    names = country_names()
    code = field("country_code")
    return (
        f"transform({code}, {values.add(list(names), 'Array(String)')}, "
        f"{values.add(list(names.values()), 'Array(String)')}, "
        f"if({code} = '', {values.add(UNKNOWN, 'String')}, {code}))"
    )


def _referer_host(column: str) -> Dimension:
    return Dimension((column,), lambda field, _: f"if({field(column)} = '', 'direct', {field(column)})")


SAID_OF_FIELDS: Mapping[str, Dimension] = {
    "country": Dimension(("country_code",), _country),
    "referer_host": _referer_host("referrer_host"),
    "entry_referer_host": _referer_host("entry_referrer_host"),
    "event_referer_host": _referer_host("referrer_host"),
}
"""Dimensions that are not simply a field."""
_ENTRIES_OF_CLICKS = {name for name in ENTRY_OF if name != "entry_page"} | {"entry_referer_host"}


def fields_of(dimension: str) -> tuple[str, ...]:
    """The fields that a dimension is made of."""
    if dimension == TAG:
        return ("link_id",)
    if dimension == GOAL:  # see Question.goals
        return ()
    return SAID_OF_FIELDS[dimension].fields if dimension in SAID_OF_FIELDS else (dimension,)


def dimension_sql(dimension: str, field: Resolve, values: Values) -> str:
    """A dimension's SQL, given that of its fields."""
    if dimension in SAID_OF_FIELDS:
        return SAID_OF_FIELDS[dimension].sql(field, values)
    return field(dimension)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 50 else name[:50] + "...")
