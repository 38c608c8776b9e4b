"""Where there is something to verify: the hours in which anything was received or occurred.

So the cost of a comparison follows the rows and not the calendar. Each place is asked for itself,
since what one of them lost only the others know: the ledger, the letters, the store, the rollups, the log.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from footfall.database import Database
from footfall.eventlog.port import EventLog
from footfall.model.calendar import LONGEST_DAY, month_start
from footfall.model.times import to_millis
from footfall.state.ledger import HOUR, closed_positions, hour_of, of_part, parts
from footfall.state.rollups.builds import Builds
from footfall.state.tables import dead_letters, ledger
from footfall.store.port import Store
from footfall.verify.log_records import SLACK, held, last_before, next_readable
from footfall.verify.store_queries import Rows

_DAY = 24 * HOUR

_MOST_HOURS = 7 * 24 * HOUR
_MOST_WEIGHT = 1_000_000
_LINE = 20  # what a line of the ledger weighs, in rows


class Piece(NamedTuple):
    """Hours that are compared at once, from `start` to `end` (exclusive, ms). `rows`: about how many."""

    start: int
    end: int
    rows: int


def cut(busy: Mapping[int, int]) -> list[Piece]:
    """The busy hours in pieces of a bounded size, in order; between the pieces there is nothing."""
    pieces: list[Piece] = []
    for hour in sorted(busy):
        last = pieces[-1] if pieces else None
        if (
            last
            and hour + HOUR - last.start <= _MOST_HOURS
            and last.rows + busy[hour] <= max(_MOST_WEIGHT, last.rows)
        ):
            pieces[-1] = Piece(last.start, hour + HOUR, last.rows + busy[hour])
        else:
            pieces.append(Piece(hour, hour + HOUR, busy[hour]))
    return pieces


class Busy:
    """Finds the busy hours of a workspace, or of all (None). Every method raises Retryable."""

    def __init__(self, store: Store, log: EventLog, database: Database, workspace_id: str | None) -> None:
        self._store = store
        self._log = log
        self._database = database
        self._workspace_id = workspace_id

    async def hours(self, start: int, end: int) -> dict[int, int]:
        """The hours from `start` to `end` (exclusive, ms) with anything in them, and what they weigh."""
        found: Counter[int] = Counter()
        found.update(await self._booked(start, end))
        found.update(await Rows(self._store, start, end, self._workspace_id).all_by_hour())
        found.update(dict.fromkeys(await self._logged(start, end), 1))
        for day, rows in (await self._occurred(start, end)).items():
            # The day of an event may have begun so much earlier, in the zone of its site.
            hours = range(hour_of(day - LONGEST_DAY), day + _DAY, HOUR)
            found.update(dict.fromkeys(hours, -(-rows // len(hours))))
        found.update(dict.fromkeys(await self._published(), 1))
        return {hour: weight for hour, weight in found.items() if start <= hour < end}

    async def _booked(self, start: int, end: int) -> Mapping[int, int]:
        lines: Counter[int] = Counter()
        async for part in parts(self._database, start, end, self._workspace_id):
            lines += await self._count(ledger, of_part(part))
        where = [dead_letters.c.hour >= start, dead_letters.c.hour < end]
        if self._workspace_id is not None:
            where.append(dead_letters.c.workspace_id == self._workspace_id)
        return lines + await self._count(dead_letters, where)

    async def _count(self, table: sa.Table, where: Sequence[sa.ColumnElement[bool]]) -> Counter[int]:
        counted = sa.select(table.c.hour, sa.func.count()).where(*where).group_by(table.c.hour)
        rows = await self._database.read(lambda connection: connection.execute(counted).all())
        return Counter({hour: count * _LINE for hour, count in rows})

    async def _occurred(self, start: int, end: int) -> Mapping[int, int]:
        """By day (UTC): events that occurred, and rollups of such."""
        days: Counter[int] = Counter()
        for table, at, only in (("events", "occurred_at", "1"), ("rollups", "at", "cube = 'total'")):
            rows = await self._store.query(
                f"SELECT toInt64(toUnixTimestamp(toStartOfDay({at}, 'UTC'))) * 1000 AS day, count()"  # noqa: S608 -- constants of this line
                f" FROM {table} WHERE {only} AND {at} >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')"
                f" AND {at} < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')"
                " AND ({workspace:String} = '' OR workspace_id = {workspace:String}) GROUP BY day",
                {"start": start, "end": end + LONGEST_DAY, "workspace": self._workspace_id or ""},
                lane="house",
            )
            for day, count in rows:
                days[day] += count
        return days

    async def _published(self) -> list[int]:
        manifest = await Builds(self._database).manifest()
        firsts = [hour_of(entry.first) for entry in manifest.entries]
        return firsts + [month_start(kept.month) for kept in manifest.visits]

    async def _logged(self, start: int, end: int) -> set[int]:
        """Hours in which closed records were appended, whoever knows of them."""
        closed = await self._database.read(closed_positions)
        hours: set[int] = set()
        for shard in await self._log.shards():
            there = await held(self._log, shard, closed.get(shard, -1))
            if there is None:
                continue
            upto = there.last
            after = await last_before(self._log, shard, (there.first.offset - 1, upto), start - SLACK)
            while after < upto:
                record = await next_readable(self._log, shard, after, upto)
                if record is None or record.offset > upto or record.appended_at * 1000 >= end + SLACK:
                    break
                at = to_millis(record.appended_at)
                hours |= {hour_of(at - SLACK), hour_of(at), hour_of(at + SLACK)}
                passed = await last_before(self._log, shard, (record.offset, upto), hour_of(at) + HOUR)
                after = max(record.offset, passed)
        return hours
