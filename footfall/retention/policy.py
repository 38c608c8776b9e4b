"""Retention: raw events go when they are old enough, a month of a site at a time; rollups stay longer.

An event is as old as the later of when it occurred and when it was received, so that imported
history is not gone on arrival. A month of a site is deleted when its youngest event is old enough,
only if all of it is in the rollups and these are in the store, and only if that was announced on a night
before: whoever set the wrong time has a day to see it. Before, its visits are counted, and what is about
to be deleted is written down, so that no report, and no comparison, takes what is left for all there was.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import structlog

from footfall.database import Database
from footfall.errors import Invalid
from footfall.metrics import RETENTION_ANNOUNCED, RETENTION_HELD
from footfall.model.calendar import month_end
from footfall.model.session_fields import FIELDS
from footfall.model.times import DAY_MS, Millis, Seconds, to_millis
from footfall.retention import session_archive
from footfall.retention.announced import NIGHT, Decision, decide
from footfall.retention.plan import Month, RetentionPlan, date_of, day_of
from footfall.rollups.covered import not_covered
from footfall.rollups.maintenance import RollupMaintainer
from footfall.runtime.daily import Daily
from footfall.settings import Settings
from footfall.state.lease import Fence
from footfall.state.ranges import iso
from footfall.state.retention import Deleted, Item, RetentionState
from footfall.state.rollups.builds import Builds
from footfall.state.rollups.manifest import ArchivedSessions, Going, Zone
from footfall.store import server_sql
from footfall.store.port import Store
from footfall.store.statement import Statement
from footfall.units import FOREVER, spell_time

log = structlog.get_logger(__name__)


class Retention:
    """What is deleted when. `rollups` None: it only plans.

    `now`: the time that has come for sure (Unix seconds; 0: not known yet), as of `DaysSeen`. `patience`: how
    many seconds questions may still look for what is about to be deleted; by default as long as one may take.
    """

    def __init__(
        self,
        store: Store,
        state: Database,
        settings: Settings,
        rollups: RollupMaintainer | None = None,
        fence: Fence | None = None,
        now: Callable[[], Awaitable[float]] | None = None,
        patience: float | None = None,
    ) -> None:
        self._patience = settings.query_timeout if patience is None else patience
        self._at_once = settings.store_memory // session_archive.BYTES
        self._store = store
        self._builds = Builds(state, fence)
        self._retained = RetentionState(state, fence)
        self._raw = settings.raw_retention
        self._kept = settings.rollup_retention
        self._plan = RetentionPlan(store, self._builds, self._retained, self._raw)
        self._rollups = rollups
        self._now = now

    @property
    def settings(self) -> tuple[float, float]:
        """Seconds that raw events and rollups are kept, where a site says nothing else; or FOREVER."""
        return self._raw, self._kept

    async def plan(self, workspace_id: str = "") -> list[Month]:
        """All raw events there are, of a workspace or of all, with when they are deleted.

        Raises Retryable.
        """
        return await self._plan.months(time.time(), workspace_id)

    async def announced(self) -> Mapping[Item, int]:
        """What is deleted the next night, and since when (Unix seconds) that is announced."""
        return await self._retained.announced()

    async def set_raw_days(self, site_id: str, days: int | None) -> None:
        """Keep raw events of a site so many days; 0: for ever; None: as in the settings. Raises Invalid."""
        if days is not None and not 0 <= days <= 36_500:
            raise Invalid("raw_days must be from 0 (for ever) to 36500", field="raw_days")
        await self._retained.set_raw_days(site_id, days)

    async def foretell(self, now: Seconds) -> None:
        """Warn of what goes in the next two nights, by the settings as they are. `now`: Unix seconds."""
        tomorrow = day_of(now) + 1
        at = tomorrow * DAY_MS
        announced = await self._retained.announced()
        due = [each for each in await self._plan.months(now, due_at=at) if each.is_due(at)]
        held = await self._not_covered(due)
        stuck = [await self._stuck(kept) for kept in await self._retained.visits()]
        self._tell(held.union(*stuck))
        months = [each for each in due if each.item not in held]
        items = [(each.item, each.events) for each in months] + [
            (item, 0) for item in await self._old_rollups(at)
        ]
        nights: dict[tuple[str, int], Counter[int]] = {}
        for item, events in items:
            ripe = announced.get(item, at // 1000) + NIGHT <= at // 1000
            nights.setdefault((item.what, tomorrow + (not ripe)), Counter())[item.month] += events
        for (what, night), counts in nights.items():
            log.warning(
                "retention.will_delete",
                what=what,
                setting=self._setting(what),
                events=counts.total(),
                first=min(counts),
                last=max(counts),
                night=date_of(night),
            )

    async def apply(self) -> Sequence[Month]:
        """One night: delete what is due and announced, announce what is due. Returns what was deleted.

        Raises as `plan`, and Conflict when the lease was lost.
        """
        if self._rollups is None or self._now is None:
            raise ValueError("this process has no rollups to keep")
        async with self._rollups.paused():
            now = await self._now()
            if not now:
                log.info("retention.waits", why="two days must have been seen before anything is deleted")
                return []
            at = to_millis(now)
            stuck = await self._resume(at)
            due = await self.due(at)
            held = stuck | await self._not_covered(due)
            self._tell(held)
            months = [each for each in due if each.item not in held]
            rollups = await self._old_rollups(at)
            decision = await self._announce(months, rollups, int(now), self._rollups.now() // 1000)
            await self._delete_rollups(rollups, decision.ripe, self._rollups.now())
            gone = [each for each in months if each.item in decision.ripe]
            await self._prepare(gone, at)
        if gone:
            # Questions that began before must not find half of what they were to read.
            await asyncio.sleep(self._patience)
            async with self._rollups.paused():
                stuck = await self._delete_prepared(at)
                self._tell(held | stuck)
        return [each for each in gone if each.item not in stuck]

    async def due(self, now: Millis) -> list[Month]:
        """What is old enough at `now` (ms), and in the rollups. Raises as `plan`."""
        months = await self._plan.months(now / 1000, due_at=now)
        # A site without a name ("") may be one of several workspaces.
        waiting = {each.item for each in months if not each.is_due(now)}
        return [each for each in months if each.item not in waiting]

    async def _announce(
        self, months: Sequence[Month], rollups: Collection[Item], now: Millis, clock: int
    ) -> Decision:
        known = await self._retained.announced()
        events: Counter[Item] = Counter()
        for each in months:
            events[each.item] += each.events
        decision = decide([*events, *rollups], known, now, clock)
        if decision.announced != known:
            await self._retained.announce(decision.announced)
        RETENTION_ANNOUNCED.set(sum(count for item, count in events.items() if item not in decision.ripe))
        for item, at in sorted(decision.announced.items()):
            if at == max(now, clock):
                log.warning(
                    "retention.announced",
                    **item._asdict(),
                    events=events[item],
                    setting=self._setting(item.what),
                    not_before=iso((at + NIGHT) * 1000),
                )
        return decision

    def _setting(self, what: str) -> str:
        name, kept = ("raw_retention", self._raw) if what == "events" else ("rollup_retention", self._kept)
        return f"{name} = {spell_time(kept)}"

    async def _prepare(self, gone: Sequence[Month], now: Millis) -> None:
        """Keep what is to be kept of what goes, and write down that it goes."""
        ages = await self._plan.ages()
        manifest, held = await self._builds.sliced()
        groups: dict[tuple[int, int], Counter[str]] = {}
        for each in gone:
            age = ages.of(each.site_id)
            # What was just set to stay, or to stay longer, is not due any more.
            if age is not None and max(each.newest, each.closed) + age <= now:
                groups.setdefault((each.month, age), Counter())[each.site_id] += each.events
        for (month, age), counts in sorted(groups.items()):
            going = Going(month, tuple(sorted(counts)), now - age + 1, held)
            await self._prepare_month(going, counts, manifest.zones)

    async def _prepare_month(
        self, going: Going, counts: Mapping[str, int], zones: Mapping[str, Zone]
    ) -> None:
        build = await self._builds.number()
        for statement in session_archive.keep(build, going, zones, counts, self._at_once):
            await self._do(statement)
        [(rows,)] = await self._store.query(*session_archive.rows_of(build), lane="house")
        kept = ArchivedSessions(build, going.month, rows, FIELDS, going)
        deleted = Deleted(month_end(going.month), going.received)
        await self._retained.delete_raw(dict.fromkeys(going.sites, deleted), kept)
        log.warning("retention.due", month=going.month, sites=len(going.sites), events=sum(counts.values()))

    async def _delete_prepared(self, now: Millis) -> set[Item]:
        """Delete what is written down, if it is still old enough at `now` (ms); else take that back.

        Returns what of it must stay for now, as `_stuck` says.
        """
        stuck: set[Item] = set()
        for kept in await self._retained.visits():
            if kept.going is None:
                continue
            if await self._is_too_young(kept.going, now):
                if await self._retained.take_back(kept.build):
                    await self._do(server_sql.drop_partition("visits", kept.build))
                    log.warning("retention.taken_back", month=kept.month, sites=len(kept.going.sites))
                else:  # a part of it may be deleted already: what is left stays as it is
                    stuck |= _items(kept.going)
                continue
            if held := await self._stuck(kept):
                stuck |= held
                continue
            await self._retained.begin(kept.build)
            await self._do(session_archive.mark(kept.going))
            await self._do(session_archive.delete(kept.going))
            await self._retained.gone(kept.build)
            log.warning("retention.deleted", month=kept.month, sites=len(kept.going.sites))
        return stuck

    async def _is_too_young(self, going: Going, now: Millis) -> bool:
        """Whether a site of it has been set to keep its events, or to keep them longer."""
        ages = await self._plan.ages()
        found = [ages.of(site) for site in going.sites]
        return any(age is None or now - age + 1 < going.received for age in found)

    async def _not_covered(self, months: Collection[Month]) -> set[Item]:
        """Those whose events are the only true copy of what they say."""
        return await not_covered(self._store, self._builds, {each.item for each in months})

    async def _stuck(self, kept: ArchivedSessions) -> set[Item]:
        """The same of events that are about to go, whose visits must be in the store, too."""
        if kept.going is None:
            return set()
        items = _items(kept.going)
        [(rows,)] = await self._store.query(*session_archive.rows_of(kept.build), lane="house")
        return items if rows != kept.rows else await not_covered(self._store, self._builds, items)

    def _tell(self, held: Collection[Item]) -> None:
        RETENTION_HELD.set(len(held))
        for item in sorted(held):
            log.error("retention.held", month=item.month, site_id=item.site_id)

    async def _resume(self, now: Millis) -> set[Item]:
        """Go on with what was written down and not deleted; drop what was not written down.

        Returns as `_delete_prepared`.
        """
        known = await self._retained.visits()
        found = await self._store.query(*server_sql.partitions("visits"), lane="house")
        there = {int(build) for build, _ in found}
        for build in sorted(there - {kept.build for kept in known}):
            await self._do(server_sql.drop_partition("visits", build))
        return await self._delete_prepared(now)

    async def _old_rollups(self, now: Millis) -> list[Item]:
        """Months whose rollups are all old enough to go, the oldest first."""
        if self._kept == FOREVER:
            return []
        limit = now - to_millis(self._kept)
        months = await self._retained.rollup_months()
        return [Item("rollups", month) for month in months if month_end(month) <= limit]

    async def _delete_rollups(self, old: Sequence[Item], ripe: Collection[Item], now: Millis) -> None:
        """From the oldest on, up to the first that was not announced. `now` (ms): when builds are retired."""
        last = None
        for item in old:
            if item not in ripe:
                break
            last = item.month
        if last is None:
            return
        end = month_end(last)
        following = datetime.fromtimestamp(end / 1000, UTC)
        month = following.year * 100 + following.month
        gone = await self._retained.delete_rollups(end, month, now)
        log.warning("retention.rollups_deleted", before=month, parts=gone, setting=self._setting("rollups"))

    async def _do(self, statement: Statement) -> None:
        await self._store.build(statement.sql, statement.parameters)


def _items(going: Going) -> set[Item]:
    return {Item("events", going.month, site) for site in going.sites}


def at_start(
    retention: Retention, clock: Callable[[], float] = time.time
) -> Callable[[], Coroutine[Any, Any, None]]:
    """`foretell`, to be called until it has succeeded once: at a start the store may not answer yet."""
    told = False

    async def foretell() -> None:
        nonlocal told
        if not told:
            await retention.foretell(clock())
            told = True

    return foretell


def nightly_retention(retention: Retention, data: Path) -> Daily:
    """The job; `data` is the data directory. Its `tick` is to be called every minute or so."""

    async def work(_: date) -> None:
        await retention.apply()

    return Daily("retention", data / "retained.json", work, most=1)


def not_compared(deleted: Mapping[str, Deleted], site_id: str, hour: int) -> bool:
    """Whether raw events of the site that were received in the hour may have been deleted."""
    return site_id in deleted and hour < deleted[site_id].received
