"""What is kept ready of the events: the ONE list of cubes, and of the measures in each row.

A rollup row says how many events of one site and type, by bots or not, began in one bucket of
time with the same values of its cube's fields. A question that a cube has all fields for is
answered from it instead of from the events. To add a cube: one line here; it holds what is
sliced from then on. A question that it cannot answer for a part of the range goes to the events.

Everything here is ClickHouse's SQL over the columns of `events`, or of `rollups` (see
`store/sql/0002_rollups.sql`); nothing of it comes from a caller.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from footfall.model.columns import SHOWN_AS

Grain = Literal["hour", "day"]
"""An hour (a quarter of one for sites in zones that need it), or a day of the site's own zone."""

PROPERTY_FIELDS: tuple[str, ...] = ("mapping_id", "post_id", "device_slug", "widget_index", "currency")
"""Properties that are used like columns. Any other is `property:name`."""


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


_WIDGET = "event_type IN ('widget_impression', 'widget_click', 'device_page_view')"


def is_number(name: str) -> str:
    """Whether a property of an event about a widget is a number; `name` must be safe inside quotes."""
    return f"{_WIDGET} AND JSONType(properties, '{name}') IN ('Int64', 'UInt64', 'Double')"


def _unique(name: str, column: str, kind: str, condition: str) -> Measure:
    # 2^17 registers, see query/catalog/metrics.py. States of different sizes must never be merged.
    return Measure(
        name, f"AggregateFunction(uniqCombined(17), {kind})", "uniqCombined(17)", column, condition
    )


# Sums of money are added up in 64 bits. What is large goes in as two numbers, of units and of LARGE each, so
# that no sum of two billion events wraps, whatever they say; `money` makes one number of the two.
_LARGE = 2**31
_OF_LARGE = "*"  # behind the currency
CURRENCY = "JSONExtractString(properties, 'currency')"
_VALUE = "JSONExtractInt(properties, 'value_minor')"
_AMOUNTS = (
    f"if({_VALUE} BETWEEN {-_LARGE} AND {_LARGE - 1}, map({CURRENCY}, {_VALUE}),"
    f" map({CURRENCY}, bitAnd({_VALUE}, {_LARGE - 1}),"
    f" concat({CURRENCY}, '{_OF_LARGE}'), bitShiftRight({_VALUE}, 31)))"
)


def money(sums: str) -> str:
    """SQL of amounts by currency as `Map(String, Int128)`, of the merged measure `revenue`."""
    currencies = f"arrayDistinct(arrayMap(k -> replaceOne(k, '{_OF_LARGE}', ''), mapKeys({sums})))"
    amounts = (
        f"arrayMap(k -> toInt128(({sums})[k]) + toInt128(({sums})[concat(k, '{_OF_LARGE}')]) * {_LARGE},"
        f" {currencies})"
    )
    return f"mapFromArrays({currencies}, {amounts})"


CONVERTED = "event_type = 'conversion' AND JSONHas(properties, 'value_minor')"

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
        _unique(
            "unique_clicks",
            "cityHash64(visitor_id, link_id, toDate(occurred_at, 'UTC'))",
            "UInt64",
            "event_type = 'click' AND visitor_id != 0",
        ),
        # Ids are kept as text: these say that what was sent were numbers.
        Measure("mapping_numbers", "UInt64", "countIf", "", is_number("mapping_id")),
        Measure("post_numbers", "UInt64", "countIf", "", is_number("post_id")),
        Measure(
            "revenue",
            "AggregateFunction(sumMap, Map(String, Int64))",
            "sumMap",
            _AMOUNTS,
            CONVERTED,
        ),
    )
}

_ALWAYS = ("events", "sampled", "unidentified", "known_for_a_day", "visitors")


class Cube(NamedTuple):
    """The values of `fields`, with these measures.

    Its rows are of the events where `only` holds; questions must imply that to be answered from
    it. `link_id` stands in a column of its own, all other fields in v1, v2, ... in order.

    A cube may grow: new fields at the end, new measures. `added` names what each later version brought,
    so that builds of before, which lack it, answer all that they always did, and nothing else.
    """

    name: str
    grain: Grain
    fields: tuple[str, ...]
    measures: tuple[str, ...] = _ALWAYS
    only: Literal["", "link", "widget", "content", "visit_content", "bot"] = ""
    added: tuple[tuple[str, ...], ...] = ()

    @property
    def label(self) -> str:
        """The name under which builds note that they have it: with its version, from the second on."""
        return self._label(len(self.added))

    def in_build(self, labels: Collection[str], needed: Collection[str] = ()) -> bool:
        """Whether a build with these cubes has the `needed` fields and measures of this one."""
        version = self.version_in(labels)
        return version is not None and not any(set(each) & set(needed) for each in self.added[version:])

    def version_in(self, labels: Collection[str]) -> int | None:
        """How many of the additions a build with these cubes has; None if it has not the cube at all."""
        return next((count for count in range(len(self.added), -1, -1) if self._label(count) in labels), None)

    def oldest_of(self, builds: Iterable[Collection[str]]) -> str | None:
        """The label of what all of these builds have of it; None if one of them has nothing."""
        versions = [self.version_in(labels) for labels in builds]
        least = min((each for each in versions if each is not None), default=None)
        return None if least is None or None in versions else self._label(least)

    def _label(self, added: int) -> str:
        return f"{self.name}.{added + 1}" if added else self.name


CUBES: tuple[Cube, ...] = (
    Cube(
        "total",
        "hour",
        (),
        (*_ALWAYS, "sessions", "links", "countries", "referrers", "viewable", "revenue", "unique_clicks"),
        added=(("unique_clicks",),),
    ),
    Cube(
        "link_hour",
        "hour",
        ("link_id", "device_type"),
        (*_ALWAYS, "sessions", "unique_clicks"),
        "link",
        (("device_type", "sessions", "unique_clicks"),),
    ),
    Cube(
        "link",
        "day",
        ("link_id", "short_code"),
        (*_ALWAYS, "sessions", "countries", "referrers", "unique_clicks"),
        "link",
        (("sessions", "countries", "referrers", "unique_clicks"),),
    ),
    Cube("link_country", "day", ("link_id", "country_code"), only="link"),
    Cube("link_device", "day", ("link_id", "device_type", "browser", "os"), only="link"),
    Cube("link_referrer", "day", ("link_id", "referrer_host", "channel"), only="link"),
    Cube("place", "day", ("country_code", "region", "city")),
    Cube("device", "day", ("device_type", "browser", "os")),
    Cube("browser", "day", ("browser", "browser_version")),
    Cube("os", "day", ("os", "os_version")),
    Cube("referrer", "day", ("referrer_host", "channel")),
    Cube("source", "day", ("entry_referrer_host", "entry_channel")),
    Cube("page", "day", ("page_path",)),
    Cube("campaign", "day", ("utm_source", "utm_medium", "utm_campaign")),
    Cube("content", "day", ("utm_content", "utm_term"), only="content"),
    Cube("visit_campaign", "day", ("entry_utm_source", "entry_utm_medium", "entry_utm_campaign")),
    Cube("visit_content", "day", ("entry_utm_content", "entry_utm_term"), only="visit_content"),
    Cube("language", "day", ("language",)),
    Cube("network", "day", ("asn",)),
    Cube("bot", "day", ("bot_name", "bot_category"), only="bot"),
    Cube(
        "widget",
        "day",
        ("mapping_id", "post_id", "device_slug", "source"),
        (*_ALWAYS, "viewable", "sessions", "mapping_numbers", "post_numbers"),
        "widget",
        (("source", "sessions"),),  # and ids sent as numbers: before, they were text
    ),
)

ONLY: Mapping[str, str] = {
    "": "1",
    "link": "link_id != ''",
    "widget": _WIDGET,
    "content": "(utm_content != '' OR utm_term != '')",
    "visit_content": "(entry_utm_content != '' OR entry_utm_term != '')",
    "bot": "is_bot",
}
"""What `Cube.only` means, as SQL over events."""

KEYS: tuple[str, ...] = ("workspace_id", "site_id", "event_type", "is_bot")
"""Columns that every rollup row has beside those of its cube."""

VALUES: tuple[str, ...] = ("v1", "v2", "v3", "v4")


def columns_of(cube: Cube) -> dict[str, str]:
    """For each field of the cube, the column of `rollups` that holds it."""
    values = iter(VALUES)
    return {field: "link_id" if field == "link_id" else next(values) for field in cube.fields}
