"""The one loop: log -> columns -> enrichment -> sessions -> store -> close.

A batch is planned (durably) before its first row is inserted, and closed in one state
transaction after its last one is durable in the store; the log's commit follows and only
releases retention. So a crash at any instant leaves either nothing of a batch, or an open
plan that says which rows may be there, and open plans are what the next start does first.

While one batch is inserted the next one is read and enriched. Inserts and closes never
overlap and keep the log's order.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import pyarrow as pa
import structlog

from footfall import metrics
from footfall.enrich.pipeline import Pipeline
from footfall.errors import Invalid, Retryable, StoreDown
from footfall.eventlog.port import EventLog
from footfall.model.columns import NAMES
from footfall.settings import Settings
from footfall.state.batches import Batches, Plan
from footfall.store.arrow import table
from footfall.store.port import Store
from footfall.worker.columns import columns
from footfall.worker.reader import Batch, Placed, Reader, pass_over, read_again
from footfall.worker.sessions import Sessions

log = structlog.get_logger(__name__)

# The worker's name towards the log, which keeps what it has not committed.
CONSUMER = "worker"

_POLL = 0.05  # seconds between looks at a log that has little to read:
_LITTLE = 1000  # rows
_MEASURE = 1.0  # seconds between measurements of the backlog
_FIRST_PAUSE = 0.1  # seconds after a failure; doubled with each further one, up to
_LONGEST_PAUSE = 10.0

T = TypeVar("T")


class Prepared(NamedTuple):
    """A batch that only has to be inserted."""

    plan: Plan
    batch: Batch
    rows: pa.Table
    passed: int  # records that cannot be stored


class Worker:
    """Takes what is in the log to the store. One per log and store."""

    def __init__(self, log: EventLog, store: Store, batches: Batches, settings: Settings) -> None:
        self._log = log
        self._store = store
        self._batches = batches
        self._settings = settings
        self._pipeline = Pipeline()
        self._sessions = Sessions(timeout=settings.session_timeout, memory=settings.session_memory)
        self._sessions_loaded = False
        self._reader: Reader | None = None
        self._stored = 0
        self._measured = 0.0

    @property
    def complete_through(self) -> float:
        """Unix time up to which every acknowledged event is in the store; 0 before that is known."""
        return self._reader.complete_through if self._reader else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let the running insert close. The rest stays in the log.

        Raises Conflict when another worker takes the same records to the store.
        """
        with contextlib.suppress(_StoppedError):
            await self._work(stop, until_empty=False)

    async def drain(self) -> int:
        """Work until the log is empty, however often the store fails. Returns the events stored."""
        before = self._stored
        await self._work(asyncio.Event(), until_empty=True)
        return self._stored - before

    async def _work(self, stop: asyncio.Event, *, until_empty: bool) -> None:
        reader = await self._start(stop)
        inserting: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                await self._measure()
                found = await _until_done(reader.read_on, stop)
                if inserting and inserting.done():
                    await inserting  # raises what ended it
                    inserting = None
                rest = until_empty and not found and reader.waiting
                if reader.full or rest or (reader.ripe and not inserting):
                    prepared = await asyncio.to_thread(self._prepare, reader.cut())
                    if inserting:
                        await inserting
                    inserting = (
                        None if stop.is_set() else asyncio.create_task(self._store_batch(prepared, stop))
                    )
                elif until_empty and not found:
                    if not inserting:
                        break
                    await inserting
                    inserting = None
                elif not until_empty and found < _LITTLE:
                    await _set_within(stop, _POLL)
        finally:
            if inserting:
                await inserting

    async def _start(self, stop: asyncio.Event) -> Reader:
        """Finish what a crash left open, then read on behind what is closed."""
        if not self._sessions_loaded:
            try:
                await _until_done(lambda: self._sessions.load(self._store), stop)
            except Invalid as error:  # too much was stored lately to be read in time
                log.warning("sessions start anew", problem=str(error))
            self._sessions_loaded = True
        for plan in await self._batches.open_plans():
            # Its rows may be in the store already: then they are there twice now.
            log.warning("a batch was left open and is inserted again", batch=plan.id, rows=plan.rows)
            batch = await _until_done(lambda ranges=plan.ranges: read_again(self._log, ranges), stop)
            prepared = await asyncio.to_thread(self._prepare, batch)
            await self._insert_and_close(prepared._replace(plan=plan), stop)
        self._reader = Reader(self._log, await self._batches.positions(), self._settings)
        return self._reader

    def _prepare(self, batch: Batch) -> Prepared:
        """All that a batch needs no store for. Runs in a thread."""
        with metrics.ENRICH_SECONDS.time():
            good = [placed for placed in batch.records if placed.record]
            try:
                rows, occurred_at = self._rows(good)
            except Exception as error:  # noqa: BLE001 -- whatever it is, one record must not stop the others
                good = self._sift(good, error)
                rows, occurred_at = self._rows(good)
        plan = Plan(
            id=uuid.uuid4().hex,
            ranges=batch.ranges,
            rows=rows.num_rows,
            min_occurred=min(occurred_at, default=0),
            max_occurred=max(occurred_at, default=0),
            created_at=int(time.time() * 1000),
        )
        return Prepared(plan, batch, rows, passed=len(batch.records) - len(good))

    def _rows(self, records: Sequence[Placed]) -> tuple[pa.Table, list[int]]:
        """The rows of these records, and when each occurred."""
        rows = columns((placed.shard, placed.offset, placed.record) for placed in records if placed.record)
        self._pipeline.run(rows)
        rows["session_id"] = self._sessions.assign(
            rows["visitor_id"], rows["occurred_at"], rows["received_at"], rows["session_id"]
        )
        return table({name: rows[name] for name in NAMES}), rows["occurred_at"]

    def _sift(self, records: Sequence[Placed], error: Exception) -> list[Placed]:
        """Those records that can be made into rows, tried one by one after `error` hit them together.

        If none can, the fault is not the records': raises `error`.
        """
        good: list[Placed] = []
        for placed in records:
            try:
                self._rows([placed])
            except Exception:  # noqa: BLE001 -- as in _prepare
                pass_over(placed, "unprocessable")
            else:
                good.append(placed)
        if not good:
            raise error
        return good

    async def _store_batch(self, prepared: Prepared, stop: asyncio.Event) -> None:
        await _until_done(lambda: self._batches.plan(prepared.plan), stop)
        await self._insert_and_close(prepared, stop)

    async def _insert_and_close(self, prepared: Prepared, stop: asyncio.Event) -> None:
        """Insert the batch until that succeeds, and only then close it."""
        plan, batch, rows, passed = prepared
        if rows.num_rows:
            await _until_done(lambda: self._insert(rows, plan.id), stop)
        counts = {"stored": rows.num_rows, "records_passed": passed}
        await _until_done(lambda: self._batches.close(plan, counts), stop)
        self._stored += rows.num_rows
        metrics.EVENTS_STORED.inc(rows.num_rows)
        metrics.BATCHES.inc()
        if self._reader:
            self._reader.done(batch)
        for part in batch.ranges:
            await _until_done(
                lambda part=part: self._log.commit(CONSUMER, part.shard, part.last_offset), stop
            )

    async def _insert(self, rows: pa.Table, query_id: str) -> None:
        with metrics.INSERT_SECONDS.time():
            try:
                await self._store.insert(rows, query_id)
            except StoreDown:
                metrics.STORE_ERRORS.inc()
                raise

    async def _measure(self) -> None:
        """How far the worker is behind, about once a second."""
        now = time.monotonic()
        if now - self._measured >= _MEASURE:
            self._measured = now
            with contextlib.suppress(Retryable):
                backlog = await self._log.backlog(CONSUMER)
                metrics.LOG_BACKLOG.set(backlog.records)
                metrics.LOG_OLDEST_SECONDS.set(backlog.oldest_age)


class _StoppedError(Exception):
    """`stop` was set while something kept failing."""


async def _until_done(call: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T:
    """Call until it raises no Retryable, with jittered, growing pauses. Raises _StoppedError."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except Retryable as error:
            log.warning("trying again", problem=str(error), within=pause)
        # stamina's pauses cannot be cut short by an event.
        if await _set_within(stop, random.uniform(pause / 2, pause)):  # noqa: S311 -- jitter is no secret
            raise _StoppedError
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
