"""Retention: raw events go when they are old enough, a month of a site at a time; rollups stay longer.

An event is as old as the later of when it occurred and when it was received, so that imported
history is not gone on arrival. A month of a site is deleted when its youngest event is old enough,
and only if all of it is in the rollups. Before, its visits are counted, and what is about to be deleted
is written down, so that no report, and no comparison, takes what is left for all there was.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import structlog
from msgspec import Struct

from footfall.database import Database
from footfall.errors import Invalid
from footfall.jobs import cubes, visits
from footfall.jobs.cubes import Statement
from footfall.jobs.daily import Daily
from footfall.jobs.rollups import Rollups
from footfall.model.calendar import instant, month_end
from footfall.model.visits import FIELDS
from footfall.settings import Settings
from footfall.state.builds import Builds
from footfall.state.lease import Fence
from footfall.state.manifest import Building, Going, KeptVisits, Zone
from footfall.state.retained import Deleted, Retained
from footfall.store.port import Store
from footfall.units import FOREVER

log = structlog.get_logger(__name__)

_DAY = 86_400_000

_MONTHS = """
SELECT toYYYYMM(occurred_at) AS month, workspace_id, site_id, count(),
    max(toUnixTimestamp64Milli(greatest(occurred_at, received_at))), countIf(NOT ({held}))
FROM events WHERE {{workspace:String}} = '' OR workspace_id = {{workspace:String}}
GROUP BY month, workspace_id, site_id ORDER BY month, workspace_id, site_id
"""


class Month(Struct, frozen=True):
    """The raw events of a site that occurred in a month (YYYYMM, UTC).

    `newest` and `deleted_after` in ms; `deleted_after` None: never. `unsliced`: how many of them no
    rollup has yet, until when they are kept in any case.
    """

    month: int
    workspace_id: str
    site_id: str
    events: int
    newest: int
    deleted_after: int | None
    unsliced: int

    def is_due(self, now: int) -> bool:
        """Whether it is deleted the next time."""
        return self.deleted_after is not None and self.deleted_after <= now and not self.unsliced


class Retention:
    """What is deleted when. `rollups` None: it only plans. `clock`: Unix seconds.

    `patience`: how many seconds questions may still look for what was announced to be deleted; by default as
    long as one may take.
    """

    def __init__(
        self,
        store: Store,
        state: Database,
        settings: Settings,
        rollups: Rollups | None = None,
        fence: Fence | None = None,
        clock: Callable[[], float] = time.time,
        patience: float | None = None,
    ) -> None:
        self._patience = settings.query_timeout if patience is None else patience
        self._at_once = settings.store_memory // visits.BYTES
        self._store = store
        self._builds = Builds(state, fence)
        self._retained = Retained(state, fence)
        self._raw = settings.raw_retention
        self._kept = settings.rollup_retention
        self._rollups = rollups
        self._clock = clock

    @property
    def settings(self) -> tuple[float, float]:
        """Seconds that raw events and rollups are kept, where a site says nothing else; or FOREVER."""
        return self._raw, self._kept

    async def plan(self, workspace_id: str | None = None) -> list[Month]:
        """All raw events there are, of a workspace or of all, with when they are deleted.

        Raises Retryable.
        """
        _, held = await self._builds.sliced()
        return await self._plan(held, workspace_id)

    async def _plan(self, held: Building, workspace_id: str | None) -> list[Month]:
        rows = cubes.rows_of(held)
        days = await self._retained.raw_days()
        found = await self._store.query(
            _MONTHS.format(held=rows.sql),
            {**rows.parameters, "workspace": workspace_id or ""},
            lane="house",
        )
        return [
            Month(month, workspace, site, events, newest, self._deleted_after(newest, days.get(site)), left)
            for month, workspace, site, events, newest, left in found
        ]

    async def set_raw_days(self, site_id: str, days: int | None) -> None:
        """Keep raw events of a site so many days; 0: for ever; None: as in the settings. Raises Invalid."""
        if days is not None and not 0 <= days <= 36_500:
            raise Invalid("raw_days must be from 0 (for ever) to 36500", field="raw_days")
        await self._retained.set_raw_days(site_id, days)

    async def apply(self) -> Sequence[Month]:
        """Delete what is due. Returns what was. Raises as `plan`, and Conflict when the lease was lost."""
        if self._rollups is None:
            raise ValueError("this process has no rollups to keep")
        async with self._rollups.paused():
            await self._resume()
            await self._delete_rollups()
            due = await self._announce()
        if due:
            # Questions that began before must not find half of what they were to read.
            await asyncio.sleep(self._patience)
            async with self._rollups.paused():
                await self._delete_announced()
        return due

    async def _announce(self) -> Sequence[Month]:
        """Keep what is to be kept of what is due, and write down that it goes."""
        now = int(self._clock() * 1000)
        days = await self._retained.raw_days()
        manifest, held = await self._builds.sliced()
        months = await self._plan(held, None)
        # A site without a name ("") may be one of several workspaces.
        waiting = {(each.month, each.site_id) for each in months if not each.is_due(now)}
        due = [each for each in months if (each.month, each.site_id) not in waiting]
        for month in sorted({each.month for each in due}):
            by_age: dict[int, list[Month]] = {}
            for each in due:
                if each.month == month:
                    by_age.setdefault(self._age(days.get(each.site_id)) or 0, []).append(each)
            for age, some in by_age.items():
                counts: Counter[str] = Counter()
                for each in some:
                    counts[each.site_id] += each.events
                going = Going(month, tuple(sorted(counts)), now - age + 1, held)
                await self._announce_month(going, counts, manifest.zones)
        return due

    async def _announce_month(
        self, going: Going, counts: Mapping[str, int], zones: Mapping[str, Zone]
    ) -> None:
        build = await self._builds.number()
        for statement in visits.keep(build, going, zones, counts, self._at_once):
            await self._do(statement)
        [(rows,)] = await self._store.query(*visits.rows_of(build), lane="house")
        kept = KeptVisits(build, going.month, rows, FIELDS, going)
        deleted = Deleted(month_end(going.month), going.received)
        await self._retained.delete_raw(dict.fromkeys(going.sites, deleted), kept)
        log.info("retention.due", month=going.month, sites=len(going.sites), events=sum(counts.values()))

    async def _delete_announced(self) -> None:
        for kept in await self._retained.visits():
            if kept.going is not None:
                await self._do(visits.delete(kept.going))
                await self._retained.gone(kept.build)
                log.info("retention.deleted", month=kept.month, sites=len(kept.going.sites))

    async def _resume(self) -> None:
        """Go on with what was written down and not deleted; drop what was not written down."""
        known = await self._retained.visits()
        there = {build for (build,) in await self._store.query(*visits.builds(), lane="house")}
        for build in sorted(there - {kept.build for kept in known}):
            await self._do(visits.drop(build))
        await self._delete_announced()

    async def _delete_rollups(self) -> None:
        if self._kept == FOREVER:
            return
        now = self._clock()
        first = datetime.fromtimestamp(now - self._kept, UTC).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        month = first.year * 100 + first.month
        if gone := await self._retained.delete_rollups(instant(first), month, int(now * 1000)):
            log.info("retention.rollups_deleted", before=month, parts=gone)

    async def _do(self, statement: Statement) -> None:
        await self._store.build(statement.sql, statement.parameters)

    def _age(self, days: int | None) -> int | None:
        """How old raw events must be to go, in ms; None: they stay."""
        if days is not None:
            return days * _DAY or None
        return None if self._raw == FOREVER else int(self._raw * 1000)

    def _deleted_after(self, newest: int, days: int | None) -> int | None:
        age = self._age(days)
        return None if age is None else newest + age


def nightly_retention(retention: Retention, data: Path) -> Daily:
    """The job; `data` is the data directory. Its `tick` is to be called every minute or so."""

    async def work(_: date) -> None:
        await retention.apply()

    return Daily("retention", data / "retained.json", work)


def not_compared(deleted: Mapping[str, Deleted], site_id: str, hour: int) -> bool:
    """Whether raw events of the site that were received in the hour may have been deleted."""
    return site_id in deleted and hour < deleted[site_id].received
