-- Views for people who write SQL: over the raw events, for as long as these are kept. What rollups say of
-- older times is not in them: which builds count is written in the state database.
--
-- Days and hours are those of UTC. An event counts as often as its sample_weight says.

CREATE OR REPLACE VIEW click_events AS
SELECT
    event_id, link_id, short_code, workspace_id, site_id, occurred_at AS timestamp, destination_url, visitor_id,
    session_id, user_agent, referrer AS referer, referrer_host AS referer_host, channel, country_code, region, city,
    latitude, longitude, timezone, asn, device_type, browser, browser_version, os, os_version, language, is_bot,
    bot_name, bot_category, utm_source, utm_medium, utm_campaign, utm_term, utm_content,
    if(sent_by = '', source, sent_by) AS sender, sample_weight
FROM events
WHERE event_type = 'click';

CREATE OR REPLACE VIEW clicks_hourly AS
SELECT
    workspace_id, link_id, toStartOfHour(occurred_at) AS hour,
    sum(sample_weight) AS total_clicks,
    uniqExactIf((visitor_id, toDate(occurred_at)), visitor_id != 0) AS unique_clicks,
    sumIf(sample_weight, NOT is_bot) AS human_clicks,
    sumIf(sample_weight, device_type = 'mobile') AS mobile_clicks,
    sumIf(sample_weight, device_type = 'desktop') AS desktop_clicks,
    sumIf(sample_weight, device_type = 'tablet') AS tablet_clicks
FROM events
WHERE event_type = 'click'
GROUP BY workspace_id, link_id, hour;

CREATE OR REPLACE VIEW clicks_daily AS
SELECT
    workspace_id, link_id, toDate(occurred_at) AS day,
    sum(sample_weight) AS total_clicks,
    uniqExactIf(visitor_id, visitor_id != 0) AS unique_clicks,
    sumIf(sample_weight, NOT is_bot) AS human_clicks,
    sumIf(sample_weight, device_type = 'mobile') AS mobile_clicks,
    sumIf(sample_weight, device_type = 'desktop') AS desktop_clicks,
    sumIf(sample_weight, device_type = 'tablet') AS tablet_clicks,
    uniqExactIf(country_code, country_code != '') AS unique_countries,
    uniqExactIf(referrer_host, referrer_host != '') AS unique_referrers
FROM events
WHERE event_type = 'click'
GROUP BY workspace_id, link_id, day;

CREATE OR REPLACE VIEW daily_widget_stats AS
SELECT
    workspace_id, site_id, toDate(occurred_at) AS day, if(sent_by = '', source, sent_by) AS sender,
    JSONExtract(properties, 'mapping_id', 'String') AS mapping_id,
    JSONExtract(properties, 'post_id', 'String') AS post_id,
    JSONExtract(properties, 'device_slug', 'String') AS device_slug,
    sumIf(sample_weight, event_type = 'widget_impression') AS impressions,
    sumIf(sample_weight, event_type = 'widget_click') AS clicks,
    uniqExactIf(visitor_id, visitor_id != 0) AS unique_visitors,
    uniqExactIf(session_id, session_id != 0) AS unique_sessions
FROM events
WHERE event_type IN ('widget_impression', 'widget_click') AND NOT is_bot
GROUP BY workspace_id, site_id, day, sender, mapping_id, post_id, device_slug;

CREATE OR REPLACE VIEW daily_post_stats AS
SELECT
    workspace_id, site_id, toDate(occurred_at) AS day, if(sent_by = '', source, sent_by) AS sender,
    JSONExtract(properties, 'post_id', 'String') AS post_id,
    sumIf(sample_weight, event_type = 'widget_impression') AS impressions,
    sumIf(sample_weight, event_type = 'widget_click') AS clicks,
    uniqExactIf(visitor_id, visitor_id != 0) AS unique_visitors,
    uniqExactIf(session_id, session_id != 0) AS unique_sessions
FROM events
WHERE event_type IN ('widget_impression', 'widget_click') AND NOT is_bot
GROUP BY workspace_id, site_id, day, sender, post_id
HAVING post_id != '';
