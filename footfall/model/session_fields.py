"""What is kept of visits when retention deletes their events: the ONE list of fields.

A row of `visits` (see `store/sql/0003_visits.sql`) says of a site, a day of its own zone and a value
of one field how many visits with that value began on that day, and what they came to. A
visit belongs to every value that one of its events has; without a field ("") to one row.
"""

from collections.abc import Mapping

PAGE_OF: Mapping[str, str] = {"entry_page": "argMin", "exit_page": "argMax"}
"""Fields of a visit, and the function that finds each among its page views, by `ORDER`."""

# (occurred_at, seq) as one number.
ORDER = "bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Milli(occurred_at)), 64), toUInt128(seq))"
"""SQL over `events`: page views of a visit in the order in which they were seen."""

FIELDS: tuple[str, ...] = (
    "",
    *PAGE_OF,
    "page_path",
    "referrer_host",
    "channel",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "country_code",
    "language",
    "device_type",
    "browser",
    "os",
)
"""To keep another one: a line here; it is kept of what is deleted from then on."""

FACTS = (
    "count() AS events, countIf(event_type = 'page_view') AS views,"
    " (max(toUnixTimestamp64Milli(occurred_at)) - min(toUnixTimestamp64Milli(occurred_at))) / 1000 AS seconds"
)
"""SQL over the events of one visit: what its figures are made of."""
