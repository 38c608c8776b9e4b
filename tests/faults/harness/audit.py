"""What faults left of the rollups, compared with the events: by Footfall's own `verify`, and by counting."""

from dataclasses import dataclass

from footfall.database import Database
from footfall.eventlog import open_log
from footfall.rollups.rows import going_events, rows_of
from footfall.settings import Settings
from footfall.state.ledger import HOUR
from footfall.state.rollups.builds import Builds, RollupPartition
from footfall.store import server_sql
from footfall.store.port import Store
from footfall.store.statement import Statement
from footfall.verify.findings import Finding
from footfall.verify.rollups import RollupVerifier
from footfall.verify.verifier import Verifier

_DAY = 86_400_000

# Weights are 1 in what the oracles send.
_COUNTED = """
SELECT sum(events) FROM rollups
WHERE cube = 'total' AND (toYYYYMM(at), build) IN {builds:Array(Tuple(UInt32, UInt64))}
"""
_BOUNDS = """
SELECT min(toUnixTimestamp64Milli(occurred_at)), max(toUnixTimestamp64Milli(occurred_at)) FROM events
"""
_UNTIL = 4_000_000_000_000 // HOUR * HOUR  # in the year 2096


@dataclass
class Audit:
    """The store and the state of a data directory."""

    store: Store
    state: Database
    settings: Settings

    async def counts(self) -> list[str]:
        """Whether the published builds have as many events as there are below the watermarks."""
        _, held = await Builds(self.state).sliced()
        rows = rows_of(held)
        ((events,),) = await self.store.query(
            f"SELECT count() FROM events WHERE {rows.sql}",
            rows.parameters,
        )
        if (counted := await self.counted()) != events:
            return [f"the rollups have {counted} events, but {events} are sliced"]
        return []

    async def counted(self) -> int:
        """How many events the published builds have."""
        entries = (await Builds(self.state).manifest()).entries
        builds = [(entry.month, entry.build) for entry in entries] or [(0, 0)]
        ((counted,),) = await self.store.query(_COUNTED, {"builds": builds})
        return round(counted)

    async def partitions(self) -> list[str]:
        """Whether the store has the partitions of the manifest and no others, and no build is open."""
        books = await Builds(self.state).partitions()
        rows = await self.store.query(*server_sql.partitions("rollups"))
        there = {RollupPartition.of_id(each) for each, _ in rows}
        known = books.published | books.retired.keys()
        named = {
            "builds left open": {(each.kind, each.build) for each in books.building},
            "partitions that nobody knows": there - known,
            "partitions that are missing": books.published - there,
        }
        return [f"{name}: {sorted(found)[:5]}" for name, found in named.items() if found]

    async def unsliced(self) -> list[str]:
        """Whether all events are in the rollups."""
        _, held = await Builds(self.state).sliced()
        rows = rows_of(held)
        ((left,),) = await self.store.query(
            f"SELECT count() FROM events WHERE NOT ({rows.sql})",
            rows.parameters,
        )
        return [f"{left} events are not sliced"] if left else []

    async def verified(self) -> list[str]:
        """What `footfall verify` finds between the rollups and the events, of whatever time."""
        builds = Builds(self.state)
        entries = (await builds.manifest()).entries
        ((first, last),) = await self.store.query(_BOUNDS)
        start = min([first, *(entry.first for entry in entries)]) // _DAY - 1
        end = max([last, *(entry.last for entry in entries)]) // _DAY + 2
        return _told(await RollupVerifier(self.store, builds).run(start * _DAY, end * _DAY, None))

    async def visits(self) -> int:
        """How many visits there are, of the events that stay and of those that were deleted."""
        known = (await Builds(self.state).manifest()).visits
        going = [each.going for each in known if each.going]
        ((kept,),) = await self.store.query(
            "SELECT sum(visits) FROM visits WHERE field = '' AND build IN {builds:Array(UInt64)}",
            {"builds": [each.build for each in known]},
        )
        assert len(going) <= 1, "a keeper ends one deletion before it begins the next"
        rows = going_events(going[0]) if going else Statement("0", {})
        ((left,),) = await self.store.query(
            f"SELECT uniqExact(site_id, session_id) FROM events WHERE session_id != 0 AND NOT ({rows.sql})",
            rows.parameters,
        )
        return int(kept + left)

    async def all_verified(self) -> list[str]:
        """What `footfall verify` finds in all hours in which there are events; no server may run."""
        log = await open_log(self.settings, shard="none")
        try:
            verifier = Verifier(
                self.store,
                log,
                self.state,
                window=self.settings.recent_ids_window,
                limit=self.settings.recent_ids,
            )
            found = (await verifier.run(0, _UNTIL)).findings
        finally:
            await log.close()
        return _told([each for each in found if each.level == "error"])


def _told(found: list[Finding]) -> list[str]:
    shown = "; ".join(
        f"{each.check} at {each.hour}: {each.expected} expected, {each.found} found {each.examples}"
        for each in found[:3]
    )
    return [f"verify has {len(found)} findings: {shown}"] if found else []
