"""Which raw events are deleted when, by month and site.

Looks at one partition (a month) after the other. The nightly plan looks at those only in which an event can
be old enough, and in them at the sites that have no event that is too young.
"""
# ruff: noqa: S608 -- the conditions are put together from cubes; values are parameters

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from msgspec import Struct

from footfall.model.calendar import month_start
from footfall.model.times import DAY, DAY_MS, Millis, Seconds, to_millis
from footfall.state.closings import Closings
from footfall.state.retention import Item, RetentionState
from footfall.state.rollups.builds import Builds
from footfall.state.rollups.manifest import Building
from footfall.store import position_sql, server_sql
from footfall.store.port import Store
from footfall.store.statement import Statement, Values
from footfall.units import FOREVER

# What is received is closed within seconds, and by the marks of the next day's first look.
_SLACK = 2 * DAY_MS

_OF_MONTH = (
    "_partition_id = {partition:String} AND ({workspace:String} = '' OR workspace_id = {workspace:String})"
)
_SITES = f"""
SELECT workspace_id, site_id, count(),
    toUnixTimestamp64Milli(greatest(max(occurred_at), max(received_at))), shard, max(seq)
FROM events WHERE {_OF_MONTH} AND site_id NOT IN {{young:Array(String)}}
GROUP BY workspace_id, site_id, shard ORDER BY workspace_id, site_id, shard
"""
# The sort key has the hours of a site in order: this reads the last ones.
_YOUNG = f"""
SELECT DISTINCT site_id FROM events
WHERE {_OF_MONTH} AND occurred_at > fromUnixTimestamp64Milli({{limit:Int64}}, 'UTC')
"""


class Month(Struct, frozen=True):
    """The raw events of a site that occurred in a month (YYYYMM, UTC).

    `newest` and `deleted_after` in ms; `deleted_after` None: never. `closed`: when the last of them was
    stored (ms), where that is so much later than its own time that the clock must have been behind; else
    `newest`. `unsliced`: how many of them no rollup has yet, until when they are kept in any case.
    """

    month: int
    workspace_id: str
    site_id: str
    events: int
    newest: int
    deleted_after: int | None
    unsliced: int
    closed: int = 0

    def is_due(self, now: Millis) -> bool:
        """Whether they are old enough, and in the rollups."""
        return self.deleted_after is not None and self.deleted_after <= now and not self.unsliced

    @property
    def kept(self) -> float:
        """For how many seconds they are kept, or FOREVER."""
        if self.deleted_after is None:
            return FOREVER
        return (self.deleted_after - max(self.newest, self.closed)) / 1000

    @property
    def item(self) -> Item:
        """By which it is announced."""
        return Item("events", self.month, self.site_id)


class Ages(NamedTuple):
    """How long raw events are kept: `general` in seconds or FOREVER; by site in days, 0: for ever."""

    general: float
    sites: Mapping[str, int]

    def of(self, site_id: str) -> int | None:
        """How old raw events of the site must be to go, in ms; None: they stay."""
        days = self.sites.get(site_id)
        if days is not None:
            return days * DAY_MS or None
        return None if self.general == FOREVER else to_millis(self.general)

    def shortest(self) -> int | None:
        """Of all sites; None: all stay."""
        ages = [self.of(""), *map(self.of, self.sites)]
        return min((age for age in ages if age is not None), default=None)


class RetentionPlan:
    """The plan of one store. `kept`: the setting raw_retention."""

    def __init__(self, store: Store, builds: Builds, retained: RetentionState, kept: float) -> None:
        self._store = store
        self._builds = builds
        self._retained = retained
        self._kept = kept

    async def ages(self) -> Ages:
        """How long raw events are kept now."""
        return Ages(self._kept, await self._retained.raw_days())

    async def months(self, now: Seconds, workspace_id: str = "", due_at: int | None = None) -> list[Month]:
        """All raw events there are; `due_at` (ms): only of months and sites that may be due then.

        `now`: the time that has come for sure, Unix seconds.

        Raises Retryable.
        """
        ages = await self.ages()
        held = (await self._builds.sliced())[1]
        closings = await self._retained.closings(now)
        shards = await self._retained.shards()
        found = [
            int(month) for month, _ in await self._store.query(*server_sql.partitions("events"), lane="house")
        ]
        months: list[Month] = []
        for month in found if due_at is None else _may_be_due(found, ages, due_at):
            where: dict[str, Any] = {"partition": str(month), "workspace": workspace_id}
            young = await self._young(where, ages, due_at)
            where |= {"young": young}
            months += await self._month(month, where, ages, _unsliced(held, shards), closings)
        return months

    async def _young(self, where: Mapping[str, str], ages: Ages, due_at: int | None) -> list[str]:
        """Sites of a month that have an event younger than the shortest age: they are not due."""
        age = ages.shortest()
        if due_at is None or age is None:
            return []
        rows = await self._store.query(_YOUNG, {**where, "limit": due_at - age}, lane="house")
        return [site for (site,) in rows]

    async def _month(
        self, month: int, where: Mapping[str, Any], ages: Ages, unsliced: Statement, closings: Closings
    ) -> list[Month]:
        sites = _by_site(await self._store.query(_SITES, where, lane="house"), closings)
        left = await self._store.query(
            f"SELECT workspace_id, site_id, count() FROM events WHERE {_OF_MONTH} AND {unsliced.sql}"
            " GROUP BY workspace_id, site_id",
            {**where, **unsliced.parameters},
            lane="house",
        )
        waiting = {(workspace, site): count for workspace, site, count in left}
        return [
            Month(
                month,
                workspace,
                site,
                each.events,
                each.newest,
                None if (age := ages.of(site)) is None else each.closed + age,
                waiting.get((workspace, site), 0),
                each.closed,
            )
            for (workspace, site), each in sites.items()
        ]


class _OfSite(NamedTuple):
    events: int = 0
    newest: int = 0
    closed: int = 0


def _by_site(rows: Iterable[Sequence[Any]], closings: Closings) -> dict[tuple[str, str], _OfSite]:
    """Of (workspace, site, events, newest, shard, last seq) by workspace and site."""
    found: dict[tuple[str, str], _OfSite] = {}
    for workspace, site, events, newest, shard, last in rows:
        known = found.get((workspace, site), _OfSite())
        closed = int(closings.until(shard, last) * 1000)
        if closed <= newest + _SLACK:
            closed = newest
        found[workspace, site] = _OfSite(
            known.events + events, max(known.newest, newest), max(known.closed, closed)
        )
    return found


def _may_be_due(months: Collection[int], ages: Ages, now: Millis) -> list[int]:
    """Those in which an event may be as old as it must be: no event is older than its month."""
    age = ages.shortest()
    return [] if age is None else [month for month in months if month_start(month) + age <= now]


def _unsliced(held: Building, shards: Collection[int]) -> Statement:
    """The condition on `events` that no rollup has them: as ranges of positions, for which there is an index.

    Rows of a shard of which nothing was ever closed are not among them: nothing deletes those either.
    """
    values = Values("unsliced")
    marks = dict.fromkeys(shards, position_sql.NOTHING) | {part.shard: part.upto for part in held.parts}
    return Statement(position_sql.above(marks, values, also=held.without), values.parameters)


def day_of(seconds: Seconds) -> int:
    """The day (UTC, since 1970) of a time."""
    return int(seconds // DAY)


def date_of(day: int) -> str:
    """Such a day as an ISO date."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()
