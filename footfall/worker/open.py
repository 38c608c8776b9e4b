"""Opening a worker: the lease that makes it the only one, and what it remembers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from footfall.database import Database
from footfall.errors import FootfallError
from footfall.eventlog.port import WORKER, EventLog
from footfall.settings import Settings
from footfall.state.batches import Batches
from footfall.state.dead_letters import DeadLetters
from footfall.state.lease import Fence, Lease, this_process
from footfall.store.port import Store
from footfall.worker.loop import LEASE_SECONDS, Worker
from footfall.worker.patience import set_within

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_worker(
    log: EventLog, store: Store, state: Database, settings: Settings
) -> AsyncGenerator[Worker]:
    """A worker, with its lease until the block ends. Raises Conflict when there is another one."""
    lease = Lease(state)
    fence = await lease.acquire(WORKER, this_process(), LEASE_SECONDS)
    end = asyncio.Event()
    keeping = asyncio.create_task(_keep(lease, fence, end))
    try:
        yield Worker(log, store, Batches(state, fence), DeadLetters(state, fence), lease, fence, settings)
    finally:
        end.set()
        await keeping  # a renewal under way must not come after the release
        await lease.release(fence)


async def _keep(lease: Lease, fence: Fence, end: asyncio.Event) -> None:
    """Renew the lease until `end`: the worker may wait for the store, or pause, for longer than it lasts."""
    while not await set_within(end, LEASE_SECONDS / 3):
        try:
            await lease.renew(fence, LEASE_SECONDS)
        except FootfallError as error:  # whether the worker may go on it asks itself
            _log.warning("the lease could not be renewed", problem=str(error))
