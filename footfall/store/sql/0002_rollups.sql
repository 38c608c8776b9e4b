-- Rollups: one row a site, event type, bucket of time and values of a cube's fields. The cubes and
-- measures are those of footfall/model/cubes.py; docs/decisions/0008-rollups.md has the reasons
-- and the measurements.
--
-- A build is what one slice of the log, or one compaction, made. Only builds that the state
-- database has published count. A partition is one build's month, so that leftovers and builds
-- that were compacted are dropped whole.

CREATE TABLE IF NOT EXISTS rollups
(
    build UInt64,
    workspace_id LowCardinality(String),
    site_id LowCardinality(String),
    cube LowCardinality(String),
    link_id LowCardinality(String),
    at DateTime('UTC') CODEC(Delta, ZSTD(1)),
    event_type LowCardinality(String),
    is_bot Bool,
    v1 LowCardinality(String),
    v2 LowCardinality(String),
    v3 LowCardinality(String),
    events Float64,
    sampled UInt64,
    unidentified UInt64,
    known_for_a_day UInt64,
    visitors AggregateFunction(uniqCombined(17), UInt64),
    sessions AggregateFunction(uniqCombined(17), UInt64),
    links AggregateFunction(uniqCombined(17), String),
    countries AggregateFunction(uniqCombined(17), String),
    referrers AggregateFunction(uniqCombined(17), String),
    viewable Float64,
    revenue AggregateFunction(sumMap, Map(String, Int64))
)
ENGINE = MergeTree
PARTITION BY (toYYYYMM(at), build)
-- Lists of clicks, and of links, read one event type.
ORDER BY (cube, workspace_id, site_id, event_type, link_id, at)
SETTINGS
    -- A row may hold a set of thousands of visitors: no question reads 8192 where it wants a hundred.
    index_granularity = 1024,
    default_compression_codec = 'ZSTD(3)',  -- 4 % smaller than 1, for nothing that could be measured
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    -- One file a part, as for events.
    min_bytes_for_wide_part = 134217728,
    -- Compaction merges, and whole builds; the engine only puts the tiny parts of a build together.
    max_bytes_to_merge_at_max_space_in_pool = 2097152;
