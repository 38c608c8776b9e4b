"""What metrics are made of: sums and sets of events, the same in events and in rollups."""

from collections.abc import Callable, Mapping
from typing import Protocol

from footfall.model.cubes import CONVERTED, CURRENCY, MEASURES, Measure, is_number

# 2^17 registers: up to 8192 different values are kept one by one, as hashes of 32 bits, of which two
# are the same in one of n^2 / 2^33 sets of n: one of 34,000 at 500, one of 128 at 8192. Above,
# 200 sets of 5,000 to 100,000 values had a standard error of 0.20 to 0.23 %, sets of a million one
# of 0.31 %, none was off by 1 %. (With 2^14 it is 0.8 %, and 2^15 overestimates 100,000 by 1 %.)
UNIQUE_ERROR = 0.003
# What is called exact: see above.
UNIQUE_EXACT = 500

ENGAGED_MS = "toUInt64(greatest(JSONExtractInt(properties, 'engagement_time'), 0))"
ENGAGED = "event_type = 'engagement' AND JSONExtractInt(properties, 'engagement_time') > 0"
SCROLL_DEPTH = "least(greatest(JSONExtractFloat(properties, 'scroll_depth'), 0), 100)"

NEW = "new_visitors"
"""The measure, and the metric, of visitors seen first: which these are depends on the question."""

OF_EVENTS: Mapping[str, Measure] = {
    **MEASURES,
    "sales": Measure("sales", "Map(String, Int64)", "sumMap", f"map({CURRENCY}, toInt64(1))", CONVERTED),
    "engaged": Measure("engaged", "UInt64", "sum", ENGAGED_MS, ENGAGED),
    "engaged_visits": Measure(
        "engaged_visits", "UInt64", "uniqCombined(17)", "session_id", f"{ENGAGED} AND session_id != 0"
    ),
    "depths": Measure(
        "depths",
        "Map(UInt64, Float64)",
        "maxMap",
        f"map(session_id, {SCROLL_DEPTH})",
        "event_type = 'engagement' AND session_id != 0 AND JSONHas(properties, 'scroll_depth')",
    ),
    NEW: Measure(NEW, "UInt64", "uniqCombined(17)", "visitor_id", "1"),
    "last_at": Measure("last_at", "Nullable(Int64)", "maxOrNull", "toUnixTimestamp64Milli(occurred_at)"),
    **{
        name: Measure(name, "UInt64", "countIf", "", is_number(field))
        for field, name in (("device_id", "device_numbers"), ("referrer_mapping_id", "referrer_numbers"))
    },
}
"""The measures that events have: those of rollups, and some that rollups do not keep."""


NUMBERS: Mapping[str, str] = {
    "mapping_id": "mapping_numbers",
    "post_id": "post_numbers",
    "device_id": "device_numbers",
    "referrer_mapping_id": "referrer_numbers",
}
"""Of fields that are kept as text: what counts the events in which they were sent as numbers."""


class Measured(Protocol):
    """The SQL of a measure in the source at hand, of the rows where `only` holds."""

    def __call__(self, name: str, only: str = "") -> str: ...  # noqa: D102 - said above


Expression = Callable[[Measured], str]
"""A metric's SQL, made of measures."""
