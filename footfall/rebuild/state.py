"""A new state database from what the store and the log hold, where the old one is lost.

Exact: how far the log is stored, so that nothing is stored twice; and the books of what the store
and the log hold. What cannot be known any more, `footfall rebuild-state` says. Events of the log that
are not in the store, though what came after them is, become dead letters: they were duplicates
without a known first copy, dead or discarded letters, or of a batch that was cut short. A retry asks the
store for each.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from footfall.database import Database
from footfall.errors import Invalid
from footfall.eventlog.port import WORKER, EventLog, StoredRecord
from footfall.model.record import NIL_ID, SEQ_PER_RECORD, RawEvent, Record, decode
from footfall.model.times import now_ms, to_millis
from footfall.state import ledger
from footfall.state.dead_letters import rows
from footfall.state.dead_letters.letter import DeadLetter, event_letter, unreadable_letter
from footfall.state.ledger import ADJUSTED, LedgerCount, hour_of, is_backfilled, received
from footfall.state.tables import positions, rollup_head
from footfall.store.ids import EventId, stored_ids
from footfall.store.port import Store
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.verify import store_queries

REASON = "unaccounted"
"""Of the dead letters."""

_CHUNK_RECORDS = 2000
_CHUNK_BYTES = 4 << 20
_MOST_LETTERS = 100_000
# Of the store's DateTime64: from 1900 to 2299, ms.
_EARLIEST, _LATEST = -2_208_988_800_000, 10_413_791_999_999

_STORED = (
    "SELECT workspace_id, site_id, toInt64(toUnixTimestamp(toStartOfHour(received_at))) * 1000 AS hour,"
    " source LIKE 'import:%' AS backfilled,"
    " toUnixTimestamp64Milli(occurred_at_original) != 0 AS adjusted, count() FROM events GROUP BY ALL"
)
_ENDS = f"SELECT shard, intDiv(max(seq), {SEQ_PER_RECORD}) FROM events GROUP BY shard"  # noqa: S608 -- a constant
_BUILDS = (
    "SELECT max(build) FROM (SELECT max(build) AS build FROM rollups UNION ALL SELECT max(build) FROM visits)"
)
# What retention deleted before it wrote that down here: rollups of a site's month without events. A rollup
# of a day begins when that day does in its site's zone, so it may stand in the month before.
_HISTORY = (
    "SELECT count() FROM"
    " (SELECT DISTINCT site_id, toYYYYMM(at) AS month, toYYYYMM(at + INTERVAL 2 DAY) AS next"
    " FROM rollups)"
    " WHERE (site_id, month) NOT IN (SELECT site_id, toYYYYMM(occurred_at) FROM events)"
    " AND (site_id, next) NOT IN (SELECT site_id, toYYYYMM(occurred_at) FROM events)"
)


class RebuiltState(NamedTuple):
    """What the new state database says."""

    shards: int
    stored: int  # events
    letters: int


class _Found(NamedTuple):
    """What the log holds below the positions."""

    counts: list[LedgerCount]
    letters: list[DeadLetter]


async def rebuild(store: Store, log: EventLog, state: Database, committed: Mapping[int, int]) -> RebuiltState:
    """Fill the empty `state`; `committed`: by shard what the worker has released in the log.

    One transaction. Raises Invalid when there is what only the old one could tell, Retryable.
    """
    ((history,),) = await store.query(_HISTORY, lane="house")
    ((visits,),) = await store.query("SELECT count() FROM visits", lane="house")
    ((deleted,),) = await store.query("SELECT count() FROM deleted_events", lane="house")
    if history or visits or deleted:
        raise Invalid(
            "rollups hold what retention has deleted of the events, and only state.db could say which of them"
            " count: restore the whole data directory from one backup"
        )
    ends = await store.query(_ENDS, lane="house")
    closed = dict(committed)
    for shard, offset in ends:
        closed[shard] = max(offset, closed.get(shard, -1))
    counts: list[LedgerCount] = []
    for workspace, site, hour, backfilled, adjusted, count in await store.query(_STORED, lane="house"):
        line = LedgerCount(workspace, site, hour, "stored", count, backfilled=bool(backfilled))
        reason = ADJUSTED if adjusted else ""
        counts += [line, msgspec.structs.replace(line, outcome="received", reason=reason)]
    stored = sum(count.count for count in counts if count.outcome == "stored")
    letters: list[DeadLetter] = []
    for shard in await log.shards():
        found = await _compare(store, log, shard, closed.get(shard, -1))
        counts += found.counts
        letters += found.letters
        if len(letters) > _MOST_LETTERS:
            raise Invalid(
                f"more than {_MOST_LETTERS:,} events of the log are not in the store: restore the whole data"
                " directory from one backup"
            )
    ((build,),) = await store.query(_BUILDS, lane="house")

    def write(connection: Connection) -> None:
        ledger.add(connection, counts)
        rows.add(connection, letters)
        for shard, offset in closed.items():
            if offset >= 0:
                connection.execute(positions.insert().values(shard=f"{shard:016x}", offset=offset))
        connection.execute(
            rollup_head.insert().values(id=1, version=1, next_build=int(build or 0) + 1, sliced_at=0)
        )

    await state.run(write)
    for shard in await log.shards():
        await log.commit(WORKER, shard, closed.get(shard, -1))
    return RebuiltState(len(closed), stored, len(letters))


async def _compare(store: Store, log: EventLog, shard: int, upto: int) -> _Found:
    """What the records of a shard up to the offset `upto` add to what is stored."""
    found = _Found([], [])
    after = -1
    while after < upto:
        chunk = await log.read(shard, after, _CHUNK_RECORDS, _CHUNK_BYTES)
        if not chunk:
            break
        after = chunk[-1].offset
        wanted = [entry for entry in chunk if entry.offset <= upto]
        if wanted:
            await _compare_chunk(store, shard, wanted, found)
    return found


async def _compare_chunk(store: Store, shard: int, chunk: Sequence[StoredRecord], found: _Found) -> None:
    records = [(entry, _record(entry)) for entry in chunk]
    times = [event.occurred_at for _, record in records if record for event in record.events]
    there = await store_queries.at_positions(
        store,
        shard,
        (chunk[0].offset * SEQ_PER_RECORD, (chunk[-1].offset + 1) * SEQ_PER_RECORD - 1),
        (max(min(times, default=0), _EARLIEST), min(max(times, default=0), _LATEST)),
    )
    absent: list[tuple[Record, int, int]] = []  # record, index, seq
    for entry, record in records:
        indexes = set(there.get(entry.offset, ()))
        if record is None:
            if not indexes:
                found.letters.append(_unreadable(shard, entry))
                found.counts.append(_one(found.letters[-1]))
            continue
        found.counts.extend(_refused(record))
        seq = entry.offset * SEQ_PER_RECORD
        absent += [(record, i, seq + i) for i in range(len(record.events)) if i not in indexes]
    known = await _known(store, absent)
    for record, index, seq in absent:
        event = record.events[index]
        line = LedgerCount(
            record.workspace_id,
            event.site_id,
            hour_of(record.received_at),
            "duplicate",
            1,
            backfilled=is_backfilled(record.source),
        )
        if _id(record, event) in known:
            found.counts.append(line)
        else:
            now = now_ms()
            found.letters.append(event_letter(record, index, shard, seq, reason=REASON, failed_at=now))
        found.counts.append(msgspec.structs.replace(line, outcome="received"))


async def _known(store: Store, absent: Sequence[tuple[Record, int, int]]) -> set[EventId]:
    """Of the ids that clients sent with these events: those that are in the store."""
    ids = {_id(record, record.events[index]) for record, index, _ in absent}
    return await stored_ids(store, [each for each in ids if each], lane="house")


def _id(record: Record, event: RawEvent) -> EventId | None:
    """The id that the client sent."""
    named = event.client_id and len(event.event_id) == len(NIL_ID)
    return EventId(record.workspace_id, UUID(bytes=event.event_id)) if named else None


def _refused(record: Record) -> list[LedgerCount]:
    """What the door refused of the request, which is received as well."""
    hour, backfilled = hour_of(record.received_at), is_backfilled(record.source)
    counts: Counter[str] = Counter()
    lines: list[LedgerCount] = []
    for (site, outcome, reason), count in received(record).items():
        if outcome != "received":
            lines.append(LedgerCount(record.workspace_id, site, hour, outcome, count, reason, backfilled))
            counts[site] += count
    return lines + [
        LedgerCount(record.workspace_id, site, hour, "received", count, backfilled=backfilled)
        for site, count in counts.items()
    ]


def _record(entry: StoredRecord) -> Record | None:
    try:
        return None if entry.data is None else decode(entry.data)
    except ValueError:
        return None


def _unreadable(shard: int, entry: StoredRecord) -> DeadLetter:
    return unreadable_letter(
        DEFAULT_WORKSPACE,
        shard,
        entry.offset * SEQ_PER_RECORD,
        entry.data,
        appended_at=to_millis(entry.appended_at),
        reason="damaged" if entry.data is None else "undecodable",
        failed_at=now_ms(),
    )


def _one(letter: DeadLetter) -> LedgerCount:
    return LedgerCount(letter.workspace_id, letter.site_id, letter.hour, "received", letter.events)
