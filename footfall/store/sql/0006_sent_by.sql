-- The word of a sender with a key for itself, beside `source`, which only Footfall says.

ALTER TABLE events ADD COLUMN IF NOT EXISTS sent_by LowCardinality(String) AFTER source;
