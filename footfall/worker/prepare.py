"""From a batch of records to what is inserted, and to what the books say about it.

Read `Preparer.prepare` from top to bottom. What it decides depends on the records and on the
ids of closed batches only, so a batch that is prepared again after a crash comes out the same.
"""

import threading
import uuid
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import compress
from typing import NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
import structlog
from msgspec.structs import replace

from footfall import metrics
from footfall.enrich.pipeline import Pipeline, steps_of
from footfall.model.columns import NAMES
from footfall.model.reasons import MALFORMED
from footfall.model.record import WITHOUT_KEY, RawEvent, Record, event_positions, malformed_in
from footfall.model.times import Millis, now_ms
from footfall.state.batches import BatchPlan, Closing
from footfall.state.dead_letters.letter import DeadLetter
from footfall.state.ledger import hour_of
from footfall.state.stored_row import StoredRow
from footfall.store.arrow import table
from footfall.store.ids import EventId
from footfall.worker.columnar import Columns, columns
from footfall.worker.dead_letter_rate import Weight, weigh
from footfall.worker.dedup.by_key import RecentIdsByKey
from footfall.worker.dedup.keys import ID_BYTES, Ids, Mask, payload_digests
from footfall.worker.dedup.sorted_run import sort
from footfall.worker.entry import entry_columns, facts_of
from footfall.worker.first_copies import FirstCopies, PendingIds, Position, first_copies
from footfall.worker.ledger_counts import BatchLedger, hours_of, letter_of_record, letters_of_events
from footfall.worker.reader import Placed, RecordBatch
from footfall.worker.sessions import Sessions
from footfall.worker.shares import owners

log = structlog.get_logger(__name__)

# What unpacking a record that contradicts itself raises.
_CONTRADICTION = (IndexError, TypeError, ValueError)

Why = tuple[str, str]
"""Of a dead letter: reason and detail."""


class Prepared(NamedTuple):
    """A batch that only has to be inserted, and then closed."""

    plan: BatchPlan
    batch: RecordBatch
    rows: pa.Table
    closing: Closing
    ids: Ids  # those that clients sent with `rows`: known as soon as the batch is closed
    received: tuple[float, float]  # Unix seconds: when its newest and its oldest record came
    first_copies: FirstCopies  # of all its readable events, as first decided
    weight: Weight

    @property
    def dead(self) -> int:
        """How many of its events become dead letters, those in records that cannot be read included.

        Malformed messages are left out: it is their senders who are wrong, and not what stores them.
        """
        of_events = sum(not (each.whole or each.reason == MALFORMED) for each in self.closing.dead_letters)
        return of_events + self.weight.unreadable

    @property
    def pending(self) -> PendingIds:
        """Its ids, until it is closed."""
        return PendingIds(sort(self.ids), self.received[1])


class Attempt(NamedTuple):
    """Letters whose events could be made into rows, each with its row, at the same place."""

    letters: Sequence[DeadLetter]
    rows: pa.Table
    names: Sequence[EventId]
    ids: Ids
    oldest: int  # when the first of them occurred, by any of its times, or was received (ms)


class Preparer:
    """Knows the recent ids and the sessions. It may be called from several threads, which take turns."""

    def __init__(self, sessions: Sessions, recent: RecentIdsByKey, *, hash_routes: bool = False) -> None:
        self._pipeline = Pipeline(steps_of(hash_routes=hash_routes))
        self._sessions = sessions
        self._recent = recent
        self._turn = threading.Lock()

    @metrics.ENRICH_SECONDS.time()
    def prepare(
        self,
        batch: RecordBatch,
        pending: Sequence[PendingIds] = (),
        plan: BatchPlan | None = None,
        present: Container[Position] = (),
    ) -> Prepared:
        """All that a batch needs no store for.

        `pending`: the ids of the batch before this one, while that is not closed. `plan`: of a
        batch that was planned before; what of it is `present` in the store counts, whatever was
        learnt of its ids since.
        """
        with self._turn:
            return self._prepare(batch, pending, plan, present)

    def set_aside(self, prepared: Prepared, refused: Collection[Position]) -> Prepared:
        """The batch again, without the events that the store would not take."""
        with self._turn:
            return self._prepare(
                prepared.batch, (), prepared.plan, (), refused=refused, copies=prepared.first_copies
            )

    def _prepare(
        self,
        batch: RecordBatch,
        pending: Sequence[PendingIds],
        plan: BatchPlan | None,
        present: Container[Position],
        *,
        refused: Collection[Position] = (),
        copies: FirstCopies | None = None,
    ) -> Prepared:
        now = now_ms()
        records = batch.records
        books = BatchLedger(records)
        rows, events, dead = _unpack(records)
        copies = copies or first_copies(self._recent, rows, events, pending, present)
        ids, keep = copies.ids, copies.keep
        again = None if keep.all() else _pick(rows, ~keep)
        rows = firsts = _pick(rows, keep)
        if refused:
            dead |= dict.fromkeys(refused, ("refused_by_store", ""))
            rows, ids = _set_aside(rows, ids, dead)
        try:
            arrow = self._table(rows)
        except Exception:  # noqa: BLE001 -- whatever it is, one event must not stop the others
            dead |= {place: ("unprocessable", type(error).__name__) for place, error in self._poison(rows)}
            rows, ids = _set_aside(rows, ids, dead)
            arrow = self._table(rows)
        books.count(rows, "stored")
        if again:
            copies_of_dead = _copies_of_dead(again, firsts, dead)
            dead |= copies_of_dead
            books.count(_pick(again, _alive(again, copies_of_dead)), "duplicate")

        letters = [letter_of_record(placed, now) for placed in records if placed.record is None]
        letters += letters_of_events(records, dead, now)
        plan = plan or _new_plan(batch, rows["occurred_at"], now)
        times = [placed.record.received_at for placed in records if placed.record]
        received = max(times, default=now) / 1000, min(times, default=now) / 1000
        known_from = int(min(copies.known_from, received[1]) * 1000)
        known = dict.fromkeys(map(hour_of, times), known_from)
        closing = Closing(books.counts(), letters, _newest(rows), known, hours_of(records))
        return Prepared(plan, batch, arrow, closing, ids, received, copies, weigh(records))

    def prepare_letters(self, letters: Iterable[DeadLetter]) -> tuple[Attempt, dict[Position, str]]:
        """Letters of events, tried again: those that are rows now, and of the others the kind of error."""
        failed: dict[Position, str] = {}
        good: list[DeadLetter] = []
        events: list[RawEvent] = []
        every: list[Columns] = []
        for letter in letters:
            try:
                record = letter.record()
                every.append(_columns([(letter.shard, 0, record)]) | {"seq": [letter.seq]})
                (event,) = record.events
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is this letter's
                failed[letter.shard, letter.seq] = type(error).__name__
                del every[len(good) :]
                continue
            good.append(letter)
            events.append(event)
        rows = {name: [each[name][0] for each in every] for name in every[0]} if every else columns(())
        with self._turn:
            try:
                arrow = self._table(rows)
            except Exception:  # noqa: BLE001 -- as in prepare
                failed |= {place: type(error).__name__ for place, error in self._poison(rows)}
                alive = [(each.shard, each.seq) not in failed for each in good]
                good, events = list(compress(good, alive)), list(compress(events, alive))
                rows = _pick(rows, np.array(alive, np.bool_))
                arrow = self._table(rows)
        of_letters = zip(rows["workspace_id"], rows["event_id"], strict=True)
        names = [EventId(workspace, UUID(bytes=event_id)) for workspace, event_id in of_letters]
        without_key = [source in WITHOUT_KEY for source in rows["source"]]
        digests = payload_digests(events)
        ids = self._recent.identify(rows["workspace_id"], rows["event_id"], digests, without_key)
        clamped = filter(None, rows["occurred_at_original"])  # another copy may have been stored as it is
        oldest = min([*rows["occurred_at"], *rows["received_at"], *clamped], default=0)
        return Attempt(good, arrow, names, ids, oldest), failed

    def _table(self, rows: Columns) -> pa.Table:
        self._pipeline.run(rows)
        self._sessions.pair(rows["device_hash"], rows["previous_device"], owners(rows))
        # Over midnight (UTC) it changes visitor_id, too.
        columns = (rows[name] for name in ("visitor_id", "occurred_at", "received_at", "session_id"))
        rows["session_id"], entries = self._sessions.assign(
            *columns, owner_of=owners(rows), events=facts_of(rows)
        )
        of_visits = entry_columns(entries)
        return table({name: of_visits[name] if name in of_visits else rows[name] for name in NAMES})

    def _poison(self, rows: Columns) -> list[tuple[Position, Exception]]:
        """The events that cannot be made into rows, found by halving, and why."""
        try:
            self._table(rows)
        except Exception as error:  # noqa: BLE001 -- as in prepare
            count = len(rows["seq"])
            if count == 1:
                return [((rows["shard"][0], rows["seq"][0]), error)]
            first = np.arange(count) < count // 2
            return self._poison(_pick(rows, first)) + self._poison(_pick(rows, ~first))
        return []


def _unpack(records: Sequence[Placed]) -> tuple[Columns, list[RawEvent], dict[Position, Why]]:
    """The events of all readable records, as columns and as they are; and those that contradict theirs."""
    whole = [(placed.shard, placed.offset, placed.record) for placed in records if placed.record is not None]
    dead: dict[Position, Why] = {}
    try:
        rows = _columns(whole)
    except _CONTRADICTION:
        seqs: list[int] = []
        for number, (shard, offset, record) in enumerate(whole):
            wrong = _contradictions(record)
            seq = event_positions(offset, len(record.events))
            dead |= {(shard, seq[index]): why for index, why in wrong.items()}
            good = [index for index in range(len(record.events)) if index not in wrong]
            seqs += [seq[index] for index in good]
            whole[number] = (shard, offset, replace(record, events=[record.events[index] for index in good]))
        rows = _columns(whole) | {"seq": seqs}
    return rows, [event for _, _, record in whole for event in record.events], dead


def _contradictions(record: Record) -> dict[int, Why]:
    """Why each event, by its index, cannot be a row: it stands for none, or contradicts its record."""
    wrong: dict[int, Why] = {}
    with suppress(*_CONTRADICTION):
        _columns([(0, 0, record)])
        return wrong
    for index, event in enumerate(record.events):
        try:
            _columns([(0, 0, replace(record, events=[event]))])
        except _CONTRADICTION as error:
            malformed = malformed_in(event)
            wrong[index] = (MALFORMED, malformed) if malformed else ("unprocessable", type(error).__name__)
    return wrong


def _columns(records: Iterable[tuple[int, int, Record]]) -> Columns:
    rows = columns(records)
    if not {ID_BYTES}.issuperset(map(len, rows["event_id"])):
        raise ValueError("an id has 16 bytes")
    return rows


def _new_plan(batch: RecordBatch, occurred_at: Sequence[int], now: Millis) -> BatchPlan:
    """A plan for `batch`, whose rows occurred at these times (ms)."""
    return BatchPlan(
        id=uuid.uuid4().hex,
        ranges=batch.ranges,
        rows=len(occurred_at),
        min_occurred=min(occurred_at, default=0),
        max_occurred=max(occurred_at, default=0),
        created_at=now,
    )


def _newest(rows: Columns) -> StoredRow | None:
    """The row that occurred last; None of none."""
    times = rows["occurred_at"]
    if not times:
        return None
    latest = max(times)
    index = times.index(latest)
    return StoredRow(rows["shard"][index], rows["seq"][index], latest)


def _set_aside(rows: Columns, ids: Ids, dead: Container[Position]) -> tuple[Columns, Ids]:
    """The rows, and the ids sent with them, without the dead ones."""
    alive = _alive(rows, dead)
    kept = alive[np.flatnonzero(np.array(rows["client_id"], np.bool_))]
    return _pick(rows, alive), Ids(ids.key[kept], ids.rest[kept])


def _alive(rows: Columns, dead: Container[Position]) -> Mask:
    return np.array([place not in dead for place in zip(rows["shard"], rows["seq"], strict=True)], np.bool_)


def _copies_of_dead(again: Columns, firsts: Columns, dead: Mapping[Position, Why]) -> dict[Position, Why]:
    """The duplicates whose first copy is dead: they go with it, since a letter may be discarded."""

    def named(rows: Columns) -> Iterable[tuple[Position, tuple[str, bytes]]]:
        places = zip(rows["shard"], rows["seq"], strict=True)
        return zip(places, zip(rows["workspace_id"], rows["event_id"], strict=True), strict=True)

    why = {name: dead[place] for place, name in named(firsts) if place in dead} if dead else {}
    return {place: why[name] for place, name in named(again) if name in why} if why else {}


def _pick(rows: Columns, mask: Mask) -> Columns:
    if mask.all():
        return rows
    chosen = mask.tolist()
    return {name: list(compress(values, chosen)) for name, values in rows.items()}
