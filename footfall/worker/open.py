"""Opening a worker: the lease that makes it the only one, and what it remembers."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from footfall.database import Database
from footfall.enrich.pipeline import check_lists
from footfall.eventlog.port import WORKER, EventLog
from footfall.runtime.background import every
from footfall.settings import Settings
from footfall.state import closings
from footfall.state.batches import Batches
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.lease import Lease, this_process
from footfall.store.port import Store
from footfall.worker.loop import LEASE_SECONDS, Worker


@asynccontextmanager
async def open_worker(
    log: EventLog, store: Store, state: Database, settings: Settings
) -> AsyncGenerator[Worker]:
    """A worker, with its lease until the block ends. Raises Conflict when there is another one.

    Raises Misconfigured when a list of the package is missing.
    """
    await asyncio.to_thread(check_lists)
    lease = Lease(state)
    fence = await lease.acquire(WORKER, this_process(), LEASE_SECONDS)

    async def renew() -> None:
        await lease.renew(fence, LEASE_SECONDS)

    try:
        await closings.mark(state, fence, time.time())
        # The worker may wait for the store, or pause, for longer than the lease lasts. Whether it may go on
        # it asks itself. A renewal under way must not come after the release: it gets the time it needs.
        async with every("lease", LEASE_SECONDS / 3, renew, grace=LEASE_SECONDS):
            out = bool(settings.events_topic)
            batches = Batches(state, fence, goes_out=out)
            letters = DeadLetters(state, fence, goes_out=out)
            yield Worker(log, store, batches, letters, lease, fence, settings)
    finally:
        await lease.release(fence)
