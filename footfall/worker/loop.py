"""The one loop: log -> prepare -> plan -> insert -> close.

A batch is planned (durably) before its first row is inserted, and closed in one state
transaction (positions, ledger, dead letters) after its last one is durable in the store. The
ids that clients sent are remembered only then, and the log's commit follows, which merely
releases retention. So a crash at any instant leaves either nothing of a batch, or an open plan;
the next start does open plans first: it prepares the same batch again, asks the store which
rows are there, and inserts the others.

While one batch is inserted the next one is read and prepared. Inserts and closes never
overlap and keep the log's order.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import numpy as np
import structlog

from footfall import metrics
from footfall.errors import Retryable
from footfall.eventlog.port import WORKER, EventLog
from footfall.model.reasons import NEWER_FORMAT
from footfall.runtime.background import set_within
from footfall.settings import Settings
from footfall.state.batches import Batches, SeqRange
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.lease import Fence, Lease
from footfall.store.port import Store
from footfall.worker.backoff import Backoff, Breaker, StopRequested
from footfall.worker.dead_letter_rate import DeadLetterRate, tell
from footfall.worker.dead_letters import Retries
from footfall.worker.dedup.by_key import RecentIdsByKey
from footfall.worker.dedup.restore import DurableRecentIds
from footfall.worker.dedup.sorted_run import sort
from footfall.worker.first_copies import PendingIds
from footfall.worker.gone import book_gone
from footfall.worker.insert import insert_exactly, present
from footfall.worker.marks import Marks
from footfall.worker.obstacles import (
    Obstacle,
    Pauses,
    made_by_a_newer_version,
    no_room,
    planned_missing,
    too_many,
)
from footfall.worker.prepare import Prepared, Preparer
from footfall.worker.reader import BatchReader, PlannedMissing, RecordBatch, begin, read_again
from footfall.worker.sessions import Sessions
from footfall.worker.threads import end_of, in_thread

log = structlog.get_logger(__name__)

_POLL = 0.05  # seconds between looks at a log that has little to read:
_LITTLE = 1000  # rows
_SECOND = 1.0  # between measurements, and looks for dead letters to retry
_RETRY_PAUSE = 10.0  # after a round of letters that could not be made
LEASE_SECONDS = 30.0
_INSERT_MARGIN = 5.0  # seconds of lease that an insert needs at its beginning


class Worker:
    """Takes what is in the log to the store. One per log and store: it holds a lease."""

    def __init__(
        self,
        log: EventLog,
        store: Store,
        batches: Batches,
        dead_letters: DeadLetters,
        lease: Lease,
        fence: Fence,
        settings: Settings,
    ) -> None:
        self._log = log
        self._store = store
        self._batches = batches
        self._dead_letters = dead_letters
        self._lease = lease
        self._fence = fence
        self._settings = settings
        self._sessions = Sessions(timeout=settings.session_timeout, memory=settings.session_memory)
        self._recent = RecentIdsByKey(settings.recent_ids, settings.recent_ids_window)
        self._memory = DurableRecentIds(
            self._recent, settings.data / "recent-ids", settings.recent_ids_window
        )
        self._marks = Marks(settings.data / "store")
        self._preparer = Preparer(self._sessions, self._recent, hash_routes=settings.hash_routes)
        self._dead_share = DeadLetterRate(settings.dead_letter_share)
        self._pauses = Pauses()
        self._started = False
        self._reader: BatchReader | None = None
        self._stored = 0
        self._refused = 0  # by the store, of the last batch
        self._looked = 0.0
        self._retry_from = 0.0

    @property
    def fence(self) -> Fence:
        """The lease that makes it the only one."""
        return self._fence

    @property
    def complete_through(self) -> float:
        """Unix time up to which every acknowledged event is in the store; 0 before that is known."""
        return self._reader.complete_through if self._reader else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let the running insert close. The rest stays in the log.

        Raises Conflict when another worker took over.
        """
        with contextlib.suppress(StopRequested):
            await self._work(Backoff(stop), until_empty=False)

    async def drain(self) -> int:
        """Work until the log is empty, however often the store fails. Returns the events stored."""
        before = self._stored
        await self._work(Backoff(asyncio.Event()), until_empty=True)
        return self._stored - before

    async def _work(self, patience: Backoff, *, until_empty: bool) -> None:
        stop = patience.stop
        self._patience = patience
        self._breaker = Breaker(self._store, patience)
        reach = self._settings.recent_ids_window + self._settings.max_past
        self._retries = Retries(
            self._store,
            self._dead_letters,
            self._preparer,
            self._memory,
            patience,
            self._breaker,
            self._allowed,
            reach,
        )
        reader = await self._start()
        inserting: asyncio.Task[None] | None = None
        pending: list[PendingIds] = []
        try:
            while not stop.is_set():
                found = await reader.read_on()
                if reader.hole:  # before a batch behind it is planned
                    inserting = await end_of(inserting)  # what it closes may go from the log at once
                    closed = reader.done_positions
                    await patience.until_done(
                        lambda closed=closed: book_gone(self._log, self._batches, closed)
                    )
                    reader.hole = False
                if inserting and inserting.done():
                    inserting = await end_of(inserting)
                tried = 0
                if await self._every_second():
                    inserting = await end_of(inserting)  # a letter may hold an id of that batch
                    tried = await self._retry()
                rest = until_empty and not found and reader.waiting
                if reader.full or rest or (reader.ripe and not inserting):
                    batch = await self._begun(reader.cut())
                    prepared = await self._prepared(batch, pending if inserting else [])
                    inserting = await end_of(inserting)
                    prepared = await self._admitted(prepared)
                    if not stop.is_set():
                        inserting = asyncio.create_task(self._store_batch(prepared))
                        pending = [prepared.pending]
                elif until_empty and not found and not tried and not reader.held:
                    if not inserting:
                        break
                    inserting = await end_of(inserting)
                elif found < _LITTLE and (reader.held or not until_empty):
                    await set_within(stop, _POLL)
        finally:
            try:
                await end_of(inserting)
            finally:
                await self._memory.close(reader.done_positions)

    async def _start(self) -> BatchReader:
        """Remember what is needed, finish what a crash left open, then read on behind what is closed."""
        until_done = self._patience.until_done
        self._pauses.over()
        if not self._started:
            await until_done(lambda: self._sessions.load(self._store))
            closed = await until_done(self._batches.positions)
            await until_done(lambda: book_gone(self._log, self._batches, closed))
            unstored = await until_done(self._dead_letters.unstored)
            retried = await until_done(self._dead_letters.retried)
            await until_done(lambda: self._memory.restore(self._log, self._store, closed, unstored, retried))
            self._started = True
        await self._retries.finish()
        for plan in await until_done(self._batches.open_plans):
            log.warning("a batch was left open; its missing rows are inserted", batch=plan.id, rows=plan.rows)
            batch = await until_done(lambda ranges=plan.ranges: self._read_again(ranges))
            while obstacle := self._newer(batch):
                await self._every_second()
                await self._patience.pause(self._pauses.again(obstacle))
            there = await until_done(lambda plan=plan: present(self._store, plan))
            prepared = await in_thread(self._preparer.prepare, batch, (), plan, there)
            await self._insert_and_close(prepared, uncertain=True)
        closed = await until_done(self._batches.positions)
        await self._release(closed)
        self._reader = BatchReader(self._log, closed, self._settings)
        return self._reader

    async def _begun(self, batch: RecordBatch) -> RecordBatch:
        """The batch as it is in the log from now on. Before it is prepared, and so before its plan."""
        if await self._patience.until_done(lambda: begin(self._log, batch.ranges)):
            return batch
        return await self._patience.until_done(lambda: self._read_again(batch.ranges))

    async def _read_again(self, ranges: Sequence[SeqRange]) -> RecordBatch:
        try:
            await begin(self._log, ranges)
            return await read_again(self._log, ranges)
        except PlannedMissing as missing:
            self._pauses.again(planned_missing(missing))
            raise

    async def _release(self, closed: Mapping[int, int]) -> None:
        """Commit what is closed: a crash may have come in between, and a quiet shard has no further batch."""
        await in_thread(self._marks.note, closed)
        for shard in await self._patience.until_done(self._log.shards):
            if shard in closed:
                await self._patience.until_done(
                    lambda shard=shard: self._log.commit(WORKER, shard, closed[shard])
                )

    async def _prepared(self, batch: RecordBatch, pending: Sequence[PendingIds] = ()) -> Prepared:
        return await in_thread(self._preparer.prepare, batch, pending)

    async def _admitted(self, prepared: Prepared) -> Prepared:
        """The batch, once nothing speaks against its plan; prepared anew, since letters were tried meanwhile.

        Before the plan, because a batch that is inserted has to be closed, with all its letters.
        """
        if self._refused:  # what was left out as a duplicate of one of these is none
            prepared = await self._prepared(prepared.batch)
        while obstacle := await self._obstacle(prepared):
            await self._pause(obstacle)
            prepared = await self._prepared(prepared.batch)
        return prepared

    async def _obstacle(self, prepared: Prepared) -> Obstacle | None:
        if newer := self._newer(prepared.batch):
            return newer
        if self._dead_share.too_many(prepared.weight.events, prepared.dead):
            return too_many(prepared.weight.events, prepared.dead)
        full = await self._patience.until_done(lambda: self._dead_letters.full(prepared.closing.dead_letters))
        return no_room(full) if full else None

    def _newer(self, batch: RecordBatch) -> Obstacle | None:
        if self._settings.newer_records == "set_aside":
            return None
        found = next((placed for placed in batch.records if placed.reason == NEWER_FORMAT), None)
        return made_by_a_newer_version(found) if found else None

    async def _pause(self, obstacle: Obstacle) -> None:
        """Look after the rest, and return when it makes sense to look again. Nothing is being inserted."""
        failures = self._pauses.again(obstacle)
        await self._every_second()
        if time.monotonic() < self._retry_from or not await self._retry():
            await self._patience.pause(failures)

    async def _too_many(self, events: int, dead: int) -> bool:
        """Whether the store refuses too much of a batch; returns after a pause if it does."""
        if not self._dead_share.too_many(events, dead):
            return False
        await self._patience.pause(self._pauses.again(too_many(events, dead)))
        return True

    async def _store_batch(self, prepared: Prepared) -> None:
        await self._patience.until_done(lambda: self._batches.plan(prepared.plan))
        await self._insert_and_close(prepared, uncertain=False)

    async def _insert_and_close(self, prepared: Prepared, *, uncertain: bool) -> None:
        plan, batch = prepared.plan, prepared.batch
        events, dead = prepared.weight.events, prepared.dead
        refused = await insert_exactly(
            self._store,
            prepared.rows,
            plan.id,
            self._breaker,
            self._allowed,
            lambda more: self._too_many(events, dead + more),
            uncertain=uncertain,
        )
        stored = prepared.rows.num_rows - refused.num_rows
        self._refused = refused.num_rows
        if refused.num_rows:
            places = set(zip(*(np.asarray(refused[name]).tolist() for name in ("shard", "seq")), strict=True))
            prepared = await in_thread(self._preparer.set_aside, prepared, places)
        closing, ids = prepared.closing, prepared.ids
        await self._patience.until_done(lambda: self._batches.close(plan, closing))
        # In a thread: it may have to wait for a batch that is being checked.
        await in_thread(self._recent.enter, sort(ids), *prepared.received)
        self._dead_share.closed(events, prepared.dead)
        self._pauses.over()
        tell(closing.dead_letters)
        self._stored += stored
        metrics.EVENTS_STORED.inc(stored)
        metrics.BATCHES.inc()
        if self._reader:
            self._reader.done(batch)
            self._memory.entered(len(ids.key), self._reader.done_positions)
        await in_thread(self._marks.note, {part.shard: part.last_offset for part in batch.ranges})
        for part in batch.ranges:
            await self._patience.until_done(
                lambda part=part: self._log.commit(WORKER, part.shard, part.last_offset)
            )

    async def _allowed(self) -> None:
        """Raises Conflict unless the lease lasts well into the insert, which no transaction could stop."""
        if not self._lease.holds(self._fence, _INSERT_MARGIN):
            await self._patience.until_done(lambda: self._lease.renew(self._fence, LEASE_SECONDS))

    async def _every_second(self) -> bool:
        """What is due about once a second: measurements, expiry of ids, a look for letters to be retried.

        Returns whether there are such. Raises Conflict when the lease was lost.
        """
        now = time.monotonic()
        if now - self._looked < _SECOND:
            return False
        self._looked = now
        self._recent.expire(self.complete_through)
        with contextlib.suppress(Retryable):
            if not self._lease.holds(self._fence, LEASE_SECONDS / 2):
                await self._lease.renew(self._fence, LEASE_SECONDS)
            backlog = await self._log.backlog(WORKER)
            metrics.LOG_BACKLOG.set(backlog.records)
            metrics.LOG_OLDEST_SECONDS.set(backlog.oldest_age)
            return now >= self._retry_from and await self._dead_letters.due()
        return False

    async def _retry(self) -> int:
        """A round of letters that are due; returns how many. Nothing is being inserted."""
        try:
            tried = await self._retries.round()
        except Retryable as error:
            log.warning("dead letters cannot be tried again now", problem=str(error))
            self._retry_from = time.monotonic() + _RETRY_PAUSE
            return 0
        if tried and self._reader:
            self._memory.entered(0, self._reader.done_positions)
        return tried
