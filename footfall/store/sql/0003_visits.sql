-- What is kept of visits when retention deletes their events: one row a site, field, value and day
-- of the site's own zone on which visits began. The fields are those of footfall/model/session_fields.py.
--
-- A build is what one deletion left. Only builds that the state database knows of count.

CREATE TABLE IF NOT EXISTS visits
(
    build UInt64,
    workspace_id LowCardinality(String),
    site_id LowCardinality(String),
    field LowCardinality(String),
    value LowCardinality(String),
    at DateTime('UTC') CODEC(Delta, ZSTD(1)),
    is_bot Bool,
    visits UInt64,
    bounces UInt64,
    views UInt64,
    seconds Float64,
    sampled UInt64,
    unidentified UInt64,
    known_for_a_day UInt64,
    -- Of fields that a visit has one value of; empty for the others: they would take more disk than the events did.
    visitors AggregateFunction(uniqCombined(17), UInt64)
)
ENGINE = MergeTree
PARTITION BY build
ORDER BY (workspace_id, field, site_id, at)
SETTINGS
    index_granularity = 1024,
    default_compression_codec = 'ZSTD(3)',
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_bytes_for_wide_part = 134217728;
