"""Do the rollups say what the events say? Each cube is made anew of the events, and compared.

By workspace, site and bucket: how many events, how many different visitors, and a sum over the
values of the cube's fields. Only what is sliced is compared, and where retention left both.
"""

from typing import Any

from footfall.model.calendar import LONGEST_DAY, month_start
from footfall.model.cubes import CUBES, ONLY, VALUES, Cube, columns_of, field_text
from footfall.retention import session_archive
from footfall.rollups import statements
from footfall.rollups.covered import lacking
from footfall.rollups.rows import Span, rows_of
from footfall.state.ranges import iso
from footfall.state.rollups.builds import Building, Builds, Manifest
from footfall.store.port import Store
from footfall.verify.findings import RETAINED, Finding, finding

_MOST = 100  # findings of a cube

# Every row of a cube counts for its own values, so that no two can be exchanged unnoticed.
_DIGEST = "{weight} * (cityHash64({values}) % 1009)"

_COMPARED = """
SELECT workspace_id, site_id, toInt64(toUnixTimestamp(bucket)) * 1000, sumIf(counted, NOT kept) AS expected,
    sumIf(counted, kept) AS found, uniqCombinedMergeIf(17)(seen, NOT kept) AS visitors_expected,
    uniqCombinedMergeIf(17)(seen, kept) AS visitors_found
FROM (
    SELECT workspace_id, site_id, at AS bucket, 1 AS kept, sum(events) AS counted,
        uniqCombinedMergeState(17)(visitors) AS seen, sum({digest}) AS digest
    FROM rollups WHERE cube = {{cube:String}} AND (toYYYYMM(at), build)
        IN {{builds:Array(Tuple(UInt32, UInt64))}} AND {range}
    GROUP BY workspace_id, site_id, bucket
    UNION ALL
    SELECT workspace_id, site_id, bucket, 0, sum(weight),
        uniqCombinedStateIf(17)(visitor_id, visitor_id != 0), sum(hashed)
    FROM (
        SELECT workspace_id, site_id, {bucket} AS bucket, toFloat64(sample_weight) AS weight,
            {event_digest} AS hashed, visitor_id
        FROM events WHERE {rows} AND {only}
            AND occurred_at >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
            AND occurred_at < fromUnixTimestamp64Milli({{last:Int64}}, 'UTC')
    ) WHERE {range_of_bucket} GROUP BY workspace_id, site_id, bucket
)
GROUP BY workspace_id, site_id, bucket
HAVING abs(expected - found) > least(1e-6 * greatest(expected, 1), 0.5) OR visitors_expected != visitors_found
    OR abs(sumIf(digest, kept) - sumIf(digest, NOT kept))
        > least(1e-6 * greatest(sumIf(digest, NOT kept), 1), 0.5)
ORDER BY workspace_id, site_id, bucket LIMIT {{most:UInt32}}
"""

_WITHIN = (
    "{bucket} >= toDateTime({{start_s:Int64}}, 'UTC') AND {bucket} < toDateTime({{end_s:Int64}}, 'UTC')"
    " AND ({{workspace:String}} = '' OR workspace_id = {{workspace:String}})"
)
_HAS_EVENTS = (
    "toUnixTimestamp({bucket}) >= transform(toString(site_id), {{gone:Array(String)}},"
    " {{gone_until:Array(Int64)}}, toInt64(0))"
)
_RANGE = f"{_WITHIN} AND {_HAS_EVENTS}"
_WITHOUT_EVENTS = """
SELECT count() FROM rollups WHERE cube = 'total'
    AND (toYYYYMM(at), build) IN {{builds:Array(Tuple(UInt32, UInt64))}} AND {within} AND NOT ({has_events})
"""


class RollupVerifier:
    """Compares rollups with events. Every method raises StoreDown."""

    def __init__(self, store: Store, builds: Builds) -> None:
        self._store = store
        self._builds = builds

    async def run(self, start: int, end: int, workspace_id: str | None) -> list[Finding]:
        """The buckets that begin from `start` to `end` (exclusive, ms), of a workspace or of all."""
        found = [*await self._parts(start, end), *await self._visits(start, end)]
        for cube in CUBES:
            # Anew for each: what is merged meanwhile stays only for the time of a question.
            manifest, held = await self._builds.sliced()
            since = max(start, manifest.rollups_from)
            if manifest.zones and since < end:
                found += await self._cube(cube, manifest, held, since, end, workspace_id or "")
        return found

    async def not_compared(self, start: int, end: int, workspace_id: str | None) -> list[str]:
        """Of which days of the range rollups were not compared with events, and why; in words."""
        manifest = await self._builds.manifest()
        notes: list[str] = []
        if start < manifest.rollups_from:
            notes.append(f"rollups of before {iso(manifest.rollups_from)} were deleted by age: not compared")
        since = max(start, manifest.rollups_from)
        if since < end and manifest.raw_from:
            asked = {
                **_span(since, end, workspace_id or "", manifest),
                "builds": [(entry.month, entry.build) for entry in manifest.entries] or [(0, 0)],
            }
            sql = _WITHOUT_EVENTS.format(
                within=_WITHIN.format(bucket="at"), has_events=_HAS_EVENTS.format(bucket="at")
            )
            ((count,),) = await self._store.query(sql, asked, lane="house")
            if count:
                notes.append(RETAINED)
        missing = {
            cube.name
            for cube in CUBES
            for entry in manifest.entries
            if entry.last >= since and entry.first < end and not cube.in_build(entry.cubes, cube.fields)
        }
        if missing:
            notes.append(f"older rollups lack {', '.join(sorted(missing))}: not compared")
        return notes

    async def _cube(
        self, cube: Cube, manifest: Manifest, held: Building, start: int, end: int, workspace_id: str
    ) -> list[Finding]:
        entries = [entry for entry in manifest.entries if entry.last >= start and entry.first < end]
        if not all(cube.in_build(entry.cubes, cube.fields) for entry in entries):
            return []
        rows = rows_of(held)
        # Days that begin before `end` last longer.
        span = Span(start, end + LONGEST_DAY)
        buckets, values = statements.buckets(manifest.zones, dict.fromkeys(manifest.zones, span))
        columns = {column: field for field, column in columns_of(cube).items()}
        of_event = [
            f"toString({field_text(columns[column])})" if column in columns else "''"
            for column in ("link_id", *VALUES)
        ]
        sql = _COMPARED.format(
            digest=_DIGEST.format(
                weight="events", values=f"event_type, is_bot, link_id, {', '.join(VALUES)}"
            ),
            event_digest=_DIGEST.format(weight="weight", values=f"event_type, is_bot, {', '.join(of_event)}"),
            bucket=buckets[cube.grain],
            rows=rows.sql,
            only=ONLY[cube.only],
            range=_RANGE.format(bucket="at"),
            range_of_bucket=_RANGE.format(bucket="bucket"),
        )
        asked: dict[str, Any] = {
            **rows.parameters,
            **values,
            **_span(start, end, workspace_id, manifest),
            "cube": cube.name,
            "builds": [(entry.month, entry.build) for entry in entries] or [(0, 0)],
            "start": start,
            "last": span.last,
            "most": _MOST,
        }
        return [_finding(cube, row) for row in await self._store.query(sql, asked, lane="house")]

    async def _parts(self, start: int, end: int) -> list[Finding]:
        """Published builds that the store has not, or not all of."""
        return [
            finding(
                "rollups", ("", "", each.first), each.rows, each.there, (f"build {each.month}-{each.build}",)
            )
            for each in await lacking(self._store, await self._builds.manifest())
            if each.last >= start and each.first < end
        ]

    async def _visits(self, start: int, end: int) -> list[Finding]:
        """The same for what was kept of visits."""
        found: list[Finding] = []
        for kept in (await self._builds.manifest()).visits:
            at = month_start(kept.month)
            [(rows,)] = await self._store.query(*session_archive.rows_of(kept.build), lane="house")
            if start <= at < end and rows != kept.rows:
                found.append(
                    finding("rollups", ("", "", at), kept.rows, rows, (f"visits, build {kept.build}",))
                )
        return found


def _span(start: int, end: int, workspace_id: str, manifest: Manifest) -> dict[str, Any]:
    """The parameters of _RANGE."""
    return {
        "start_s": start // 1000,
        "end_s": end // 1000,
        "workspace": workspace_id,
        "gone": ["-", *manifest.raw_from],
        "gone_until": [0, *(-(-at // 1000) for at in manifest.raw_from.values())],
    }


def _finding(cube: Cube, row: tuple[Any, ...]) -> Finding:
    workspace_id, site_id, at, expected, found, visitors_expected, visitors_found = row
    if round(expected) == round(found) and visitors_expected != visitors_found:
        expected, found, what = visitors_expected, visitors_found, "visitors"
    else:
        what = "values" if round(expected) == round(found) else "events"
    return finding(
        "rollups", (workspace_id, site_id, at), round(expected), round(found), (f"{cube.name}: {what}",)
    )
