"""The recent-id index: which client-supplied ids were counted lately.

An id is remembered for `window` seconds or until `limit` newer ones came, whichever is
shorter. It takes 13 bytes: see `recent_ids_keys` for what is kept of it and how
certain an answer is, docs/decisions/0007 for why it is built this way.

The ids are spread over partitions by the first bits of their key. Each partition is a large
sorted run and a small one, into which new ids are merged until it is merged into the large
one. Ids are forgotten by generation, a quarter of an hour or one in 64 of the limit at once: from
then on they count for nothing, and the next merge drops them. By age they are forgotten no faster than
the process has lived, whatever its clock says: a wall clock that stands days ahead for a while takes no id.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from footfall.model.times import Seconds
from footfall.worker.dedup.keys import U16, U32, U64, Ids, Keys, Mask
from footfall.worker.dedup.sorted_run import EMPTY, SortedRun, find, merge, new_run, repeats

_PARTITION_BITS = 6
PARTITIONS = 1 << _PARTITION_BITS
_STARTS = np.arange(PARTITIONS, dtype=np.uint64) << (64 - _PARTITION_BITS)

# A small run is merged into the large one at this share of its part of the limit. Each partition
# does so at another size, half as much to half as much again: not all of them at the same time.
_SMALL_SHARE = 24

# A generation ends at this share of the limit or of the window.
_LIMIT_SHARE = 64
_WINDOW_SHARE = 96

# By age one generation is forgotten in this share of the time that fills one, at most: enough to keep up.
_PACE = 0.9

# Generations are numbered in 8 bits, of which 255 means none of them; fewer are remembered at once.
_MOST_GENERATIONS = 224
_LAST_GENERATION = 0xFE


class SeenIds(NamedTuple):
    """Of each id of a batch."""

    duplicate: Mask  # it was counted before, or stands earlier in the batch
    conflict: Mask  # it is a duplicate, but its payload is not that of the one that counts


class Partition(NamedTuple):
    """The ids whose keys start alike."""

    large: SortedRun = EMPTY
    small: SortedRun = EMPTY


class Generation(NamedTuple):
    """Ids that are forgotten together. Times in Unix seconds."""

    started: float
    newest: float  # none of it, nor of an older generation, was received later
    ids: int = 0
    oldest: float = 0.0  # none of it was received earlier


class Snapshot(NamedTuple):
    """All that the index knew at one moment. Its runs are shared with the index, and never change."""

    positions: dict[int, int]  # shard -> offset of the last record whose ids are in it
    secret: bytes
    complete_since: float
    first_generation: int
    generations: list[Generation]
    partitions: list[Partition]


class RecentIds:
    """Which ids were counted lately. Its methods may be called from different threads."""

    def __init__(
        self,
        limit: int = 10_000_000,
        window: Seconds = 86400,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit` ids, `window` seconds. `uptime`: seconds that nobody sets, since whenever."""
        self._limit = limit
        self._window = window
        self._uptime = uptime
        self._forgets_from = uptime() + _PACE * window / _WINDOW_SHARE
        self._lock = threading.Lock()
        self._keys = Keys()
        self._partitions = [Partition()] * PARTITIONS
        self._first = 0  # number of the oldest generation that is remembered
        self._generations: deque[Generation] = deque()
        self._count = 0
        self._room = EMPTY
        self.complete_since = 0.0
        """Unix time since when every id that was entered is remembered, or for as long as the window."""

    @property
    def together(self) -> int:
        """So many ids are forgotten at once."""
        return max(1, self._limit // _LIMIT_SHARE)

    @property
    def room(self) -> int:
        """How many more ids can be remembered before the oldest go."""
        return max(0, self._limit - self._count)

    @property
    def reach(self) -> float:
        """No id that is remembered was received before that (Unix seconds); infinite where none is."""
        with self._lock:
            return min((each.oldest for each in self._generations), default=math.inf)

    def __len__(self) -> int:
        """The number of ids remembered."""
        return self._count

    def identify(
        self, workspaces: Sequence[str], event_ids: Sequence[bytes], digests: Sequence[int] | U16
    ) -> Ids:
        """The ids of a batch, each with its workspace and `payload_digests` of its event."""
        return self._keys.identify(workspaces, event_ids, digests)

    def check(self, ids: Ids, pending: Sequence[SortedRun] = ()) -> SeenIds:
        """Which ids of a batch are duplicates: of the index, of `pending`, or of an earlier one of the batch.

        `pending`: what is to be entered of the batches that are planned and not closed.
        """
        order = ids.key.argsort()
        key, rest = ids.key[order], ids.rest[order]
        found, same = self._find(key, rest)
        for run in pending:
            _note(found, same, *find(run, key, rest))
        again, like_the_first = repeats(key, rest, order)
        _note(found, same, again, like_the_first & ~found)
        verdict = SeenIds(np.empty(len(key), np.bool_), np.empty(len(key), np.bool_))
        verdict.duplicate[order] = found
        verdict.conflict[order] = found & ~same
        return verdict

    def known(self, ids: Ids) -> Mask:
        """Which ids the index holds; that one of them repeats another does not matter."""
        order = ids.key.argsort()
        known = np.empty(len(order), np.bool_)
        known[order], _ = self._find(ids.key[order], ids.rest[order])
        return known

    def _find(self, key: U64, rest: U32) -> tuple[Mask, Mask]:
        """Which ids the index holds, and of which of those the payload is the same. `key` is sorted."""
        found, same = np.zeros(len(key), np.bool_), np.zeros(len(key), np.bool_)
        bounds = [*key.searchsorted(_STARTS).tolist(), len(key)]
        with self._lock:
            for number, partition in enumerate(self._partitions):
                start, end = bounds[number], bounds[number + 1]
                if start == end:
                    continue
                here = slice(start, end)
                for run in partition:
                    _note(found[here], same[here], *find(run, key[here], rest[here], self._first))
        return found, same

    def enter(self, run: SortedRun, received_at: Seconds, oldest: float | None = None) -> None:
        """Remember ids whose batch is closed: `sort` of those that were counted, none of them a duplicate.

        `received_at` and `oldest`: Unix times at which the newest and the oldest of them were received. A
        batch should be far smaller than the limit, because its ids are forgotten together.
        """
        if not run.size:
            return
        with self._lock:
            generation = self._generation(received_at, received_at if oldest is None else oldest, run.size)
            run = run._replace(generation=np.full(run.size, generation, np.uint8))
            bounds = [*run.key.searchsorted(_STARTS).tolist(), run.size]
            for number in range(PARTITIONS):
                if bounds[number] < bounds[number + 1]:
                    self._enter(number, run.part(bounds[number], bounds[number + 1]))
            self._hold_the_limit()

    def expire(self, now: Seconds) -> None:
        """Forget what is older than the window. To be called about once a second.

        `now`: Unix time of receipt up to which every event was closed, not the clock: a resend
        that waits in the log is still recognised.
        """
        with self._lock:
            uptime = self._uptime()
            if (
                self._generations
                and self._generations[0].newest < now - self._window
                and uptime >= self._forgets_from
            ):
                self.complete_since = max(self.complete_since, self._generations[0].newest)
                self._forget()
                self._forgets_from = uptime + _PACE * self._window / _WINDOW_SHARE
            held = sum(large.size + small.size for large, small in self._partitions)
            if held - self._count > self._limit // 8:
                for number in range(PARTITIONS):
                    self._merge(number)

    def effective_window(self, now: Seconds) -> float:
        """Seconds for which every id is remembered: the window, unless the limit shortened it."""
        return min(self._window, max(0.0, now - self.complete_since))

    def snapshot(self, positions: dict[int, int]) -> Snapshot:
        """What is to be saved, at no cost. `positions`: the closed ones whose ids were entered.

        Not to be called between the close of a batch and its `enter`.
        """
        with self._lock:
            return Snapshot(
                dict(positions),
                self._keys.secret,
                self.complete_since,
                self._first,
                list(self._generations),
                list(self._partitions),
            )

    def restore(self, snapshot: Snapshot) -> None:
        """Know what the snapshot knew, and nothing else. Ids identified before mean nothing afterwards."""
        with self._lock:
            self._keys = Keys(snapshot.secret)
            self.complete_since = snapshot.complete_since
            self._first = snapshot.first_generation
            self._generations = deque(snapshot.generations)
            self._partitions = list(snapshot.partitions)
            self._count = sum(each.ids for each in self._generations)
            self._hold_the_limit()

    def _generation(self, received_at: Seconds, oldest: float, count: int) -> int:
        """The number of the generation that `count` ids received then, and from `oldest` on, belong to."""
        last = self._generations[-1] if self._generations else None
        newest = max(received_at, last.newest) if last else received_at
        if last is None or last.ids >= self.together or newest >= last.started + self._window / _WINDOW_SHARE:
            if self._first + len(self._generations) > _LAST_GENERATION:
                self._renumber()
            last = Generation(newest, newest, oldest=oldest)
            self._generations.append(last)
        self._generations[-1] = Generation(last.started, newest, last.ids + count, min(last.oldest, oldest))
        self._count += count
        return self._first + len(self._generations) - 1

    def _enter(self, number: int, ids: SortedRun) -> None:
        large, small = self._partitions[number]
        self._partitions[number] = Partition(large, merge(small, ids))
        usual = self._limit // (PARTITIONS * _SMALL_SHARE)
        if small.size + ids.size > usual * (PARTITIONS + 2 * number) // (2 * PARTITIONS):
            self._merge(number)

    def _merge(self, number: int) -> None:
        """Make one run of the partition, without what is forgotten."""
        large, small = self._partitions[number]
        total = large.size + small.size
        if self._room.size < total:
            self._room = new_run(total + total // 8)
        self._partitions[number] = Partition(merge(large, small, self._room).since(self._first))

    def _hold_the_limit(self) -> None:
        """Forget the oldest generations beyond the limit; the newest one stays, however large."""
        while len(self._generations) > 1 and (
            self._count > self._limit or len(self._generations) > _MOST_GENERATIONS
        ):
            self.complete_since = max(self.complete_since, self._generations[0].newest)
            self._forget()

    def lacks(self, since: float) -> bool:
        """Whether ids received from then on (Unix seconds) were forgotten, though there is room for them."""
        return self.complete_since > since and self.room > 2 * self.together

    def _forget(self) -> None:
        self._count -= self._generations.popleft().ids
        self._first += 1

    def _renumber(self) -> None:
        """Let the oldest generation be number 0 again."""
        for number in range(PARTITIONS):
            self._merge(number)
            large, small = self._partitions[number]
            shifted = large._replace(generation=large.generation - np.uint8(self._first))
            self._partitions[number] = Partition(shifted, small)
        self._first = 0


def _note(found: Mask, same: Mask, more: Mask, of_the_same: Mask) -> None:
    found |= more
    same |= of_the_same
