"""The statements that make one build of several.

What is merged is in memory as a whole, and a set of visitors may take kilobytes. So how much there
is to be merged is estimated first, and taken in pieces.
"""
# ruff: noqa: S608 -- the statements are put together from the lists of model.rollups; values are parameters

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from footfall.model.cubes import MEASURES, VALUES, Cube, Measure
from footfall.rollups.statements import runs
from footfall.state.rollups.manifest import Building
from footfall.store.statement import Statement

LITTLE = 32 << 20
"""Bytes of memory up to which all cubes are merged by one statement."""

_NEVER = 2**32 - 1  # the last second that a DateTime can hold

# A row of `rollups`, in bytes, while it is merged: its sets of visitors and of sessions have at most
# as many values as it has events, in hash tables of 4 bytes a value that are never full; large sets
# are 2^17 registers of 6 bits.
_MEMORY = "500 + 2 * least(98304, 16 * events)"

_GROUP = ", ".join(("`cube`", "workspace_id", "site_id", "link_id", "at", "event_type", "is_bot", *VALUES))


class Slot(NamedTuple):
    """Buckets from `first` to `last` (Unix seconds, both inclusive); of their groups one of `shares`."""

    first: int
    last: int
    share: int = 0
    shares: int = 1


def groups_of(month: int, sources: Sequence[int]) -> Statement:
    """About how many rows a merge of these builds would leave."""
    return Statement(
        f"SELECT uniqCombined(17)({_GROUP}) FROM rollups"
        " WHERE toYYYYMM(at) = {month:UInt32} AND build IN {sources:Array(UInt64)}",
        {"month": month, "sources": list(sources)},
    )


def spread_of(building: Building) -> Statement:
    """How much memory the rows of a merge's sources may take: by cube and bucket, in order."""
    return Statement(
        f"SELECT cube, toInt64(toUnixTimestamp(at)) AS bucket, toInt64(sum({_MEMORY})) FROM rollups"
        " WHERE toYYYYMM(at) = {month:UInt32} AND build IN {sources:Array(UInt64)}"
        " GROUP BY `cube`, bucket ORDER BY `cube`, bucket",
        {"month": building.month, "sources": list(building.sources)},
    )


def merges(
    held: Sequence[Cube], spread: Sequence[tuple[str, int, int]], building: Building, at_once: int
) -> Iterator[Statement]:
    """One build of several. `spread`: what `spread_of` answers.

    Little takes one statement. Much takes several, each of one cube and some buckets, or a share of
    one bucket, because the sets of different values that one statement merges are all in memory at
    once: about `at_once` bytes.
    """
    if sum(memory for _, _, memory in spread) <= min(LITTLE, at_once):
        yield _merge([cube.name for cube in held], tuple(MEASURES), building, Slot(0, _NEVER))
        return
    for cube in held:
        for first, last, memory in runs(
            [(at, size) for name, at, size in spread if name == cube.name], at_once
        ):
            shares = -(-memory // at_once)
            for share in range(shares):
                yield _merge([cube.name], cube.measures, building, Slot(first, last, share, shares))


def _merge(names: Sequence[str], measures: Sequence[str], building: Building, slot: Slot) -> Statement:
    figures = ", ".join(f"{_merged(MEASURES[name])} AS m_{name}" for name in measures)
    share = f" AND cityHash64(workspace_id, site_id, link_id, {', '.join(VALUES)}) % {{shares:UInt64}}"
    return Statement(
        f"INSERT INTO rollups (build, {_GROUP}, {', '.join(measures)})"
        f" SELECT {{build:UInt64}}, {_GROUP}, {figures} FROM rollups WHERE cube IN {{cubes:Array(String)}}"
        " AND toYYYYMM(at) = {month:UInt32} AND build IN {sources:Array(UInt64)}"
        " AND at BETWEEN toDateTime({first:Int64}, 'UTC') AND toDateTime({last:Int64}, 'UTC')"
        f"{f'{share} = {{share:UInt64}}' if slot.shares > 1 else ''}"
        f" GROUP BY {_GROUP}",
        {
            "build": building.build,
            "cubes": list(names),
            "month": building.month,
            "sources": list(building.sources),
            **slot._asdict(),
        },
    )


def _merged(measure: Measure) -> str:
    if not measure.state:
        return f"sum({measure.name})"
    return f"{measure.combined('MergeState')}({measure.name})"
