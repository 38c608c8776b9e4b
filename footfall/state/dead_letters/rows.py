"""Dead letters as rows of the state database. Every step moves the ledger's counts with them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection, RowMapping

from footfall.database import insert
from footfall.model.record import Record
from footfall.model.times import DAY_MS, Millis
from footfall.state import ledger
from footfall.state.dead_letters.letter import MAX_DETAIL, DeadLetter, event_letter
from footfall.state.ledger import LedgerCount, Outcome
from footfall.state.rollups import builds
from footfall.state.tables import dead_letters as table
from footfall.state.tables import discarded_letters, retried_letters

T = TypeVar("T")

DISCARDED = "discarded"
READ_LATER = "read_later"
"""Reason of a letter whose record could not be read at first: it is due at once."""

_PARAMETERS = 500  # of one statement; SQLite takes 32,766, old builds 999

# So long after it was discarded or stored (ms) the records around a letter may be read for their ids again.
_PLACES_KEPT = 90 * DAY_MS


class Size(NamedTuple):
    """How many letters there are, and the bytes of their payloads."""

    letters: int
    bytes: int


class Settled(Struct, frozen=True):
    """What became of a letter that was retried. `failed`: it stays, with a new reason."""

    letter: DeadLetter
    outcome: Literal["stored", "duplicate", "failed"]
    reason: str = ""
    detail: str = ""
    at: int = 0  # of a failure, ms


def size(connection: Connection) -> Size:
    """How much is kept, of all workspaces."""
    # Where a digest is, the bytes are not.
    payload = sa.case((table.c.digest == "", table.c.size), else_=0)
    count, total = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(payload), 0))
    ).one()
    return Size(count, int(total))


def read(connection: Connection, letters: sa.ColumnElement[bool]) -> list[DeadLetter]:
    """Those, by position."""
    rows = connection.execute(sa.select(table).where(letters).order_by(table.c.shard, table.c.seq))
    return [letter(row) for row in rows.mappings()]


def add(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep these letters, and count them as dead-lettered."""
    if letters:
        connection.execute(table.insert(), [_row(each) for each in letters])
        ledger.add(connection, [_count(each, "dead_lettered", each.events) for each in letters])


def settle(connection: Connection, results: Sequence[Settled], now: Millis) -> list[tuple[int, int]]:
    """What was `stored` or is a `duplicate` is no dead letter any more. `now` in ms.

    Returns shard and seq of what is stored now. These are remembered: their ids may be asked for long after
    their records.
    """
    gone: list[DeadLetter] = []
    stored: list[tuple[int, int]] = []
    moved: list[LedgerCount] = []
    for some in chunks(results):
        open_now = _retrying(connection, [result.letter for result in some])
        for result in some:
            found = open_now.get((result.letter.shard, result.letter.seq))
            if found is None:
                continue
            if result.outcome == "failed":
                _failed(connection, found, result)
                continue
            gone.append(found)
            moved += _moved(found, result.outcome)
            if result.outcome == "stored":
                stored.append((found.shard, found.seq))
    _remove(connection, gone)
    builds.note_late(connection, stored)
    _note_retried(connection, stored, now)
    ledger.add(connection, moved)
    return stored


def unfold(connection: Connection, records: Sequence[tuple[DeadLetter, Record]]) -> None:
    """Records that can be read by now: in place of each there is a letter of each of its events, due.

    What was counted as one event of nobody's is counted as what it is.
    """
    open_now = _retrying(connection, [whole for whole, _ in records])
    for whole, record in records:
        if (whole.shard, whole.seq) not in open_now:
            continue
        _remove(connection, [whole])
        of_the_record = [
            LedgerCount(
                record.workspace_id,
                site_id,
                ledger.hour_of(record.received_at),
                outcome,
                count,
                reason,
                ledger.is_backfilled(record.source),
            )
            for (site_id, outcome, reason), count in ledger.received(record).items()
        ]
        nobodys = [_count(whole, outcome, -whole.events) for outcome in ("received", "dead_lettered")]
        ledger.add(connection, [*nobodys, *of_the_record])
        letters = [
            event_letter(
                record,
                index,
                whole.shard,
                whole.seq + index,
                reason=READ_LATER,
                failed_at=whole.failed_at,
            )
            for index in range(len(record.events))
        ]
        add(connection, [msgspec.structs.replace(each, status="due") for each in letters])


def discard(connection: Connection, letters: Sequence[DeadLetter], now: Millis) -> None:
    """Forget these letters: their events are dropped. `now` in ms.

    Their positions are remembered: their ids are not those of stored events.
    """
    _remove(connection, letters)
    ledger.add(connection, [count for each in letters for count in _moved(each, "dropped", DISCARDED)])
    rows = [
        {"shard": f"{each.shard:016x}", "seq": each.seq, "whole": each.whole, "discarded_at": now}
        for each in letters
    ]
    if rows:
        connection.execute(insert(connection, discarded_letters).on_conflict_do_nothing(), rows)
    old = discarded_letters.c.discarded_at < now - _PLACES_KEPT
    connection.execute(discarded_letters.delete().where(old))


def _note_retried(connection: Connection, stored: Sequence[tuple[int, int]], now: Millis) -> None:
    """Where letters were that are stored now. `now` in ms."""
    rows = [{"shard": f"{shard:016x}", "seq": seq, "stored_at": now} for shard, seq in stored]
    if rows:
        connection.execute(insert(connection, retried_letters).on_conflict_do_nothing(), rows)
        old = retried_letters.c.stored_at < now - _PLACES_KEPT
        connection.execute(retried_letters.delete().where(old))


def letter(row: RowMapping) -> DeadLetter:
    """A row as a letter; without the payload, where that was not selected."""
    values = {str(name): value for name, value in row.items()}
    return msgspec.convert(values | {"shard": int(row["shard"], 16)}, DeadLetter)


def at(shard: int, seq: int) -> sa.ColumnElement[bool]:
    """The letter at a position."""
    return sa.and_(table.c.shard == f"{shard:016x}", table.c.seq == seq)


def among(positions: Iterable[tuple[int, int]]) -> sa.ColumnElement[bool]:
    """The letters at these positions: no more than `chunks` makes of them."""
    by_shard: dict[int, list[int]] = {}
    for shard, seq in positions:
        by_shard.setdefault(shard, []).append(seq)
    return sa.or_(
        sa.false(),
        *(
            sa.and_(table.c.shard == f"{shard:016x}", table.c.seq.in_(seqs))
            for shard, seqs in by_shard.items()
        ),
    )


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """In parts, each few enough for the parameters of one statement."""
    return (items[start : start + _PARAMETERS] for start in range(0, len(items), _PARAMETERS))


def places(letters: Iterable[DeadLetter]) -> list[tuple[int, int]]:
    """Their positions."""
    return [(each.shard, each.seq) for each in letters]


def _retrying(connection: Connection, letters: Sequence[DeadLetter]) -> dict[tuple[int, int], DeadLetter]:
    """As they stand now, those the worker has: one that was settled before is gone, or waits again."""
    found = [
        each
        for some in chunks(letters)
        for each in read(connection, among(places(some)))
        if each.status == "retrying"
    ]
    return dict(zip(places(found), found, strict=True))


def _failed(connection: Connection, found: DeadLetter, result: Settled) -> None:
    connection.execute(
        table.update()
        .where(at(found.shard, found.seq))
        .values(
            status="kept",
            attempts=found.attempts + 1,
            reason=result.reason,
            detail=result.detail[:MAX_DETAIL],
            failed_at=result.at,
        )
    )


def _remove(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    for some in chunks(letters):
        connection.execute(table.delete().where(among(places(some))))


def _row(each: DeadLetter) -> dict[str, Any]:
    values = {name: getattr(each, name) for name in DeadLetter.__struct_fields__}
    return values | {"shard": f"{each.shard:016x}"}


def _count(each: DeadLetter, outcome: Outcome, count: int, reason: str = "") -> LedgerCount:
    return LedgerCount(each.workspace_id, each.site_id, each.hour, outcome, count, reason, each.backfilled)


def _moved(each: DeadLetter, outcome: Outcome, reason: str = "") -> tuple[LedgerCount, LedgerCount]:
    return (
        _count(each, "dead_lettered", -each.events),
        _count(each, outcome, each.events, reason),
    )
