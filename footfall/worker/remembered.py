"""The recent ids over a restart: a checkpoint, and the log's records since then.

The tail comes from the log rather than from the store (decision 0007): the log knows which ids
their clients sent, and keeps records for a week.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import structlog

from footfall.eventlog.port import EventLog, Stored
from footfall.model.record import SEQ_PER_RECORD, RawEvent, decode
from footfall.worker.recent_ids import RecentIds
from footfall.worker.recent_ids_checkpoint import load, save
from footfall.worker.recent_ids_keys import ID_BYTES, payload_digests
from footfall.worker.recent_ids_runs import sort

log = structlog.get_logger(__name__)

_CHUNK_RECORDS = 20_000
_CHUNK_BYTES = 8 << 20

# A checkpoint is written after so many new ids, or so many seconds with any.
_NEW_IDS = 1_000_000
_SECONDS = 60.0


class Memory:
    """Keeps `recent` over restarts, in the file at `path`."""

    def __init__(self, recent: RecentIds, path: Path, window: float) -> None:
        self._recent = recent
        self._path = path
        self._window = window
        self._new = 0
        self._saved = time.monotonic()
        self._saving: asyncio.Task[None] | None = None

    async def restore(
        self, eventlog: EventLog, closed: Mapping[int, int], dead: Collection[tuple[int, int]]
    ) -> None:
        """Know the ids of everything up to the `closed` positions, but for the events in `dead` letters.

        Raises Retryable when the log fails.
        """
        snapshot = await asyncio.to_thread(load, self._path)
        known: Mapping[int, int] = {}
        if snapshot and all(closed.get(shard, -1) >= at for shard, at in snapshot.positions.items()):
            self._recent.restore(snapshot)
            known = snapshot.positions
        oldest = time.time() - self._window
        for shard, upto in closed.items():
            after = known.get(shard, -1)
            while after < upto:
                stored = await eventlog.read(shard, after, _CHUNK_RECORDS, _CHUNK_BYTES)
                if not stored:
                    break  # deleted: older than the log keeps, so older than the window
                fresh = [each for each in stored if each.offset <= upto and each.appended_at >= oldest]
                await asyncio.to_thread(self._enter, shard, fresh, dead)
                after = stored[-1].offset
        self._recent.expire(time.time())

    def entered(self, count: int, closed: Mapping[int, int]) -> None:
        """So many ids were entered; `closed` are the positions they go up to. Saves when it is time."""
        self._new += count
        if self._saving and not self._saving.done():
            return
        waited = time.monotonic() - self._saved
        if self._new >= _NEW_IDS or (self._new and waited >= _SECONDS):
            self._saving = asyncio.create_task(self._save(closed))

    async def void(self) -> None:
        """Ids are about to be entered of positions that the checkpoint claims to cover: it must go first."""
        if self._saving:
            await self._saving
        await asyncio.to_thread(self._path.unlink, missing_ok=True)
        self._saved = float("-inf")

    async def close(self, closed: Mapping[int, int]) -> None:
        """Save what is new, so that the next start reads no tail."""
        if self._saving:
            await self._saving
        if self._new:
            await self._save(closed)

    async def _save(self, closed: Mapping[int, int]) -> None:
        snapshot = self._recent.snapshot(dict(closed))
        self._new, self._saved = 0, time.monotonic()
        try:
            await asyncio.to_thread(save, self._path, snapshot)
        except OSError as error:  # the log has it all: the next start takes longer
            log.warning("recent ids: no checkpoint could be written", problem=str(error))

    def _enter(self, shard: int, stored: Sequence[Stored], dead: Collection[tuple[int, int]]) -> None:
        workspaces: list[str] = []
        events: list[RawEvent] = []
        newest = 0
        for offset, _, data in stored:
            try:
                record = decode(data) if data is not None else None
            except ValueError:
                record = None
            if record is None:
                continue
            newest = max(newest, record.received_at)
            for index, event in enumerate(record.events):
                known = event.client_id and len(event.event_id) == ID_BYTES
                if known and (shard, offset * SEQ_PER_RECORD + index) not in dead:
                    workspaces.append(record.workspace_id)
                    events.append(event)
        if events:
            ids = self._recent.identify(
                workspaces, [event.event_id for event in events], payload_digests(events)
            )
            again = self._recent.check(ids).duplicate
            self._recent.enter(sort(ids, ~again), newest / 1000)
