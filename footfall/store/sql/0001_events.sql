-- The raw table: one row an event. Its columns are those of footfall/model/columns.py, in that
-- order. The reasons for the sort key, the codecs and each setting, with the measurements:
-- docs/decisions/0005-events-table.md
--
-- A semicolon at the end of a line ends a statement; every statement can be run again.

CREATE TABLE IF NOT EXISTS events
(
    event_id UUID CODEC(ZSTD(3)),
    event_type LowCardinality(String),
    event_version UInt16,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    occurred_at_original DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    source LowCardinality(String),
    workspace_id LowCardinality(String),
    site_id LowCardinality(String),
    link_id LowCardinality(String),
    short_code LowCardinality(String),
    destination_url LowCardinality(String),
    variant LowCardinality(String),
    via_click_id UUID,
    visitor_id UInt64,
    device_hash UInt64,
    session_id UInt64,
    page_url String,
    page_path LowCardinality(String),
    referrer String,
    referrer_host LowCardinality(String),
    channel LowCardinality(String),
    country_code LowCardinality(String),
    region LowCardinality(String),
    city LowCardinality(String),
    latitude Float32,
    longitude Float32,
    timezone LowCardinality(String),
    asn UInt32,
    device_type LowCardinality(String),
    browser LowCardinality(String),
    browser_version LowCardinality(String),
    os LowCardinality(String),
    os_version LowCardinality(String),
    user_agent LowCardinality(String),
    language LowCardinality(String),
    is_bot Bool,
    bot_name LowCardinality(String),
    bot_category LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term LowCardinality(String),
    utm_content LowCardinality(String),
    sample_weight Float32,
    properties String,
    shard UInt64,
    seq UInt64 CODEC(Delta, ZSTD(1)),

    -- Reading back a batch, and slices of the log: WHERE shard = ... AND seq BETWEEN ... AND ...
    INDEX position (shard, seq) TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
PRIMARY KEY (workspace_id, site_id, toStartOfHour(occurred_at), event_type, link_id)
ORDER BY (workspace_id, site_id, toStartOfHour(occurred_at), event_type, link_id, occurred_at)
SETTINGS
    default_compression_codec = 'ZSTD(1)',
    -- Durable when an insert returns, and still durable when a merge has replaced its parts.
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    -- Seven files an insert instead of two hundred.
    min_bytes_for_wide_part = 67108864;
