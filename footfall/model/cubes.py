"""What is kept ready of the events: the ONE list of cubes, and of the measures in each row.

A rollup row says how many events of one site and type, by bots or not, began in one bucket of
time with the same values of its cube's fields. A question that a cube has all fields for is
answered from it instead of from the events. To add a cube: one line here; it holds what is
sliced from then on. A question that it cannot answer for a part of the range goes to the events.

Everything here is ClickHouse's SQL over the columns of `events`, or of `rollups` (see
`store/sql/0002_rollups.sql`); nothing of it comes from a caller.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from footfall.model.columns import SHOWN_AS

Grain = Literal["hour", "day"]
"""An hour (a quarter of one for sites in zones that need it), or a day of the site's own zone."""

PROPERTY_FIELDS: tuple[str, ...] = ("mapping_id", "post_id", "device_slug", "widget_index", "currency")
"""Properties that are used like columns. Any other is `property:name`."""

HOUR_MS = 3_600_000
QUARTER_MS = 900_000


def property_text(name: str) -> str:
    """The value of a property as text, "" without one; `name` must be safe inside quotes."""
    return f"JSONExtract(properties, '{name}', 'String')"


def field_text(name: str) -> str:
    """SQL over `events` for a field that is kept as text in a rollup row."""
    if name in PROPERTY_FIELDS:
        return property_text(name)
    return "toString(asn)" if name == "asn" else SHOWN_AS.get(name, name)


class Measure(NamedTuple):
    """A figure that merges: of a cube's rows as well as of events.

    `type` is that of its column in `rollups`. `function` aggregates `arguments` of the events
    where `condition` holds ("" for always): `functionIf(arguments, condition)`. A `state` is kept
    as one and merged; any other is a sum and is summed.
    """

    name: str
    type: str
    function: str
    arguments: str
    condition: str = ""

    @property
    def state(self) -> bool:
        """Whether the column holds a state to be merged."""
        return self.type.startswith("AggregateFunction")

    def combined(self, *combinators: str) -> str:
        """The name of the function with combinators, and its parameters: `uniqCombinedMerge(17)`."""
        name, opening, rest = self.function.removesuffix("If").partition("(")
        return f"{name}{''.join(combinators)}{opening}{rest}"


def _unique(name: str, column: str, kind: str, condition: str) -> Measure:
    # 2^17 registers, see query/catalog/metrics.py. States of different sizes must never be merged.
    return Measure(
        name, f"AggregateFunction(uniqCombined(17), {kind})", "uniqCombined(17)", column, condition
    )


# Sums of money are added up in 64 bits. What is large goes in as two numbers, of units and of LARGE each, so
# that no sum of two billion events wraps, whatever they say; `money` makes one number of the two.
_LARGE = 2**31
_OF_LARGE = "*"  # behind the currency
_CURRENCY = "JSONExtractString(properties, 'currency')"
_VALUE = "JSONExtractInt(properties, 'value_minor')"
_AMOUNTS = (
    f"if({_VALUE} BETWEEN {-_LARGE} AND {_LARGE - 1}, map({_CURRENCY}, {_VALUE}),"
    f" map({_CURRENCY}, bitAnd({_VALUE}, {_LARGE - 1}),"
    f" concat({_CURRENCY}, '{_OF_LARGE}'), bitShiftRight({_VALUE}, 31)))"
)


def money(sums: str) -> str:
    """SQL of amounts by currency as `Map(String, Int128)`, of the merged measure `revenue`."""
    currencies = f"arrayDistinct(arrayMap(k -> replaceOne(k, '{_OF_LARGE}', ''), mapKeys({sums})))"
    amounts = (
        f"arrayMap(k -> toInt128(({sums})[k]) + toInt128(({sums})[concat(k, '{_OF_LARGE}')]) * {_LARGE},"
        f" {currencies})"
    )
    return f"mapFromArrays({currencies}, {amounts})"


_CONVERTED = "event_type = 'conversion' AND JSONHas(properties, 'value_minor')"

MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("events", "Float64", "sum", "toFloat64(sample_weight)"),
        Measure("sampled", "UInt64", "countIf", "", "sample_weight != 1"),
        Measure("unidentified", "UInt64", "countIf", "", "visitor_id = 0"),
        Measure("known_for_a_day", "UInt64", "countIf", "", "visitor_id != 0 AND visitor_id = device_hash"),
        _unique("visitors", "visitor_id", "UInt64", "visitor_id != 0"),
        _unique("sessions", "session_id", "UInt64", "session_id != 0"),
        _unique("links", "link_id", "String", "link_id != '' AND event_type = 'click'"),
        _unique("countries", "country_code", "String", "country_code != ''"),
        _unique("referrers", "referrer_host", "String", "referrer_host != ''"),
        Measure(
            "viewable",
            "Float64",
            "sum",
            "toFloat64(sample_weight)",
            "event_type = 'widget_impression' AND JSONExtractFloat(properties, 'viewport_percent') >= 50",
        ),
        Measure(
            "revenue",
            "AggregateFunction(sumMap, Map(String, Int64))",
            "sumMap",
            _AMOUNTS,
            _CONVERTED,
        ),
    )
}

_ALWAYS = ("events", "sampled", "unidentified", "known_for_a_day", "visitors")


class Cube(NamedTuple):
    """The values of `fields`, with these measures.

    Its rows are of the events where `only` holds; questions must imply that to be answered from
    it. `link_id` stands in a column of its own, all other fields in v1, v2, ... in order.
    """

    name: str
    grain: Grain
    fields: tuple[str, ...]
    measures: tuple[str, ...] = _ALWAYS
    only: Literal["", "link", "widget", "content", "bot"] = ""


CUBES: tuple[Cube, ...] = (
    Cube(
        "total",
        "hour",
        (),
        (*_ALWAYS, "sessions", "links", "countries", "referrers", "viewable", "revenue"),
    ),
    Cube("link_hour", "hour", ("link_id",), only="link"),
    Cube("link", "day", ("link_id", "short_code"), only="link"),
    Cube("link_country", "day", ("link_id", "country_code"), only="link"),
    Cube("link_device", "day", ("link_id", "device_type", "browser", "os"), only="link"),
    Cube("link_referrer", "day", ("link_id", "referrer_host", "channel"), only="link"),
    Cube("place", "day", ("country_code", "region", "city")),
    Cube("device", "day", ("device_type", "browser", "os")),
    Cube("browser", "day", ("browser", "browser_version")),
    Cube("os", "day", ("os", "os_version")),
    Cube("referrer", "day", ("referrer_host", "channel")),
    Cube("page", "day", ("page_path",)),
    Cube("campaign", "day", ("utm_source", "utm_medium", "utm_campaign")),
    Cube("content", "day", ("utm_content", "utm_term"), only="content"),
    Cube("language", "day", ("language",)),
    Cube("network", "day", ("asn",)),
    Cube("bot", "day", ("bot_name", "bot_category"), only="bot"),
    Cube("widget", "day", ("mapping_id", "post_id", "device_slug"), (*_ALWAYS, "viewable"), "widget"),
)

ONLY: Mapping[str, str] = {
    "": "1",
    "link": "link_id != ''",
    "widget": "event_type IN ('widget_impression', 'widget_click', 'device_page_view')",
    "content": "(utm_content != '' OR utm_term != '')",
    "bot": "is_bot",
}
"""What `Cube.only` means, as SQL over events."""

KEYS: tuple[str, ...] = ("workspace_id", "site_id", "event_type", "is_bot")
"""Columns that every rollup row has beside those of its cube."""

VALUES: tuple[str, ...] = ("v1", "v2", "v3")


def columns_of(cube: Cube) -> dict[str, str]:
    """For each field of the cube, the column of `rollups` that holds it."""
    values = iter(VALUES)
    return {field: "link_id" if field == "link_id" else next(values) for field in cube.fields}
