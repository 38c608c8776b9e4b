"""The one list of columns of the raw table `events`.

Schema checks, inserts, filters and the reference documentation derive from it. To add a
column: one line here, one migration in `store/sql/`, and the step (or door field) that
fills it.
"""

import math
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from uuid import UUID

Role = Literal["id", "time", "dimension", "measure", "private", "position"]


class ColumnType(NamedTuple):
    """What a ClickHouse type means in every answer: as JSON, in an export, in a filter.

    `unknown`: the value that stands for unknown, as the store returns it, and `is_unknown` the same as SQL
    over the column ({}); answers show null in its place. Without it every value is known. `compared_as`:
    what a filter compares it with.
    """

    unknown: object = None
    is_unknown: str = ""
    compared_as: Literal["text", "number", "bool"] = "text"


TYPES: dict[str, ColumnType] = {
    "UUID": ColumnType(UUID(int=0), "{} = toUUID('00000000-0000-0000-0000-000000000000')"),
    "UInt64": ColumnType(0, "{} = 0"),  # hashes, which are shown as text
    "DateTime64(3, 'UTC')": ColumnType(datetime(1970, 1, 1, tzinfo=UTC), "toUnixTimestamp64Milli({}) = 0"),
    "Float32": ColumnType(math.nan, "isNaN({})"),
    "UInt16": ColumnType(compared_as="number"),
    "UInt32": ColumnType(compared_as="number"),
    "Bool": ColumnType(compared_as="bool"),
    "String": ColumnType(),
    "LowCardinality(String)": ColumnType(),
    "JSON": ColumnType(),
}
"""Every type that a column may have. Text that is unknown is "", and shown as that."""


class Column(NamedTuple):
    """One column of `events`.

    `type` is the ClickHouse type without codec, one of TYPES; JSON is kept as text in a String,
    "" for {}. `role` says what it may be used for: `dimension` may be grouped by and filtered on;
    `id` filtered on; `private` is never shown to a reader; `position` is the event's place in the log.
    `meaning` is what the documentation says, with the unit, and with the value that stands for unknown.
    """

    name: str
    type: str
    role: Role
    meaning: str

    @property
    def unknown(self) -> object:
        """The value that stands for unknown; None where every value is known."""
        return None if self.name in _ALWAYS_KNOWN else TYPES[self.type].unknown

    @property
    def is_unknown(self) -> str:
        """SQL for whether it is unknown; "" where it never is."""
        return "" if self.name in _ALWAYS_KNOWN else TYPES[self.type].is_unknown.format(self.name)


_ALWAYS_KNOWN = ("event_id", "occurred_at", "received_at", "sample_weight")


COLUMNS: tuple[Column, ...] = (
    Column("event_id", "UUID", "id", "Id of the event: the client's, else made at the door."),
    Column("event_type", "LowCardinality(String)", "dimension", "`click`, `page_view`, or any other name."),
    Column(
        "event_version",
        "UInt16",
        "dimension",
        "Version of the event type's properties; 1 unless the client says otherwise.",
    ),
    Column("occurred_at", "DateTime64(3, 'UTC')", "time", "When it happened."),
    Column(
        "occurred_at_original",
        "DateTime64(3, 'UTC')",
        "time",
        "What the client claimed, where `occurred_at` was set to `received_at`; else 1970-01-01.",
    ),
    Column("received_at", "DateTime64(3, 'UTC')", "time", "When the door received it."),
    Column(
        "source",
        "LowCardinality(String)",
        "dimension",
        "How it came: `api`, `beacon`, `redirect`, `pixel`, or `import:` and the format. Reports show"
        " `sent_by` in its place, where a sender said it.",
    ),
    Column(
        "sent_by",
        "LowCardinality(String)",
        "dimension",
        "The word of a sender with a key for itself (`wordpress`, `mobile_app`), which it sends as `source`.",
    ),
    Column("workspace_id", "LowCardinality(String)", "private", "The workspace it belongs to."),
    Column("site_id", "LowCardinality(String)", "dimension", "The site; empty for links of no site."),
    Column("link_id", "LowCardinality(String)", "dimension", "The short link."),
    Column(
        "short_code", "LowCardinality(String)", "dimension", "Code of the short link, as it was asked for."
    ),
    Column("destination_url", "LowCardinality(String)", "dimension", "Where the link led."),
    Column("variant", "LowCardinality(String)", "dimension", "The variant of a test that the visitor saw."),
    Column("via_click_id", "UUID", "id", "The click that led here; the nil UUID when there was none."),
    Column(
        "visitor_id",
        "UInt64",
        "id",
        "Hash of the client's own visitor id, else `device_hash`; 0 when unknown, and then not counted.",
    ),
    Column(
        "device_hash", "UInt64", "private", "Keyed hash of address and user agent, under the salt of the day."
    ),
    Column("session_id", "UInt64", "id", "The visit; 0 when unknown."),
    Column("page_url", "String", "dimension", "The page, as it was sent."),
    Column("page_path", "LowCardinality(String)", "dimension", "Path of `page_url`."),
    Column("referrer", "String", "dimension", "The page that led here."),
    Column("referrer_host", "LowCardinality(String)", "dimension", "Host of `referrer`, without `www.`."),
    Column(
        "channel",
        "LowCardinality(String)",
        "dimension",
        "Kind of source: `search`, `social`, `ai`, `email`, `paid_search`, `paid_social`, `display`, "
        "`affiliate`, `paid`, `internal`, `direct` or `other`.",
    ),
    Column(
        "country_code", "LowCardinality(String)", "dimension", "Country of the address, ISO 3166-1 alpha-2."
    ),
    Column(
        "region",
        "LowCardinality(String)",
        "dimension",
        "Region of the address, where `geo_database` knows it.",
    ),
    Column(
        "city", "LowCardinality(String)", "dimension", "City of the address, where `geo_database` knows it."
    ),
    # NaN when unknown (a Nullable column would cost a second file).
    Column(
        "latitude", "Float32", "measure", "Degrees north, where `geo_database` knows them; NaN when unknown."
    ),
    Column(
        "longitude", "Float32", "measure", "Degrees east, where `geo_database` knows them; NaN when unknown."
    ),
    Column("timezone", "LowCardinality(String)", "dimension", "IANA time zone of the visitor."),
    Column("asn", "UInt32", "dimension", "Number of the network (autonomous system); 0 when unknown."),
    Column(
        "device_type",
        "LowCardinality(String)",
        "dimension",
        "`desktop`, `mobile`, `tablet`, `tv` or `other`.",
    ),
    Column("browser", "LowCardinality(String)", "dimension", "Name of the browser."),
    Column("browser_version", "LowCardinality(String)", "dimension", "Major version of the browser."),
    Column("os", "LowCardinality(String)", "dimension", "Name of the operating system."),
    Column("os_version", "LowCardinality(String)", "dimension", "Version of the operating system."),
    Column("user_agent", "LowCardinality(String)", "dimension", "The `User-Agent` header."),
    Column("language", "LowCardinality(String)", "dimension", "First language that the client prefers."),
    Column("is_bot", "Bool", "dimension", "Whether the user agent is a bot's."),
    Column("bot_name", "LowCardinality(String)", "dimension", "Name of the bot, where it is known."),
    Column(
        "bot_category",
        "LowCardinality(String)",
        "dimension",
        "Kind of bot; `other` where only the general pattern knew it.",
    ),
    Column(
        "utm_source",
        "LowCardinality(String)",
        "dimension",
        "`utm_source` of the page, or of the link's target.",
    ),
    Column(
        "utm_medium",
        "LowCardinality(String)",
        "dimension",
        "`utm_medium` of the page, or of the link's target.",
    ),
    Column(
        "utm_campaign",
        "LowCardinality(String)",
        "dimension",
        "`utm_campaign` of the page, or of the link's target.",
    ),
    Column(
        "utm_term", "LowCardinality(String)", "dimension", "`utm_term` of the page, or of the link's target."
    ),
    Column(
        "utm_content",
        "LowCardinality(String)",
        "dimension",
        "`utm_content` of the page, or of the link's target.",
    ),
    Column(
        "entry_page",
        "LowCardinality(String)",
        "dimension",
        "Path of the visit's first page view on this site; empty before it.",
    ),
    Column(
        "entry_referrer_host",
        "LowCardinality(String)",
        "dimension",
        "`referrer_host` of the visit's first event on this site, or of the click that led there.",
    ),
    Column(
        "entry_channel",
        "LowCardinality(String)",
        "dimension",
        "`channel` of the same event; a click's is its own.",
    ),
    Column("entry_utm_source", "LowCardinality(String)", "dimension", "`utm_source` of the same event."),
    Column("entry_utm_medium", "LowCardinality(String)", "dimension", "`utm_medium` of the same event."),
    Column("entry_utm_campaign", "LowCardinality(String)", "dimension", "`utm_campaign` of the same event."),
    Column("entry_utm_term", "LowCardinality(String)", "dimension", "`utm_term` of the same event."),
    Column("entry_utm_content", "LowCardinality(String)", "dimension", "`utm_content` of the same event."),
    Column("entry_country_code", "LowCardinality(String)", "dimension", "`country_code` of the same event."),
    Column("entry_device_type", "LowCardinality(String)", "dimension", "`device_type` of the same event."),
    Column(
        "sample_weight",
        "Float32",
        "measure",
        "How many events this one stands for, where a client sampled; else 1.",
    ),
    Column("properties", "JSON", "measure", "All else that the client says about it: a JSON object."),
    Column("shard", "UInt64", "position", "Shard of the log that holds its record."),
    Column("seq", "UInt64", "position", "Its position in the shard."),
)

SHOWN_AS: dict[str, str] = {
    "source": "if(sent_by = '', source, sent_by)",
}
"""SQL of what is shown and asked for in place of a column: the sender's own word, where it said one."""

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
NAMES: tuple[str, ...] = tuple(BY_NAME)
