"""What retention keeps of visits before it deletes their events.

Of bounces, lengths of visits and their first and last pages there are no rollups: what begins in one
slice ends in the next. When a month's events are deleted it is over, so its visits can be counted.
A visit over the end of a month (UTC), or over two sites, is one for each.
"""
# ruff: noqa: S608 -- the statements are put together from the lists of model.visits; values are parameters

from collections.abc import Iterator, Mapping

from footfall.model.calendar import month_end, month_start
from footfall.model.session_fields import FACTS, FIELDS, PAGE_OF
from footfall.model.times import HOUR_MS
from footfall.rollups import statements
from footfall.rollups.rows import Span, going_events
from footfall.state.rollups.manifest import Going, Zone
from footfall.store import server_sql
from footfall.store.statement import Statement

BYTES = 2048
"""Of memory that an event may take while its visit is counted, with what is copied of it."""

_EVENTS, _VISITS = "visit_events", "visit_facts"  # stages
_KEYS = "workspace_id, site_id, is_bot, session_id"
_COLUMNS = ", ".join(
    (
        f"{_KEYS}, cityHash64({_KEYS}) AS visit, event_type, occurred_at, seq",
        "visitor_id, device_hash, sample_weight, entry_page",
        *(field for field in FIELDS if field and field not in PAGE_OF),
    )
)

_PAGES = ", ".join(f"{page.sql('{}')} AS {name}" for name, page in PAGE_OF.items())
_OF_EVENTS = ", ".join(f"{sql} AS {name}" for name, sql in FACTS.items())
_FACTS = f"""
SELECT *, {{day}} AS at FROM (
    SELECT *, began AS occurred_at FROM (
        SELECT {_KEYS}, visit, {_OF_EVENTS}, countIf(sample_weight != 1) AS sampled,
            countIf(visitor_id = 0) AS unidentified,
            countIf(visitor_id != 0 AND visitor_id = device_hash) AS known_for_a_day,
            uniqCombinedStateIf(17)(visitor_id, visitor_id != 0) AS visitors,
            min(occurred_at) AS began, {_PAGES}
        FROM {_EVENTS} GROUP BY {_KEYS}, visit
    )
)
"""

_ROWS = """
INSERT INTO visits (build, workspace_id, site_id, field, value, at, is_bot, visits, bounces, views, seconds,
    sampled, unidentified, known_for_a_day, visitors)
SELECT {{build:UInt64}}, workspace_id, site_id, {{field:String}}, {value} AS of_field, at, is_bot, count(),
    countIf(events = 1), sum(views), sum(seconds), sum(sampled), sum(unidentified), sum(known_for_a_day),
    uniqCombinedMergeStateIf(17)(v.visitors, {with_visitors})
FROM {rows} GROUP BY workspace_id, site_id, is_bot, of_field, at
"""


def mark(going: Going) -> Statement:
    """Write down in the store, too, that they go: before they do."""
    return Statement(
        "INSERT INTO deleted_events (site_id, month) SELECT arrayJoin({sites:Array(String)}), {month:UInt32}",
        {"sites": list(going.sites), "month": going.month},
    )


def delete(going: Going) -> Statement:
    """Delete them. Not DROP PARTITION: what comes in meanwhile stays, until a slice has it."""
    rows = going_events(going)
    return server_sql.delete_events(going.month, rows.sql, rows.parameters)


def keep(
    build: int, going: Going, zones: Mapping[str, Zone], counts: Mapping[str, int], at_once: int
) -> Iterator[Statement]:
    """Count the visits of these events into a build.

    `counts`: by site, about how many events there are; `at_once`: of how many at a time.
    """
    rows = going_events(going)
    span = Span(month_start(going.month), month_end(going.month) - 1)
    there = {site: zones.get(site, Zone("UTC", HOUR_MS)) for site in going.sites}
    at, values = statements.buckets(there, dict.fromkeys(there, span))
    for sites, share, shares in _portions(counts, at_once):
        yield from _unstage()
        yield server_sql.stage(
            _EVENTS,
            f"SELECT {_COLUMNS} FROM events WHERE {rows.sql}"
            " AND session_id != 0 AND site_id IN {portion:Array(String)}"
            " AND session_id % {shares:UInt64} = {share:UInt64}",
            {**rows.parameters, "portion": sites, "share": share, "shares": shares},
        )
        yield server_sql.stage(_VISITS, _FACTS.format(day=at["day"]), values)
        yield from (_rows(build, field) for field in FIELDS)
    yield from _unstage()


def _rows(build: int, field: str) -> Statement:
    """The rows of a field, of the visits at hand."""
    value, rows = field or "''", f"{_VISITS} AS v"
    if field and field not in PAGE_OF:
        rows = f"(SELECT DISTINCT visit, {field} FROM {_EVENTS}) AS e INNER JOIN {_VISITS} AS v USING (visit)"
    sql = _ROWS.format(value=value, rows=rows, with_visitors=int(field in PAGE_OF))
    return Statement(sql, {"build": build, "field": field})


def _portions(counts: Mapping[str, int], at_once: int) -> Iterator[tuple[list[str], int, int]]:
    """Sites that are taken together; or, of a large one, which of so many shares."""
    sites: list[str] = []
    together = 0
    for site, count in sorted(counts.items(), key=lambda item: item[1]):
        if sites and together + count > at_once:
            yield sites, 0, 1
            sites, together = [], 0
        if count > at_once:
            shares = -(-count // at_once)
            yield from (([site], share, shares) for share in range(shares))
        else:
            sites, together = [*sites, site], together + count
    if sites:
        yield sites, 0, 1


def _unstage() -> Iterator[Statement]:
    return (server_sql.unstage(table) for table in (_VISITS, _EVENTS))


def rows_of(build: int) -> Statement:
    """How many rows the store has of a build."""
    return Statement("SELECT count() FROM visits WHERE build = {build:UInt64}", {"build": build})
