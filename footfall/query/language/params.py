"""The parameters of the reports, and how they are read from a query string.

A parameter is one field of a Struct: its type is what is allowed, its default what holds
without it, its description what the API documentation shows. Beside these every report takes
the filters of `url_filters`. Unknown parameters are refused: a mistyped filter must not give a
number for something else.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

from footfall.errors import Invalid
from footfall.model.calendar import instant
from footfall.model.times import DAY_MS, Millis
from footfall.query.language.periods import DEFAULT_DAYS, MAX_BUCKETS, Interval, Period, Weekday, resolve
from footfall.query.language.presets import PRESETS, RangeName, preset
from footfall.query.language.question import Comparison
from footfall.query.language.refusals import hint, unknown
from footfall.query.language.url_filters import MAX_FILTERS, field_of, filters_documented, read_filter

MAX_LIMIT = 1000
MAX_OFFSET = 10_000_000

INTERVALS: tuple[Interval, ...] = get_args(Interval)

# Optional fields carry their Meta inside: msgspec wants a length on a str, not on a union.
_START = "First day (2026-01-31, from midnight on) or time (2026-01-31T18:00:00+01:00); default: "
_Start = Annotated[str, Meta(description=f"{_START}{DEFAULT_DAYS} days up to the end.")] | None
_End = Annotated[str, Meta(description="Last day (inclusive) or time (exclusive); default: today.")] | None
_RANGES = (
    "A range by name instead of its dates: 24h up to now; today, 7d, 28d, 30d, 90d, 91d, 6mo, 12mo, 1y up to "
    "and including today; mtd, qtd, ytd: this month, quarter, year so far; yesterday, last_month, "
    "last_quarter, last_year, previous_month, previous_quarter: the whole one before; all: from the first "
    "event on."
)


FOR_EXCEL = (
    "Writes CSV as Excel reads it by double-click: times without offset, rounded numbers, amounts in units."
)


class Params(Struct, frozen=True, kw_only=True):
    """What every report takes: the range, and whether bots count."""

    start_date: _Start = None
    end_date: _End = None
    timezone: Annotated[
        str,
        Meta(
            description="IANA zone (Europe/Berlin) of days, buckets, and the times in the answer.",
            max_length=64,
        ),
    ] = "UTC"
    include_bots: Annotated[bool, Meta(description="Count bots too; they are left out by default.")] = False
    format: (
        Annotated[
            Literal["json", "csv"],
            Meta(description="`csv` answers the rows as a file; so does the header `Accept: text/csv`."),
        ]
        | None
    ) = None
    program: Annotated[Literal["excel"], Meta(description=FOR_EXCEL)] | None = field(default=None, name="for")


class RangeParams(Params, frozen=True, kw_only=True):
    """Of reports without buckets."""

    interval: Annotated[RangeName, Meta(description=_RANGES)] | None = None


class ListParams(RangeParams, frozen=True, kw_only=True):
    """Of reports that list rows."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Most rows in the answer.")] = 100
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Rows to skip.")] = 0


class BucketParams(Params, frozen=True, kw_only=True):
    """Of reports over time."""

    interval: Annotated[
        Interval | RangeName,
        Meta(
            description=f"Length of a bucket: hour, day, week, month or year; at most {MAX_BUCKETS} buckets. "
            f"Or: {_RANGES[0].lower()}{_RANGES[1:]} Then the length is `granularity`."
        ),
    ] = "day"
    granularity: (
        Annotated[
            Interval,
            Meta(
                description="Length of a bucket, also beside a range by name; without it, such a range has "
                "hours up to 2 days, days up to 180, then months."
            ),
        ]
        | None
    ) = None
    week_start: Annotated[Weekday, Meta(description="The day on which weeks begin.")] = "monday"


class StatsListParams(ListParams, frozen=True, kw_only=True):
    """Lists of the `stats` group, where the range is spelled `from` and `to`."""

    start_date: _Start = field(default=None, name="from")
    end_date: _End = field(default=None, name="to")


class StatsBucketParams(BucketParams, frozen=True, kw_only=True):
    """Time series of the `stats` group."""

    start_date: _Start = field(default=None, name="from")
    end_date: _End = field(default=None, name="to")


P = TypeVar("P", bound=Params)

# Both spellings of the range are understood everywhere.
_OTHER_SPELLING = {"from": "start_date", "to": "end_date", "start_date": "from", "end_date": "to"}
# A report that has no use for one of these says so in its warnings; anything else is refused.
_KNOWN_ELSEWHERE = frozenset({"interval", "granularity", "week_start", "limit", "offset"})

# As Dub has them: the length of buckets of a range by name, up to so many days.
_FITTING: tuple[tuple[int, Interval], ...] = ((2, "hour"), (180, "day"))


class ParsedParams(NamedTuple, Generic[P]):
    """A question as it was understood.

    `written`: the text of each filter by its field. `interval`: the length of buckets, None for
    reports without any. `now`: when it was asked, in ms.
    """

    params: P
    period: Period
    filters: tuple[Comparison, ...]
    written: Mapping[str, str]
    interval: Interval | None
    now: Millis
    warnings: tuple[str, ...]


class Parameter(NamedTuple):
    """One parameter as a query string spells it, with its JSON schema."""

    name: str
    schema: dict[str, Any]
    required: bool = False


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
        found.append(Parameter(info.encode_name, schema, info.required))
    return tuple(found)


@lru_cache
def filter_parameters() -> tuple[Parameter, ...]:
    """The filters that every report takes, for the API documentation; beside them `property:NAME`."""
    return tuple(Parameter(name, schema) for name, schema in filters_documented())


def parse(
    kind: type[P],
    items: Iterable[tuple[str, str]],
    now: datetime,
    *,
    defaults: Mapping[str, str] | None = None,
    first: int | None = None,
) -> ParsedParams[P]:
    """Read the parameters of a query string. Raises Invalid, naming the field as it was written.

    `defaults`: filters that hold where the caller names none. `first`: when the first event
    kept occurred (ms), if `wants_all(items)`.
    """
    known = {parameter.name: parameter for parameter in parameters(kind)}
    values: dict[str, Any] = {}
    filters: dict[str, tuple[str, str]] = {}  # the field -> (the caller's name, the text)
    written: dict[str, str] = {}  # our name -> the caller's
    warnings: list[str] = []
    for name, text in items:
        ours = name if name in known else _OTHER_SPELLING.get(name, name)
        filtered = None if ours in known else field_of(name)
        if ours in values or filtered in filters:
            raise Invalid(f"{name} is given twice", field=name)
        if filtered is not None:
            filters[filtered] = name, text
        elif _means_nothing(kind, known, ours, text):
            warnings.append(f"{name} has no meaning for this report and was ignored")
        elif ours not in known:
            raise Invalid(_unknown(name, known), field=name)
        else:
            written[ours] = name
            values[ours] = _value(name, text, known[ours].schema)
    for name, text in (defaults or {}).items():
        filters.setdefault(name, (name, text))
    if len(filters) > MAX_FILTERS:
        raise Invalid(f"at most {MAX_FILTERS} filters", field=list(filters.values())[MAX_FILTERS][0])
    wheres = tuple(read_filter(name, text) for name, text in filters.values())
    first_and_last = tuple(written.get(name, name) for name in list(known)[:2])
    period = _period(values, list(known)[:2], cast("tuple[str, str]", first_and_last), now, first)
    for parameter in known.values():
        if parameter.required and parameter.name not in values:
            raise Invalid(f"{parameter.name} is required", field=parameter.name)
    params = msgspec.convert(values, kind)
    return ParsedParams(
        params=params,
        period=period,
        filters=wheres,
        written={field: text for field, (_, text) in filters.items()},
        interval=_bucket_length(params, period, named="interval" in values)
        if isinstance(params, BucketParams)
        else None,
        now=instant(now),
        warnings=tuple(warnings),
    )


def wants_all(items: Sequence[tuple[str, str]]) -> bool:
    """Whether the range begins with the first event kept."""
    return ("interval", "all") in items


def _means_nothing(kind: type[Params], known: Mapping[str, Any], name: str, text: str) -> bool:
    """Whether only other reports have a use for the parameter: then it is ignored aloud."""
    if name == "interval" and issubclass(kind, RangeParams):
        return text in INTERVALS
    return name not in known and name in _KNOWN_ELSEWHERE


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    filters = tuple(each.name for each in filter_parameters())
    return (
        f"unknown parameter{hint(name, (*known, *filters)) or '.'} Known are {', '.join(known)}, and the "
        f"filters {', '.join(filters)} and property:NAME"
    )


def _period(
    values: Mapping[str, Any], names: list[str], written: tuple[str, str], now: datetime, first: int | None
) -> Period:
    start, end, timezone = values.get(names[0]), values.get(names[1]), values.get("timezone", "UTC")
    named = values.get("interval")
    if named not in PRESETS or named in INTERVALS:
        return resolve(start, end, timezone, now, written)
    if start is not None or end is not None:
        given = written[0] if start is not None else written[1]
        raise Invalid(f"interval={named} is a range by name: leave out {given}", field="interval")
    return preset(named, now, timezone, first)


def _bucket_length(params: BucketParams, period: Period, *, named: bool) -> Interval:
    """`named`: whether the caller gave `interval`. Raises Invalid."""
    if params.interval in INTERVALS:
        if named and params.granularity not in (None, params.interval):
            raise Invalid("interval and granularity name two lengths of buckets", field="granularity")
        return params.granularity or params.interval
    if params.granularity is not None:
        return params.granularity
    days = (period.end - period.start) / DAY_MS
    for most, fitting in _FITTING:
        if days <= most:
            return fitting
    return "month"


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
            raise unknown(name, text, names)
        case {"type": "array", "items": {"enum": names}}:
            return _some_of(names, name, text)
        case _:
            low, high = schema.get("minLength", 0), schema.get("maxLength", 100)
            if low <= len(text) <= high:
                return text
            allowed = f"{low} to {high} characters long" if low else f"at most {high} characters long"
    raise Invalid(f"{name} must be {allowed}", field=name)


def _some_of(names: Sequence[str], name: str, text: str) -> list[str]:
    parts = text.split(",")
    for part in parts:
        if part not in names:
            raise unknown(name, part, names, ", separated by commas")
    if len(set(parts)) != len(parts):
        raise Invalid(f"{name} must be {', '.join(names)}, each once, separated by commas", field=name)
    return parts
