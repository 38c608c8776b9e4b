"""Conditions on `events` about positions: shards, and ranges of seq in them. Written here only.

The table has an index of `seq` by shard, so ranges are cheap, and single positions are not: those are
few, and stand beside ranges.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from footfall.store.statement import Values, any_of

NOTHING = -1
"""The mark of a shard before its first seq."""


class PositionRange(Protocol):
    """The positions of one shard from `after` (exclusive) to `upto` (inclusive)."""

    @property
    def shard(self) -> int: ...  # noqa: D102 - said above

    @property
    def after(self) -> int: ...  # noqa: D102 - said above

    @property
    def upto(self) -> int: ...  # noqa: D102 - said above


class PositionSet(Protocol):
    """The positions in `parts` and those in `late`, but for those in `without`."""

    @property
    def parts(self) -> Collection[PositionRange]: ...  # noqa: D102 - said above

    @property
    def late(self) -> Collection[tuple[int, int]]: ...  # noqa: D102 - said above

    @property
    def without(self) -> Collection[tuple[int, int]]: ...  # noqa: D102 - said above


def within(positions: PositionSet, values: Values) -> str:
    """Whether an event is at one of these positions."""
    found = any_of(*_ranges(positions.parts, values), *_singles(positions.late, values))
    return " AND ".join([found, *(f"NOT {each}" for each in _singles(positions.without, values))])


def above(marks: Mapping[int, int], values: Values, also: Collection[tuple[int, int]] = ()) -> str:
    """Whether an event is above the mark of its shard, or `also` at one of these positions.

    Events of a shard without a mark are not.
    """
    ranges = (
        f"shard = {values.add(shard, 'UInt64')}"
        + ("" if seq <= NOTHING else f" AND seq > {values.add(seq, 'UInt64')}")
        for shard, seq in sorted(marks.items())
    )
    return any_of(*ranges, *_singles(also, values))


def up_to(marks: Mapping[int, int], values: Values) -> str:
    """Whether an event is at the mark of its shard, or below. Events of a shard without a mark are not."""
    return any_of(
        *(
            f"shard = {values.add(shard, 'UInt64')} AND seq <= {values.add(seq, 'UInt64')}"
            for shard, seq in sorted(marks.items())
        )
    )


def _ranges(parts: Iterable[PositionRange], values: Values) -> Iterable[str]:
    return (
        f"shard = {values.add(part.shard, 'UInt64')} AND seq >= {values.add(part.after + 1, 'UInt64')}"
        f" AND seq <= {values.add(part.upto, 'UInt64')}"
        for part in parts
    )


def _singles(positions: Collection[tuple[int, int]], values: Values) -> list[str]:
    if not positions:
        return []
    return [f"((shard, seq) IN {values.add(list(positions), 'Array(Tuple(UInt64, UInt64))')})"]
