"""The parameters of the reports, and how they are read from a query string.

A parameter is one field of a Struct: its type is what is allowed, its default what holds
without it, its description what the API documentation shows. Unknown parameters are
refused: a mistyped filter must not give a number for something else.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

from footfall.errors import Invalid
from footfall.query.periods import DEFAULT_DAYS, MAX_BUCKETS, Interval, Period, resolve

MAX_LIMIT = 1000
MAX_OFFSET = 10_000_000

# Optional fields carry their Meta inside: msgspec wants a length on a str, not on a union.
_START = "First day (2026-01-31, from midnight on) or time (2026-01-31T18:00:00+01:00); default: "
_Start = Annotated[str, Meta(description=f"{_START}{DEFAULT_DAYS} days up to the end.")] | None
_End = Annotated[str, Meta(description="Last day (inclusive) or time (exclusive); default: today.")] | None
_Id = Annotated[str, Meta(min_length=1, max_length=200)]
_Site = Annotated[_Id, Meta(description="Only events of this site.")]
_Link = Annotated[_Id, Meta(description="Only events of this link.")]
EventType = Annotated[_Id, Meta(description="Only events of this type.")]


class Params(Struct, frozen=True, kw_only=True):
    """What every report takes: the range, and which events of it."""

    start_date: _Start = None
    end_date: _End = None
    timezone: Annotated[
        str,
        Meta(
            description="IANA zone (Europe/Berlin) of days, buckets, and the times in the answer.",
            max_length=64,
        ),
    ] = "UTC"
    site_id: _Site | None = None
    link_id: _Link | None = None
    event_type: EventType | None = None
    include_bots: Annotated[bool, Meta(description="Count bots too; they are left out by default.")] = False


class ListParams(Params, frozen=True, kw_only=True):
    """Of reports that list rows."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Most rows in the answer.")] = 100
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Rows to skip.")] = 0


class BucketParams(Params, frozen=True, kw_only=True):
    """Of reports over time."""

    interval: Annotated[
        Interval,
        Meta(description=f"Length of a bucket; weeks begin on Monday. At most {MAX_BUCKETS} buckets."),
    ] = "day"


class StatsListParams(ListParams, frozen=True, kw_only=True):
    """Lists of the `stats` group, where the range is spelled `from` and `to`."""

    start_date: _Start = field(default=None, name="from")
    end_date: _End = field(default=None, name="to")


class StatsBucketParams(BucketParams, frozen=True, kw_only=True):
    """Time series of the `stats` group."""

    start_date: _Start = field(default=None, name="from")
    end_date: _End = field(default=None, name="to")


P = TypeVar("P", bound=Params)

FILTERS = ("site_id", "link_id", "event_type", "mapping_id", "post_id")
"""The parameters that say which events count; each is a column or a property of that name."""

# Both spellings of the range are understood everywhere.
_OTHER_SPELLING = {"from": "start_date", "to": "end_date", "start_date": "from", "end_date": "to"}
# A report that has no use for one of these says so in its warnings; anything else is refused.
_KNOWN_ELSEWHERE = frozenset({"interval", "limit", "offset"})


class Asked(NamedTuple, Generic[P]):
    """A question as it was understood."""

    params: P
    period: Period
    warnings: tuple[str, ...]


class Parameter(NamedTuple):
    """One parameter as a query string spells it, with its JSON schema."""

    name: str
    schema: dict[str, Any]


@lru_cache
def parameters(kind: type[Params]) -> tuple[Parameter, ...]:
    """The parameters of a Struct, in order, for parsing and for the API documentation."""
    found: list[Parameter] = []
    for info in msgspec.structs.fields(kind):
        schema = msgspec.json.schema(info.type)
        options = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
        schema |= options[0] if options else {}
        for part in (schema, schema.get("items", {})):
            if "enum" in part:  # msgspec sorts it
                part |= {"type": "string", "enum": _literals(info.type)}
        if info.default is not None and info.default is not msgspec.NODEFAULT:
            schema["default"] = info.default
        found.append(Parameter(info.encode_name, schema))
    return tuple(found)


def parse(kind: type[P], items: Iterable[tuple[str, str]], now: datetime) -> Asked[P]:
    """Read the parameters of a query string. Raises Invalid, naming the field as it was written."""
    known = {parameter.name: parameter for parameter in parameters(kind)}
    values: dict[str, Any] = {}
    written: dict[str, str] = {}  # our name -> the caller's
    warnings: list[str] = []
    for name, text in items:
        ours = name if name in known else _OTHER_SPELLING.get(name, name)
        if ours not in known:
            if name not in _KNOWN_ELSEWHERE:
                raise Invalid(f"unknown parameter; known are {', '.join(known)}", field=name)
            warnings.append(f"{name} has no meaning for this report and was ignored")
            continue
        if ours in values:
            raise Invalid(f"{name} is given twice", field=name)
        written[ours] = name
        values[ours] = _value(name, text, known[ours].schema)
    params = msgspec.convert(values, kind)
    first, last = (written.get(name, name) for name in list(known)[:2])
    period = resolve(params.start_date, params.end_date, params.timezone, now, (first, last))
    return Asked(params, period, tuple(warnings))


def _literals(kind: Any) -> list[str]:
    """The values of the Literal in a type, in their order."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [value for part in get_args(kind) for value in _literals(part)]


def _value(name: str, text: str, schema: dict[str, Any]) -> object:
    """The value that `text` means under a schema made by `parameters`. Raises Invalid."""
    match schema:
        case {"type": "boolean"}:
            value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
            if value is not None:
                return value
            allowed = "true or false"
        case {"type": "integer", "minimum": low, "maximum": high}:
            if text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high:
                return int(text)
            allowed = f"a whole number from {low} to {high}"
        case {"enum": names}:
            if text in names:
                return text
            allowed = f"one of {', '.join(names)}"
        case {"type": "array", "items": {"enum": names}}:
            parts = text.split(",")
            if set(parts) <= set(names) and len(set(parts)) == len(parts):
                return parts
            allowed = f"some of {', '.join(names)}, separated by commas"
        case _:
            low, high = schema.get("minLength", 0), schema.get("maxLength", 100)
            if low <= len(text) <= high:
                return text
            allowed = f"{low} to {high} characters long" if low else f"at most {high} characters long"
    raise Invalid(f"{name} must be {allowed}", field=name)
