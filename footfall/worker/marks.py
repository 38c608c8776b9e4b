"""How far each shard is stored, noted beside the rows: a state.db that knows less is older than the store.

    DATA/store/consumers/worker/<shard, 16 hex digits>     as the log notes what was committed

Noted after a batch is closed and not fsynced, so it may be behind, never ahead.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from footfall.eventlog.port import WORKER
from footfall.runtime.consumer_offsets import Consumers


class Marks:
    """Those in the directory of the store. Nothing here raises: they are a witness, nobody waits for them."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._consumers = Consumers(store)

    def note(self, closed: Mapping[int, int]) -> None:
        """These offsets are closed, by shard."""
        if not self._store.is_dir():  # it is on a server
            return
        with suppress(OSError):
            for shard, offset in closed.items():
                self._consumers.commit(WORKER, shard, offset)
