-- The facts of the visit on every row: see footfall/model/entry.py. Rows from before say of their visit what
-- they say of themselves.

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS entry_page LowCardinality(String)
        DEFAULT if(event_type = 'page_view', page_path, '') AFTER utm_content,
    ADD COLUMN IF NOT EXISTS entry_referrer_host LowCardinality(String) DEFAULT referrer_host AFTER entry_page,
    ADD COLUMN IF NOT EXISTS entry_channel LowCardinality(String) DEFAULT channel AFTER entry_referrer_host,
    ADD COLUMN IF NOT EXISTS entry_utm_source LowCardinality(String) DEFAULT utm_source AFTER entry_channel,
    ADD COLUMN IF NOT EXISTS entry_utm_medium LowCardinality(String) DEFAULT utm_medium AFTER entry_utm_source,
    ADD COLUMN IF NOT EXISTS entry_utm_campaign LowCardinality(String) DEFAULT utm_campaign AFTER entry_utm_medium,
    ADD COLUMN IF NOT EXISTS entry_utm_term LowCardinality(String) DEFAULT utm_term AFTER entry_utm_campaign,
    ADD COLUMN IF NOT EXISTS entry_utm_content LowCardinality(String) DEFAULT utm_content AFTER entry_utm_term,
    ADD COLUMN IF NOT EXISTS entry_country_code LowCardinality(String) DEFAULT country_code AFTER entry_utm_content,
    ADD COLUMN IF NOT EXISTS entry_device_type LowCardinality(String) DEFAULT device_type AFTER entry_country_code;
