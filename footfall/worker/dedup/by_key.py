"""The recent ids of senders with a key, and those of senders without: neither can push out the others'.

Whoever knows a site's public id can send as many ids as they like. An id bears in the lowest bit of its
key which kind it is, so that batches and runs may hold both.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from footfall import metrics
from footfall.model.times import Seconds
from footfall.worker.dedup.index import Partition, RecentIds, SeenIds, Snapshot
from footfall.worker.dedup.keys import U16, U64, Ids, Mask
from footfall.worker.dedup.sorted_run import SortedRun

_WITHOUT_KEY = np.uint64(1)


class RecentIdsByKey:
    """Two indexes of `limit` ids each, as `RecentIds`; every method is as there."""

    def __init__(
        self,
        limit: int = 10_000_000,
        window: Seconds = 86400,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        self._with_key = RecentIds(limit, window, uptime)
        self._without_key = RecentIds(limit, window, uptime)
        self._both = self._with_key, self._without_key

    @property
    def together(self) -> int:
        """So many ids are forgotten at once."""
        return self._with_key.together

    @property
    def reach(self) -> float:
        """No id that is remembered was received before that (Unix seconds); infinite where none is."""
        return min(each.reach for each in self._both)

    def __len__(self) -> int:
        """The number of ids remembered."""
        return sum(map(len, self._both))

    def room(self, *, without_key: bool) -> int:
        """How many more ids of that kind can be remembered before the oldest go."""
        return self._both[without_key].room

    def lacks(self, since: float) -> bool:
        """Whether ids received from then on (Unix seconds) were forgotten, though there is room for them."""
        return any(each.lacks(since) for each in self._both)

    def identify(
        self,
        workspaces: Sequence[str],
        event_ids: Sequence[bytes],
        digests: Sequence[int] | U16,
        without_key: Sequence[bool],
    ) -> Ids:
        """The ids of a batch, each with its workspace, `payload_digests` of its event, and its kind."""
        key, rest = self._with_key.identify(workspaces, event_ids, digests)
        return Ids(key & ~_WITHOUT_KEY | np.asarray(without_key, np.uint64), rest)

    def check(self, ids: Ids, pending: Sequence[SortedRun] = ()) -> SeenIds:
        """Which ids of a batch are duplicates: remembered, of `pending`, or of one before in the batch."""
        verdict = SeenIds(np.zeros(len(ids.key), np.bool_), np.zeros(len(ids.key), np.bool_))
        for index, mine in self._kinds(ids.key):
            found = index.check(Ids(ids.key[mine], ids.rest[mine]), pending)
            verdict.duplicate[mine], verdict.conflict[mine] = found
        return verdict

    def known(self, ids: Ids) -> Mask:
        """Which ids are held; that one of them repeats another does not matter."""
        known = np.zeros(len(ids.key), np.bool_)
        for index, mine in self._kinds(ids.key):
            known[mine] = index.known(Ids(ids.key[mine], ids.rest[mine]))
        return known

    def enter(self, run: SortedRun, received_at: Seconds, oldest: float | None = None) -> None:
        """Remember ids whose batch is closed."""
        for index, mine in self._kinds(run.key):
            part = SortedRun(run.key[mine], run.rest[mine], run.generation[mine])
            index.enter(part, received_at, oldest)

    def expire(self, now: Seconds) -> None:
        """Forget what is older than the window. To be called about once a second."""
        for index in self._both:
            index.expire(now)
        metrics.RECENT_IDS.set(len(self))
        metrics.RECENT_IDS_WINDOW_SECONDS.set(self._with_key.effective_window(now))
        metrics.RECENT_IDS_WINDOW_WITHOUT_KEY_SECONDS.set(self._without_key.effective_window(now))

    def snapshot(self, positions: dict[int, int]) -> list[Snapshot]:
        """What is to be saved, at no cost: of ids with a key, and without."""
        found = [each.snapshot(positions) for each in self._both]
        return [each._replace(secret=found[0].secret) for each in found]

    def restore(self, snapshots: Sequence[Snapshot]) -> None:
        """Know what they knew, and nothing else. One alone holds ids of which kind nobody knows: of both."""
        if len(snapshots) == 1:
            snapshots = _of_both_kinds(snapshots[0])
        for index, snapshot in zip(self._both, snapshots, strict=True):
            index.restore(snapshot)

    def _kinds(self, key: U64) -> Iterator[tuple[RecentIds, Mask | slice]]:
        """The indexes that hold some of these keys, and where those are. Nearly always it is one."""
        without_key = (key & _WITHOUT_KEY).astype(np.bool_)
        some = int(without_key.sum())
        if some == 0 or some == len(key):
            yield self._both[bool(some)], slice(None)
            return
        yield self._with_key, ~without_key
        yield self._without_key, without_key


def _of_both_kinds(snapshot: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Runs stay sorted: of each two keys that follow each other in their last bit only, both become one."""

    def marked(run: SortedRun, bit: int) -> SortedRun:
        return run._replace(key=run.key & ~_WITHOUT_KEY | np.uint64(bit))

    with_key, without_key = (
        snapshot._replace(
            partitions=[Partition(*(marked(run, bit) for run in each)) for each in snapshot.partitions]
        )
        for bit in (0, 1)
    )
    return with_key, without_key
