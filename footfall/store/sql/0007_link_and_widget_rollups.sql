-- What the rollups of links and widgets keep beside: a fourth value, first clicks of a visitor on a link in a
-- day, and whether ids were sent as numbers. Builds of before lack them, and say so by their cubes' labels.

ALTER TABLE rollups ADD COLUMN IF NOT EXISTS v4 LowCardinality(String) AFTER v3;
ALTER TABLE rollups ADD COLUMN IF NOT EXISTS unique_clicks AggregateFunction(uniqCombined(17), UInt64);
ALTER TABLE rollups ADD COLUMN IF NOT EXISTS mapping_numbers UInt64;
ALTER TABLE rollups ADD COLUMN IF NOT EXISTS post_numbers UInt64;
