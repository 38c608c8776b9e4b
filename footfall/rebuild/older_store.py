"""Whether the store is older than the books: asked when it is opened, of one row that it must have."""

from pathlib import Path

import structlog

from footfall.database import Database
from footfall.errors import Misconfigured, Retryable
from footfall.state.stored_row import expected
from footfall.store.port import Store
from footfall.verify.store_queries import at_positions

log = structlog.get_logger(__name__)


async def lacks_what_was_stored(store: Store, state: Database) -> bool:
    """Whether the row that was stored last is not there. Raises Retryable."""
    row = await state.read(expected)
    if row is None:
        return False
    place, time = (row.seq, row.seq), (row.occurred_at, row.occurred_at)
    return not await at_positions(store, row.shard, place, time)


async def check(store: Store, state: Database, data: Path) -> None:
    """Raises Misconfigured when the store of that data directory is older than its state.db."""
    try:
        if not await lacks_what_was_stored(store, state):
            return
    except Retryable as error:  # as everybody will who asks it; what it holds is another matter
        log.warning("whether the store is older than state.db cannot be seen now", problem=str(error))
        return
    raise Misconfigured(
        f"{data / 'store'} is older than state.db: it lacks events that were stored; restore the whole data"
        " directory from one backup, or run `footfall rebuild-store`"
    )
