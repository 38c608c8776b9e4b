"""Sorted runs of ids: three columns, 13 bytes an id, never changed in place."""

import mmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from footfall.worker.dedup.keys import DIGEST_BITS, U8, U32, U64, UNKNOWN_PAYLOAD, Ids, Mask

# Bytes of an id.
ID_BYTES = 13

_DIGEST = np.uint32((1 << DIGEST_BITS) - 1)

# Runs from this many ids on have memory of their own: of a heap in which runs of ever other
# sizes come and go, a fifth was lost in holes.
_OWN_MEMORY = 2048
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0)


class SortedRun(NamedTuple):
    """Ids sorted by `key`. The generation of an id says when it was entered."""

    key: U64
    rest: U32
    generation: U8

    @property
    def size(self) -> int:
        """The number of ids, forgotten ones that still take up room included."""
        return len(self.key)

    def part(self, start: int, end: int) -> "SortedRun":
        """The ids from `start` up to `end`, as a view."""
        return SortedRun(self.key[start:end], self.rest[start:end], self.generation[start:end])

    def since(self, generation: int) -> "SortedRun":
        """A copy of the ids of this generation and newer ones."""
        keep = self.generation >= generation
        kept = new_run(int(np.count_nonzero(keep)))
        for column, of_all in zip(kept, self, strict=True):
            of_all.compress(keep, out=column)
        return kept


EMPTY = SortedRun(np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.uint8))


def new_run(size: int) -> SortedRun:
    """A run of this many ids, to be filled in before it is used."""
    if size < _OWN_MEMORY:
        return SortedRun(np.empty(size, np.uint64), np.empty(size, np.uint32), np.empty(size, np.uint8))
    memory = mmap.mmap(-1, size * ID_BYTES, flags=_PRIVATE)  # given back with the last column
    return SortedRun(
        np.frombuffer(memory, np.uint64, size),
        np.frombuffer(memory, np.uint32, size, 8 * size),
        np.frombuffer(memory, np.uint8, size, 12 * size),
    )


def sort(ids: Ids, keep: Mask | None = None) -> SortedRun:
    """The ids of a batch, or those to keep of them, as a run."""
    key, rest = ids if keep is None else (ids.key[keep], ids.rest[keep])
    order = key.argsort()
    return SortedRun(key[order], rest[order], np.zeros(len(key), np.uint8))


def merge(one: SortedRun, other: SortedRun, room: SortedRun | None = None) -> SortedRun:
    """Both runs as a new one; where `room` is given, in there, as a view of it."""
    total = one.size + other.size
    merged = room.part(0, total) if room else new_run(total)
    at = one.key.searchsorted(other.key) + np.arange(other.size)
    of_one = np.ones(total, np.bool_)
    of_one[at] = False
    for column, first, second in zip(merged, one, other, strict=True):
        column[of_one] = first
        column[at] = second
    return merged


def find(run: SortedRun, key: U64, rest: U32, since: int = 0) -> tuple[Mask, Mask]:
    """Which ids the run holds, and of which of those the payload is the same.

    `since`: older generations count as forgotten. Fastest when `key` is sorted.
    """
    found, same = np.zeros(len(key), np.bool_), np.zeros(len(key), np.bool_)
    if not run.size:
        return found, same
    at = run.key.searchsorted(key)
    todo = np.flatnonzero(run.key.take(at, mode="clip") == key)
    # Of one key there may be several: forgotten ones, and other ids that share these 64 bits.
    while todo.size:
        where = at[todo]
        difference = run.rest[where] ^ rest[todo]
        match = (difference >> DIGEST_BITS == 0) & (run.generation[where] >= since)
        found[todo[match]] = True
        unknown = run.rest[where] & _DIGEST == UNKNOWN_PAYLOAD
        same[todo[match & ((difference == 0) | unknown)]] = True
        todo = todo[~match]
        at[todo] += 1
        todo = todo[run.key.take(at[todo], mode="clip") == key[todo]]
        todo = todo[at[todo] < run.size]
    return found, same


def repeats(key: U64, rest: U32, order: NDArray[np.intp]) -> tuple[Mask, Mask]:
    """Which ids of a batch repeat an earlier one of it, and of which of those the payload is the same.

    `key` and `rest` are sorted by key; `order` is each one's place in the batch.
    """
    repeated, same = np.zeros(len(key), np.bool_), np.zeros(len(key), np.bool_)
    alike = key[1:] == key[:-1]
    if not alike.any():
        return repeated, same
    rows = np.flatnonzero(np.append(alike, False) | np.append(False, alike))
    rows = rows[np.lexsort((order[rows], rest[rows] >> DIGEST_BITS, key[rows]))]
    first = np.ones(len(rows), np.bool_)
    first[1:] = (key[rows[1:]] != key[rows[:-1]]) | ((rest[rows[1:]] ^ rest[rows[:-1]]) >> DIGEST_BITS != 0)
    counted = rows[np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))]
    repeated[rows] = ~first
    same[rows] = ~first & (rest[rows] == rest[counted])
    return repeated, same
