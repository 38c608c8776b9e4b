-- The log in PostgreSQL.
--
-- A shard is written by one session at a time, which holds the advisory lock of the shard's id. `next` is the
-- offset of the next record: a block goes in only where it stands there, in the same statement that moves it.
-- So a shard has no two writers, and its offsets, in which order they are read, no gap that fills up later.

CREATE SCHEMA IF NOT EXISTS footfall;

CREATE TABLE IF NOT EXISTS footfall.log_shards
(
    shard bigint PRIMARY KEY,               -- the id's 64 bits, as a signed number
    next bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,        -- of the blocks that are there
    origin text NOT NULL                    -- the database system, and its timeline, that it was made on
)
WITH (fillfactor = 50);                     -- a row is updated by every commit: in place

CREATE TABLE IF NOT EXISTS footfall.log
(
    shard bigint NOT NULL,
    last bigint NOT NULL,                   -- offset of the last record of the block
    first bigint NOT NULL,
    appended_at double precision NOT NULL,  -- Unix seconds
    day date NOT NULL,                      -- of appended_at, in UTC
    events bigint NOT NULL,
    block bytea NOT NULL,                   -- see footfall/eventlog/block.py
    PRIMARY KEY (shard, last, day)
)
PARTITION BY RANGE (day);

-- A block is a transaction of requests, each of which is compact already.
ALTER TABLE footfall.log ALTER COLUMN block SET STORAGE EXTERNAL;

CREATE TABLE IF NOT EXISTS footfall.log_consumers
(
    consumer text NOT NULL,
    shard bigint NOT NULL,
    upto bigint NOT NULL,
    PRIMARY KEY (consumer, shard)
);

-- By shard the offset up to which every consumer needs nothing any more. Without a consumer there is no row: a
-- log whose consumer has not started yet looks like one that nobody reads.
CREATE OR REPLACE VIEW footfall.log_released AS
SELECT shard, min(coalesce(upto, -1)) AS upto
FROM footfall.log_shards
CROSS JOIN (SELECT DISTINCT consumer FROM footfall.log_consumers) AS known
LEFT JOIN footfall.log_consumers USING (consumer, shard)
GROUP BY shard;
