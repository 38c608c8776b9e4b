-- Which months of which sites retention has deleted events of, written before they go: here, so that
-- it is known where the state database is lost, too.

CREATE TABLE IF NOT EXISTS deleted_events
(
    site_id String,
    month UInt32,
    at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (site_id, month)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
