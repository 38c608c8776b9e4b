"""What is kept of visits when retention deletes their events: the ONE list of fields.

A row of `visits` (see `store/sql/0003_visits.sql`) says of a site, a day of its own zone and a value
of one field how many visits with that value began on that day, and what they came to. A
visit belongs to every value that one of its events has; without a field ("") to one row.
"""

from collections.abc import Mapping
from typing import NamedTuple


class PageOf(NamedTuple):
    """A page of a visit: the `function`, by ORDER, of this column of its events where `condition` holds."""

    function: str
    column: str
    condition: str

    def sql(self, of: str) -> str:
        """An aggregate: `of` is SQL with the column as {}."""
        return f"{self.function}If({of.format(self.column)}, {ORDER}, {self.condition})"


# (occurred_at, seq) as one number.
ORDER = "bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Milli(occurred_at)), 64), toUInt128(seq))"
"""SQL over `events`: page views of a visit in the order in which they were seen."""

PAGE_OF: Mapping[str, PageOf] = {
    "entry_page": PageOf(
        "argMin",
        "if(entry_page = '', page_path, entry_page)",
        "(entry_page != '' OR event_type = 'page_view')",
    ),
    "exit_page": PageOf("argMax", "page_path", "event_type = 'page_view'"),
}
"""Fields of a visit on a site, which all its events have in common."""

FIELDS: tuple[str, ...] = (
    "",
    *PAGE_OF,
    "page_path",
    "referrer_host",
    "channel",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "entry_referrer_host",
    "entry_channel",
    "entry_utm_source",
    "entry_utm_medium",
    "entry_utm_campaign",
    "country_code",
    "language",
    "device_type",
    "browser",
    "os",
)
"""To keep another one: a line here; it is kept of what is deleted from then on."""

_AT = "toUnixTimestamp64Milli(occurred_at)"
_EVENT = "event_type != 'engagement'"
"""What goes on in a page that was left open is no event, and makes no visit longer."""
FACTS: dict[str, str] = {
    "events": f"countIf({_EVENT})",
    "views": "countIf(event_type = 'page_view')",
    "seconds": f"(maxIf({_AT}, {_EVENT}) - minIf({_AT}, {_EVENT})) / 1000",
}
"""SQL over the events of one visit: what its figures are made of, by name."""
