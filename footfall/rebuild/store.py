"""A new store, where the old one is lost: the worker stores again what the log still holds.

Here the books are made to say so. Of what is closed, the records that the log still has are taken out of
them, to be counted again as they are read again; of the rest, what was stored is lost. How many of
an hour's events that the log has in part were duplicates is not known by event: there it is the sum
that is right. Rollups were in the store: they are made anew. Of whose events are lost it is noted until when,
so that no answer about that time calls itself exact.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.eventlog.port import WORKER, EventLog, StoredRecord
from footfall.model.record import SEQ_PER_RECORD, decode
from footfall.model.times import to_millis
from footfall.state import ledger
from footfall.state.ledger import (
    HOUR,
    LedgerCount,
    Outcome,
    closed_positions,
    hour_of,
    is_backfilled,
    received,
)
from footfall.state.lost import Range, mark_booked
from footfall.state.rollups import builds
from footfall.state.tables import (
    dead_letters,
    discarded_letters,
    events_lost,
    last_stored,
    plans,
    positions,
    raw_deleted,
    rollup_building,
    rollup_entries,
    rollup_late,
    rollup_watermarks,
    visits_kept,
)
from footfall.state.tables import ledger as ledger_table
from footfall.tenants.model import DEFAULT_WORKSPACE

_AHEAD = 300_000  # ms by which an event may have occurred after it was received
_CHUNK_RECORDS = 2000
_CHUNK_BYTES = 4 << 20
_IN_STORE = (last_stored, rollup_building, rollup_entries, rollup_late, rollup_watermarks, visits_kept)
"""What tells of rows of the store, besides the ledger."""

_Cell = tuple[str, str, int, bool]  # workspace, site, hour, backfilled
_Line = tuple[Outcome, str]  # with reason
_Counts = Mapping[_Cell, Mapping[_Line, int]]


class _Present(NamedTuple):
    """Which closed records of a shard the log has: those behind `begin`, but not the `holes`."""

    begin: int
    holes: list[Range]


class StoredAgain(NamedTuple):
    """Events that were stored, as far as the log has them, and those that it has no more."""

    waiting: int
    lost: int


async def _nothing() -> None: ...


async def rebuild(
    log: EventLog, state: Database, no_way_back: Callable[[], Awaitable[None]] = _nothing
) -> StoredAgain:
    """Make `state` fit an empty store. Doing it again changes nothing. Raises Retryable.

    `no_way_back` is awaited just before `state` is changed: then nobody may put the old store back.
    """
    closed = await state.read(closed_positions)
    counts: defaultdict[_Cell, Counter[_Line]] = defaultdict(Counter)
    present: dict[int, _Present] = {}
    for shard, upto in closed.items():
        present[shard] = await _count(log, shard, upto, counts)
    # First the log keeps what is read again; only then may the state say that it is not stored.
    await log.drop_consumer(WORKER)
    for shard in await log.shards():
        await log.commit(WORKER, shard, present[shard].begin if shard in present else -1)
    waiting = sum(lines["received", ""] for lines in counts.values())
    await no_way_back()
    lost = await state.run(lambda connection: _write(connection, present, counts))
    return StoredAgain(waiting, lost)


async def _count(
    log: EventLog, shard: int, upto: int, counts: defaultdict[_Cell, Counter[_Line]]
) -> _Present:
    """Count the records up to the offset `upto` that the log has."""
    begin, after = upto, -1
    holes: list[Range] = []
    while after < upto:
        chunk = await log.read(shard, after, _CHUNK_RECORDS, _CHUNK_BYTES)
        if not chunk:
            break
        for entry in chunk:
            if entry.offset > upto:
                break
            begin = min(begin, entry.offset - 1)
            if begin <= after < entry.offset - 1:
                holes.append((after + 1, entry.offset - 1))
            _count_record(entry, counts)
            after = entry.offset
        if chunk[-1].offset > upto:
            break
    if begin <= after < upto:
        holes.append((after + 1, upto))
    return _Present(begin, holes)


def _count_record(entry: StoredRecord, counts: defaultdict[_Cell, Counter[_Line]]) -> None:
    try:
        record = None if entry.data is None else decode(entry.data)
    except ValueError:
        record = None
    if record is None:
        counts[DEFAULT_WORKSPACE, "", hour_of(to_millis(entry.appended_at)), False]["received", ""] += 1
        return
    hour, backfilled = hour_of(record.received_at), is_backfilled(record.source)
    for (site, outcome, reason), count in received(record).items():
        counts[record.workspace_id, site, hour, backfilled][outcome, reason] += count


def _write(connection: Connection, present: Mapping[int, _Present], counts: _Counts) -> int:
    connection.execute(plans.delete())
    for table in _IN_STORE:
        connection.execute(table.delete())
    builds.changed(connection)
    for shard in closed_positions(connection):
        name, (begin, holes) = f"{shard:016x}", present[shard]
        for table in (dead_letters, discarded_letters):  # they are read again
            again = sa.and_(table.c.shard == name, table.c.seq >= (begin + 1) * SEQ_PER_RECORD)
            connection.execute(table.delete().where(again))
        connection.execute(positions.update().where(positions.c.shard == name).values(offset=begin))
        # What the log lacks there was stored once, and is lost by the ledger of whose it was.
        mark_booked(connection, shard, holes)
    before, after = _cells(connection), _letters(connection)
    # Retention's limits, too: only the rollups said what had been before them.
    deleted = {row.site_id: row.at for row in connection.execute(sa.select(raw_deleted))}
    until: dict[tuple[str, str], int] = {}
    changes: list[LedgerCount] = []
    lost = 0
    for cell, lines in before.items():
        left = _left(lines, counts.get(cell, {}), after.get(cell, 0))
        lost += left["lost", ""] - lines.get(("lost", ""), 0)
        workspace, site, hour, backfilled = cell
        changes += [
            LedgerCount(workspace, site, hour, outcome, change, reason, backfilled)
            for outcome, reason in {*lines, *left}
            if (change := left[outcome, reason] - lines.get((outcome, reason), 0))
        ]
        if left["lost", ""] > lines.get(("lost", ""), 0):
            key = workspace, site
            until[key] = max(until.get(key, 0), hour + HOUR + _AHEAD, deleted.get(site, 0))
    ledger.add(connection, changes)
    _note_lost(connection, until)
    return max(lost, 0)


def _note_lost(connection: Connection, until: Mapping[tuple[str, str], int]) -> None:
    """Of what occurred before these times (ms), by workspace and site, some is lost."""
    known = {(row.workspace_id, row.site_id): row.at for row in connection.execute(sa.select(events_lost))}
    for (workspace, site), at in until.items():
        row = insert(connection, events_lost).values(
            workspace_id=workspace, site_id=site, at=max(at, known.get((workspace, site), 0))
        )
        keys = [events_lost.c.workspace_id, events_lost.c.site_id]
        connection.execute(row.on_conflict_do_update(index_elements=keys, set_={"at": row.excluded.at}))


def _left(lines: Mapping[_Line, int], taken: Mapping[_Line, int], letters: int) -> Counter[_Line]:
    """The lines of a cell without the records that are read again; what was stored of the rest is lost."""
    received = sum(count for (outcome, _), count in lines.items() if outcome == "received")
    total = max(received - taken.get(("received", ""), 0), letters)
    left: Counter[_Line] = Counter({("received", ""): total, ("dead_lettered", ""): letters})
    room = total - letters
    # Duplicates come last: of them only the sum is known.
    for line in sorted(lines, key=lambda line: line[0] == "duplicate"):
        if line[0] not in {"received", "stored", "dead_lettered"}:
            left[line] = min(max(lines[line] - taken.get(line, 0), 0), room)
            room -= left[line]
    left["lost", ""] += room
    return left


def _cells(connection: Connection) -> dict[_Cell, dict[_Line, int]]:
    found: defaultdict[_Cell, dict[_Line, int]] = defaultdict(dict)
    for row in connection.execute(sa.select(ledger_table)).mappings():
        cell = (row["workspace_id"], row["site_id"], row["hour"], bool(row["backfilled"]))
        found[cell][row["outcome"], row["reason"]] = row["count"]
    return dict(found)


def _letters(connection: Connection) -> dict[_Cell, int]:
    table = dead_letters
    keys = (table.c.workspace_id, table.c.site_id, table.c.hour, table.c.backfilled)
    rows = connection.execute(sa.select(*keys, sa.func.sum(table.c.events)).group_by(*keys))
    return {(workspace, site, hour, bool(late)): int(events) for workspace, site, hour, late, events in rows}
