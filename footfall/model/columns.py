"""The one list of columns of the raw table `events`.

Schema checks, inserts, filters and the reference documentation derive from it. To add a
column: one line here, one migration in `store/sql/`, and the step (or door field) that
fills it.
"""

from typing import Literal, NamedTuple

Role = Literal["id", "time", "dimension", "measure", "private", "position"]


class Column(NamedTuple):
    """One column of `events`.

    `type` is the ClickHouse type without codec, but for JSON, which is kept as text in a String,
    "" for {}. `role` says what it may be used for: `dimension` may be grouped by and filtered on;
    `id` filtered on; `private` is never shown to a reader; `position` is the event's place in the log.
    """

    name: str
    type: str
    role: Role


COLUMNS: tuple[Column, ...] = (
    Column("event_id", "UUID", "id"),
    Column("event_type", "LowCardinality(String)", "dimension"),
    Column("event_version", "UInt16", "dimension"),
    Column("occurred_at", "DateTime64(3, 'UTC')", "time"),
    # What the client claimed, where it was clamped to received_at; else 1970-01-01.
    Column("occurred_at_original", "DateTime64(3, 'UTC')", "time"),
    Column("received_at", "DateTime64(3, 'UTC')", "time"),
    Column("source", "LowCardinality(String)", "dimension"),
    Column("workspace_id", "LowCardinality(String)", "private"),
    Column("site_id", "LowCardinality(String)", "dimension"),
    Column("link_id", "LowCardinality(String)", "dimension"),
    Column("short_code", "LowCardinality(String)", "dimension"),
    Column("destination_url", "LowCardinality(String)", "dimension"),
    Column("variant", "LowCardinality(String)", "dimension"),
    # The click that led here; the nil UUID when there was none.
    Column("via_click_id", "UUID", "id"),
    # 0 = unknown, and then left out of the count of visitors.
    Column("visitor_id", "UInt64", "id"),
    Column("device_hash", "UInt64", "private"),
    Column("session_id", "UInt64", "id"),
    Column("page_url", "String", "dimension"),
    Column("page_path", "LowCardinality(String)", "dimension"),
    Column("referrer", "String", "dimension"),
    Column("referrer_host", "LowCardinality(String)", "dimension"),
    Column("channel", "LowCardinality(String)", "dimension"),
    Column("country_code", "LowCardinality(String)", "dimension"),
    Column("region", "LowCardinality(String)", "dimension"),
    Column("city", "LowCardinality(String)", "dimension"),
    # NaN when unknown (a Nullable column would cost a second file).
    Column("latitude", "Float32", "measure"),
    Column("longitude", "Float32", "measure"),
    Column("timezone", "LowCardinality(String)", "dimension"),
    Column("asn", "UInt32", "dimension"),
    Column("device_type", "LowCardinality(String)", "dimension"),
    Column("browser", "LowCardinality(String)", "dimension"),
    Column("browser_version", "LowCardinality(String)", "dimension"),
    Column("os", "LowCardinality(String)", "dimension"),
    Column("os_version", "LowCardinality(String)", "dimension"),
    Column("user_agent", "LowCardinality(String)", "dimension"),
    Column("language", "LowCardinality(String)", "dimension"),
    Column("is_bot", "Bool", "dimension"),
    Column("bot_name", "LowCardinality(String)", "dimension"),
    Column("bot_category", "LowCardinality(String)", "dimension"),
    Column("utm_source", "LowCardinality(String)", "dimension"),
    Column("utm_medium", "LowCardinality(String)", "dimension"),
    Column("utm_campaign", "LowCardinality(String)", "dimension"),
    Column("utm_term", "LowCardinality(String)", "dimension"),
    Column("utm_content", "LowCardinality(String)", "dimension"),
    # How many events this one stands for, where a client sampled; 1 otherwise.
    Column("sample_weight", "Float32", "measure"),
    Column("properties", "JSON", "measure"),
    Column("shard", "UInt64", "position"),
    Column("seq", "UInt64", "position"),
)

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
NAMES: tuple[str, ...] = tuple(BY_NAME)
