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
import uuid
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import structlog

from footfall import metrics
from footfall.errors import Invalid, Retryable
from footfall.eventlog.port import WORKER, EventLog
from footfall.settings import Settings
from footfall.state.batches import Batches
from footfall.state.dead_letters import DeadLetters, Settled
from footfall.state.lease import Fence, Lease
from footfall.state.letters import DeadLetter
from footfall.store.port import Store
from footfall.worker.exact import insert_exactly, missing, present
from footfall.worker.patience import Breaker, Patience, Stopped, set_within
from footfall.worker.prepare import Prepared, Preparer
from footfall.worker.reader import Batch, Reader, read_again
from footfall.worker.recent_ids import RecentIds
from footfall.worker.recent_ids_runs import Run, sort
from footfall.worker.remembered import Memory
from footfall.worker.sessions import Sessions
from footfall.worker.share import DeadShare

log = structlog.get_logger(__name__)

_POLL = 0.05  # seconds between looks at a log that has little to read:
_LITTLE = 1000  # rows
_SECOND = 1.0  # between measurements, and looks for dead letters to retry
LEASE_SECONDS = 30.0
_INSERT_MARGIN = 5.0  # seconds of lease that an insert needs at its beginning
_SHOWN = 3  # positions of dead letters in a line of the log


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
        self._recent = RecentIds(settings.recent_ids, settings.recent_ids_window)
        self._memory = Memory(self._recent, settings.data / "recent-ids", settings.recent_ids_window)
        self._preparer = Preparer(self._sessions, self._recent)
        self._dead_share = DeadShare()
        self._pauses = 0  # in a row
        self._started = False
        self._reader: Reader | None = None
        self._stored = 0
        self._looked = 0.0

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
        with contextlib.suppress(Stopped):
            await self._work(Patience(stop), until_empty=False)

    async def drain(self) -> int:
        """Work until the log is empty, however often the store fails. Returns the events stored."""
        before = self._stored
        await self._work(Patience(asyncio.Event()), until_empty=True)
        return self._stored - before

    async def _work(self, patience: Patience, *, until_empty: bool) -> None:
        stop = patience.stop
        self._patience = patience
        self._breaker = Breaker(self._store, patience)
        reader = await self._start()
        inserting: asyncio.Task[None] | None = None
        pending: list[Run] = []
        try:
            while not stop.is_set():
                found = await patience.until_done(reader.read_on)
                if inserting and inserting.done():
                    inserting = await _end_of(inserting)
                if letters := await self._every_second():
                    inserting = await _end_of(inserting)  # a letter may hold an id of that batch
                    await self._retry(letters, reader)
                rest = until_empty and not found and reader.waiting
                if reader.full or rest or (reader.ripe and not inserting):
                    batch = reader.cut()
                    prepared = await self._prepared(batch, pending if inserting else [])
                    inserting = await _end_of(inserting)
                    if not stop.is_set():
                        inserting = asyncio.create_task(self._store_batch(prepared))
                        pending = [sort(prepared.ids)]
                elif until_empty and not found:
                    if not inserting:
                        break
                    inserting = await _end_of(inserting)
                elif not until_empty and found < _LITTLE:
                    await set_within(stop, _POLL)
        finally:
            try:
                await _end_of(inserting)
            finally:
                await self._memory.close(reader.done_positions)

    async def _start(self) -> Reader:
        """Remember what is needed, finish what a crash left open, then read on behind what is closed."""
        until_done = self._patience.until_done
        metrics.WORKER_PAUSED.set(0)
        if not self._started:
            try:
                await until_done(lambda: self._sessions.load(self._store))
            except Invalid as error:  # too much was stored lately to be read in time
                log.warning("sessions start anew", problem=str(error))
            closed = await until_done(self._batches.positions)
            dead = await until_done(self._dead_letters.positions)
            await until_done(lambda: self._memory.restore(self._log, closed, dead))
            self._started = True
        for plan in await until_done(self._batches.open_plans):
            log.warning("a batch was left open; its missing rows are inserted", batch=plan.id, rows=plan.rows)
            batch = await until_done(lambda ranges=plan.ranges: read_again(self._log, ranges))
            there = await until_done(lambda plan=plan: present(self._store, plan))
            prepared = await asyncio.to_thread(self._preparer.prepare, batch, (), plan, there)
            await self._insert_and_close(prepared, uncertain=True)
        self._reader = Reader(self._log, await until_done(self._batches.positions), self._settings)
        return self._reader

    async def _prepared(self, batch: Batch, pending: Sequence[Run]) -> Prepared:
        """The batch, prepared; waits as long as too much of it would be dead letters."""
        while True:
            prepared = await asyncio.to_thread(self._preparer.prepare, batch, pending)
            if not await self._too_many(prepared.events, len(prepared.closing.dead_letters)):
                return prepared

    async def _too_many(self, events: int, dead: int) -> bool:
        """Whether a batch has too many dead letters to go on; returns after a pause if it has."""
        if not self._dead_share.too_many(events, dead):
            return False
        metrics.WORKER_PAUSED.set(1)
        self._pauses += 1
        if self._pauses == 1:
            log.error("paused: too much of what comes in cannot be stored", events=events, dead=dead)
        await self._patience.pause(self._pauses + 4)
        return True

    async def _store_batch(self, prepared: Prepared) -> None:
        await self._patience.until_done(lambda: self._batches.plan(prepared.plan))
        await self._insert_and_close(prepared, uncertain=False)

    async def _insert_and_close(self, prepared: Prepared, *, uncertain: bool) -> None:
        plan, batch = prepared.plan, prepared.batch
        events, dead = prepared.events, len(prepared.closing.dead_letters)
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
        if refused.num_rows:
            places = set(zip(*(np.asarray(refused[name]).tolist() for name in ("shard", "seq")), strict=True))
            prepared = await asyncio.to_thread(self._preparer.set_aside, prepared, places)
        closing, ids = prepared.closing, prepared.ids
        await self._patience.until_done(lambda: self._batches.close(plan, closing))
        # In a thread: it may have to wait for a batch that is being checked.
        await asyncio.to_thread(self._recent.enter, sort(ids), prepared.received_until)
        self._dead_share.closed(events, len(closing.dead_letters))
        self._pauses = 0
        metrics.WORKER_PAUSED.set(0)
        _tell(closing.dead_letters)
        self._stored += stored
        metrics.EVENTS_STORED.inc(stored)
        metrics.BATCHES.inc()
        if self._reader:
            self._reader.done(batch)
            self._memory.entered(len(ids.key), self._reader.done_positions)
        for part in batch.ranges:
            await self._patience.until_done(
                lambda part=part: self._log.commit(WORKER, part.shard, part.last_offset)
            )

    async def _allowed(self) -> None:
        """Raises Conflict unless the lease lasts well into the insert, which no transaction could stop."""
        if not self._lease.holds(self._fence, _INSERT_MARGIN):
            await self._patience.until_done(lambda: self._lease.renew(self._fence, LEASE_SECONDS))

    async def _every_second(self) -> Sequence[DeadLetter]:
        """What is due about once a second: measurements, expiry of ids.

        Returns the dead letters that are to be retried. Raises Conflict when the lease was lost.
        """
        now = time.monotonic()
        if now - self._looked < _SECOND:
            return ()
        self._looked = now
        self._recent.expire(self.complete_through)
        with contextlib.suppress(Retryable):
            if not self._lease.holds(self._fence, LEASE_SECONDS / 2):
                await self._lease.renew(self._fence, LEASE_SECONDS)
            backlog = await self._log.backlog(WORKER)
            metrics.LOG_BACKLOG.set(backlog.records)
            metrics.LOG_OLDEST_SECONDS.set(backlog.oldest_age)
            return await self._dead_letters.take()
        return ()

    async def _retry(self, letters: Sequence[DeadLetter], reader: Reader) -> None:
        """Try dead letters again, each on its own: its position says whether it is stored already."""
        entered = 0
        for letter in letters:
            try:
                rows, duplicate, ids = await asyncio.to_thread(self._preparer.prepare_letter, letter)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is this letter's
                settled = Settled(
                    letter, "failed", "unprocessable", type(error).__name__, int(time.time() * 1000)
                )
            else:
                rows = await self._patience.until_done(lambda rows=rows: missing(self._store, rows))
                if rows.num_rows and duplicate:
                    settled = Settled(letter, "duplicate")
                elif (await self._insert_letter(rows)).num_rows:
                    settled = Settled(letter, "failed", "refused_by_store", "", int(time.time() * 1000))
                else:
                    settled = Settled(letter, "stored")
                    if len(ids.key):
                        await self._memory.void()
                        await asyncio.to_thread(self._recent.enter, sort(ids), time.time())
                        entered += len(ids.key)
            await self._patience.until_done(lambda settled=settled: self._dead_letters.settle([settled]))
        self._memory.entered(entered, reader.done_positions)

    async def _insert_letter(self, rows: pa.Table) -> pa.Table:
        async def too_many(_: int) -> bool:
            return False  # it is a letter already

        return await insert_exactly(
            self._store, rows, uuid.uuid4().hex, self._breaker, self._allowed, too_many, uncertain=False
        )


def _tell(letters: Sequence[DeadLetter]) -> None:
    """One line for the letters of a batch, however many there are."""
    if not letters:
        return
    reasons = Counter(letter.reason for letter in letters)
    for reason, count in reasons.items():
        metrics.DEAD_LETTERED.labels(reason).inc(count)
    first = [f"{letter.position} {letter.reason} {letter.detail}".rstrip() for letter in letters[:_SHOWN]]
    log.error("dead letters", **reasons, first=first)


async def _end_of(inserting: asyncio.Task[None] | None) -> None:
    """Wait for the insert, if there is one. Raises what ended it."""
    if inserting:
        await inserting
