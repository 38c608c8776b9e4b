"""Answers that are remembered: the latest used, bounded in number and in bytes."""

import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

MOST_BYTES = 64 << 20
"""Of all that is remembered, about."""

_SHARE = 8  # an answer that takes more than this part of it is not remembered
_ROW = 120  # bytes of a row without its values; the values count twice where they are shared


class _Held(NamedTuple, Generic[T]):
    answer: T
    size: int


class Remembered(Generic[T]):
    """Answers by the digest of their question; at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[bytes, _Held[T]] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> T | None:
        """The answer, if it is remembered."""
        if held := self._held.get(key):
            self._held.move_to_end(key)
            return held.answer
        return None

    def keep(self, key: bytes, answer: T, rows: Sequence[Sequence[Any]]) -> None:
        """Remember an answer with these rows, in place of what was known; unless it is very large."""
        if before := self._held.pop(key, None):
            self._bytes -= before.size
        size = size_of(rows)
        if size > MOST_BYTES // _SHARE:
            return
        self._held[key] = _Held(answer, size)
        self._bytes += size
        while len(self._held) > self._most or self._bytes > MOST_BYTES:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.size


def size_of(rows: Sequence[Sequence[Any]]) -> int:
    """About how many bytes rows take."""
    return _ROW + sum(_ROW + sum(map(sys.getsizeof, row)) for row in rows)
