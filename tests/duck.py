"""DuckDB over the stored events: another engine, and SQL written from the definitions of metrics.md."""

import duckdb
import pyarrow as pa

COLUMNS = (
    "event_type, toUnixTimestamp64Milli(occurred_at) AS ms, site_id, link_id, short_code, visitor_id,"
    " session_id, page_path, referrer_host, channel, country_code, city, timezone, device_type, browser, os,"
    " language, is_bot, utm_source, shard, seq"
)


OF_VISITS = ("referrer_host", "channel", "utm_source")
"""What is that of the visit's first event; here nobody comes to a site by a click."""


def open_duck(rows):
    """A DuckDB with the table `events`, of rows of COLUMNS."""
    names = [part.split()[-1] for part in COLUMNS.split(", ")]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    for name in ("visitor_id", "session_id", "shard", "seq"):
        columns[name] = pa.array(columns[name], pa.uint64())
    duck = duckdb.connect()
    duck.register("given", pa.table(columns))
    duck.execute("SET TimeZone = 'UTC'")
    first = (
        "CASE WHEN event_type = 'click' OR session_id = 0 THEN {0} ELSE first_value({0}) OVER"
        " (PARTITION BY session_id, site_id, event_type = 'click' ORDER BY shard, seq) END AS visit_{0}"
    )
    of_visits = ", ".join(first.format(name) for name in OF_VISITS)
    duck.execute(f"CREATE TABLE events AS SELECT *, epoch_ms(ms) AS moment, {of_visits} FROM given")
    return duck


METRICS = {
    "events": "count(*)",
    "clicks": "count(*) FILTER (event_type = 'click')",
    "pageviews": "count(*) FILTER (event_type = 'page_view')",
    "visitors": "count(DISTINCT nullif(visitor_id, 0))",
    "sessions": "count(DISTINCT nullif(session_id, 0))",
    "unique_countries": "count(DISTINCT nullif(country_code, ''))",
    "unique_referrers": "count(DISTINCT nullif(referrer_host, ''))",
    "links": "count(DISTINCT link_id) FILTER (event_type = 'click' AND link_id <> '')",
    "last_at": "max(ms)",
}


def figures(duck, metrics, by="", where="true", *, bots=False):
    """Rows of the groups `by` (SQL expressions) and these metrics, of events for which `where` holds."""
    selected = f"SELECT * FROM events WHERE {'true' if bots else 'NOT is_bot'} AND ({where})"
    outputs = ", ".join([*([by] if by else []), *(METRICS[name] for name in metrics)])
    group = f" GROUP BY {by}" if by else ""
    return duck.sql(f"SELECT {outputs} FROM ({selected}){group}").fetchall()


def visits(duck, by="true"):
    """Groups with bounce rate, mean seconds and mean views of the visits that have an event there."""
    return duck.sql(
        f"""
        WITH humans AS (SELECT * FROM events WHERE NOT is_bot),
        facts AS (
            SELECT session_id, count(*) AS n, count(*) FILTER (event_type = 'page_view') AS views,
                (max(ms) - min(ms)) / 1000 AS seconds
            FROM humans WHERE session_id <> 0 GROUP BY session_id
        ),
        members AS (SELECT DISTINCT {by} AS g, session_id FROM humans WHERE session_id <> 0)
        SELECT g, avg((n = 1)::int), avg(seconds), avg(views)
        FROM members JOIN facts USING (session_id) GROUP BY g
        """
    ).fetchall()


def entries(duck):
    """How many events the visits have that begin with each page; "" for events without one."""
    return duck.sql(
        """
        WITH humans AS (SELECT * FROM events WHERE NOT is_bot),
        firsts AS (
            SELECT session_id, site_id, first(page_path ORDER BY shard, seq) AS entry FROM humans
            WHERE event_type = 'page_view' AND session_id <> 0 GROUP BY session_id, site_id
        )
        SELECT coalesce(entry, ''), count(*) FROM humans LEFT JOIN firsts USING (session_id, site_id)
        GROUP BY ALL
        """
    ).fetchall()


def exits(duck, where="true"):
    """Pages with the visits that ended on each / its views."""
    return duck.sql(
        f"""
        WITH humans AS (SELECT * FROM events WHERE NOT is_bot AND ({where})),
        ended AS (
            SELECT page, count(*) AS visits FROM (
                SELECT last(page_path ORDER BY ms, seq) AS page FROM humans
                WHERE event_type = 'page_view' AND session_id <> 0 GROUP BY session_id, site_id
            ) GROUP BY page
        ),
        viewed AS (
            SELECT page_path AS page, count(*) AS views FROM humans WHERE event_type = 'page_view' GROUP BY 1
        )
        SELECT page, coalesce(visits, 0) / views FROM viewed LEFT JOIN ended USING (page)
        """
    ).fetchall()
