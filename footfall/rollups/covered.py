"""Whether the rollups that are published are really in the store: asked before their events go."""

from collections.abc import Collection
from typing import NamedTuple

from footfall.model.calendar import LONGEST_DAY, month_end, month_start
from footfall.rollups.rows import rows_of
from footfall.state.retention import Item
from footfall.state.rollups.builds import Building, Builds, Manifest
from footfall.store import server_sql
from footfall.store.port import Store

# The cube `total` has every event once, by hours in UTC, so that a month of it is a month of events. Of a
# site of which some were deleted already the rollups say more than is left. An event
# that is not sampled weighs one: a difference of half of that is no rounding, however many there are.
_MISCOUNTED = """
SELECT DISTINCT site_id FROM (
    SELECT workspace_id, site_id, sumIf(counted, kept) AS said, sumIf(counted, NOT kept) AS there
    FROM (
        SELECT workspace_id, site_id, 1 AS kept, events AS counted FROM rollups
        WHERE cube = 'total' AND (toYYYYMM(at), build) IN {{builds:Array(Tuple(UInt32, UInt64))}}
            AND site_id IN {{asked:Array(String)}}
        UNION ALL
        SELECT workspace_id, site_id, 0, toFloat64(sample_weight) FROM events
        WHERE _partition_id = {{partition:String}} AND site_id IN {{asked:Array(String)}} AND {rows}
    )
    GROUP BY workspace_id, site_id
    HAVING there - said > least(1e-6 * there, 0.5)
        OR (said - there > least(1e-6 * said, 0.5) AND site_id NOT IN {{partly:Array(String)}})
)
"""


class Lacking(NamedTuple):
    """A published build of which the store has `there` rows in a month (YYYYMM), and should have `rows`.

    `first` and `last`: of its buckets, as of Entry.
    """

    month: int
    build: int
    first: int
    last: int
    rows: int
    there: int


async def lacking(store: Store, manifest: Manifest) -> list[Lacking]:
    """Published builds that the store has not, or not all of. Raises StoreDown."""
    there = dict(await store.query(*server_sql.partitions("rollups"), lane="house"))
    found = [
        Lacking(each.month, each.build, each.first, each.last, each.rows, rows)
        for each in manifest.entries
        for rows in [there.get(f"{each.month}-{each.build}", 0)]
    ]
    return [each for each in found if each.rows != each.there]


async def not_covered(store: Store, builds: Builds, items: Collection[Item]) -> set[Item]:
    """Of raw events (months of sites) those of which the store's rollups do not say how many they were.

    All of a month of which the store lost events: these may come back, and no rollup may have them.
    Else only of what is sliced; months whose rollups retention has deleted are not asked about.
    Raises Retryable.
    """
    if not items:
        return set()
    manifest, held = await builds.sliced()
    broken = await lacking(store, manifest)
    found: set[Item] = set()
    gone = store.missing()
    for month in sorted({item.month for item in items}):
        mine = {item for item in items if item.month == month}
        # A day that begins in the month before has events of this one.
        since, until = month_start(month) - LONGEST_DAY, month_end(month)
        if month in gone or any(since <= each.last and each.first < until for each in broken):
            found |= mine
        elif month_start(month) >= manifest.rollups_from:
            wrong = await _miscounted(store, manifest, held, month, {item.site_id for item in mine})
            found |= {item for item in mine if item.site_id in wrong}
    return found


async def _miscounted(
    store: Store, manifest: Manifest, held: Building, month: int, sites: Collection[str]
) -> set[str]:
    rows = rows_of(held)
    builds = [(entry.month, entry.build) for entry in manifest.entries if entry.month == month]
    start = month_start(month)
    asked = {
        **rows.parameters,
        "builds": builds or [(0, 0)],
        "asked": sorted(sites),
        "partition": str(month),
        "partly": ["-", *(site for site, at in manifest.raw_from.items() if at > start)],
    }
    found = await store.query(_MISCOUNTED.format(rows=rows.sql), asked, lane="house")
    return {site for (site,) in found}
