"""The only place that makes SELECTs.

The text of a statement is put together from the tables below and from the names in
`model.columns`, never from what a caller sent: that travels as server-side parameters.
Every statement begins with the workspace and the range.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from footfall.model.columns import BY_NAME
from footfall.query.countries import UNKNOWN, country_names
from footfall.query.periods import Period

# 2^17 registers: exact up to 4096 different values; above, 200 sets of 5,000 to 100,000 values had
# a standard error of 0.20 to 0.23 %, sets of a million one of 0.31 %, none was off by 1 %. (With
# 2^14 it is 0.8 %, and 2^15 overestimates 100,000 by 1 %.) Merged states must have the same size.
_UNIQUE = "uniqCombined64If(17)({column}, {column} != 0)"
UNIQUE_ERROR = 0.003
# An estimate may fall below 4096 when the truth is above: a figure up to here is exact.
UNIQUE_EXACT = 4000

METRICS: Mapping[str, str] = {
    "events": "count()",
    "clicks": "countIf(event_type = 'click')",
    "visitors": _UNIQUE.format(column="visitor_id"),
    "sessions": _UNIQUE.format(column="session_id"),
    "links": "uniqExactIf(link_id, event_type = 'click' AND link_id != '')",
    "last_at": "maxOrNull(toUnixTimestamp64Milli(occurred_at))",
    "widget_impressions": "countIf(event_type = 'widget_impression')",
    "widget_clicks": "countIf(event_type = 'widget_click')",
}
"""What can be counted."""

_PROPERTIES: Mapping[str, str] = {
    name: f"JSONExtractString(properties, '{name}')" for name in ("mapping_id", "device_slug", "post_id")
}

DIMENSIONS: Mapping[str, str] = {
    "country_code": "country_code",
    "country": "transform(country_code, {country_codes:Array(String)}, {country_names:Array(String)}, "
    "if(country_code = '', {country_unknown:String}, country_code))",
    "device_type": "device_type",
    "browser": "browser",
    "os": "os",
    "referer_host": "if(referrer_host = '', 'direct', referrer_host)",
    "channel": "channel",
    "bucket": "roundDown(toUnixTimestamp64Milli(occurred_at), {buckets:Array(Int64)})",
    **_PROPERTIES,
}
"""What can be grouped by."""

_TYPES: Mapping[str, str] = {
    name: "String" if column.type == "LowCardinality(String)" else column.type
    for name, column in BY_NAME.items()
}


class Filter(NamedTuple):
    """Only events whose column or property `name` is one of `values` (is none of them, if `negated`)."""

    name: str
    values: tuple[str, ...]
    negated: bool = False


class Statement(NamedTuple):
    """One SELECT and its parameters."""

    text: str
    parameters: dict[str, Any]


class Question(Struct, frozen=True, kw_only=True):
    """Metrics by dimensions, over the events of one workspace in a period.

    `bots`: False leaves them out, True counts them only, None makes no difference.
    `buckets`: for the dimension `bucket`, when each begins. `order_by`: names of metrics and
    dimensions, "-" in front for descending.
    """

    workspace_id: str
    period: Period
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    bots: bool | None = False
    buckets: Sequence[int] = ()
    order_by: tuple[str, ...] = ()
    limit: int = 1
    offset: int = 0


def select(question: Question) -> Statement:
    """Rows of the dimensions and metrics asked for, and three more columns, equal in every row.

    These say of all groups, also of those beyond the limit: how many there are, how many
    events have no visitor, and how many have one that is known for a day only.
    """
    where, parameters = _where(question.workspace_id, question.period, question.filters, bots=question.bots)
    names = (*question.dimensions, *question.metrics)
    expressions = [
        *(DIMENSIONS[name] for name in question.dimensions),
        *(METRICS[name] for name in question.metrics),
        "countIf(visitor_id = 0)",
        "countIf(visitor_id != 0 AND visitor_id = device_hash)",
    ]
    # Own names: an alias that is also a column's name would change what WHERE means.
    aliases = [f"_{i}" for i in range(len(expressions))]
    inner = ", ".join(
        f"{expression} AS {alias}" for expression, alias in zip(expressions, aliases, strict=True)
    )
    group = f" GROUP BY {', '.join(aliases[: len(question.dimensions)])}" if question.dimensions else ""
    order = ", ".join(
        f"_{names.index(name.removeprefix('-'))}{' DESC' if name.startswith('-') else ''}"
        for name in question.order_by
    )
    text = (
        f"SELECT {', '.join(aliases[:-2])}, count() OVER (), "  # noqa: S608 - from the tables above only
        f"sum({aliases[-2]}) OVER (), sum({aliases[-1]}) OVER () "
        f"FROM (SELECT {inner} FROM events WHERE {where}{group})"
        f"{' ORDER BY ' + order if order else ''} LIMIT {{limit:UInt32}} OFFSET {{offset:UInt32}}"
    )
    parameters |= {"limit": question.limit, "offset": question.offset}
    if "bucket" in question.dimensions:
        parameters["buckets"] = list(question.buckets)
    if "country" in question.dimensions:
        countries = country_names()
        parameters |= {
            "country_codes": list(countries),
            "country_names": list(countries.values()),
            "country_unknown": UNKNOWN,
        }
    return Statement(text, parameters)


def listing(question: Question, columns: Sequence[str]) -> Statement:
    """Events as they are, newest first, in a stable order; `properties` as JSON text."""
    where, parameters = _where(question.workspace_id, question.period, question.filters, bots=question.bots)
    shown = ", ".join(
        f"if(empty({name}), '{{}}', {name})" if BY_NAME[name].type == "JSON" else name for name in columns
    )
    text = (
        f"SELECT {shown} FROM events WHERE {where} "  # noqa: S608 - names of model.columns only
        "ORDER BY occurred_at DESC, seq DESC, shard DESC LIMIT {limit:UInt32} OFFSET {offset:UInt32}"
    )
    return Statement(text, parameters | {"limit": question.limit, "offset": question.offset})


def _where(
    workspace_id: str, period: Period, filters: Sequence[Filter], *, bots: bool | None
) -> tuple[str, dict[str, Any]]:
    conditions = [
        "workspace_id = {workspace_id:String}",
        "occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')",
        "occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')",
    ]
    parameters: dict[str, Any] = {"workspace_id": workspace_id, "start": period.start, "end": period.end}
    if bots is not None:
        conditions.append("is_bot" if bots else "NOT is_bot")
    for number, (name, values, negated) in enumerate(filters):
        expression, kind = (_PROPERTIES[name], "String") if name in _PROPERTIES else (name, _TYPES[name])
        conditions.append(f"{expression} {'NOT IN' if negated else 'IN'} {{filter_{number}:Array({kind})}}")
        parameters[f"filter_{number}"] = list(values)
    return " AND ".join(conditions), parameters
