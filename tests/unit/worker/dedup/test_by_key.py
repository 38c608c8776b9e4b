"""The recent ids of senders with a key and without: apart, and together in batches, runs and checkpoints."""

import os
import struct
from itertools import count, pairwise
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from footfall.metrics import (
    RECENT_IDS,
    RECENT_IDS_WINDOW_SECONDS,
    RECENT_IDS_WINDOW_WITHOUT_KEY_SECONDS,
)
from footfall.worker.dedup.by_key import RecentIdsByKey
from footfall.worker.dedup.checkpoint import load, save
from footfall.worker.dedup.index import Partition, RecentIds
from footfall.worker.dedup.keys import Ids
from footfall.worker.dedup.sorted_run import sort

DAY = 86_400
NOW = 1_763_700_000.0
LIMIT = 1000

Kinds = bool | list[bool]
"""Of all, or of each: whether it came without a key."""


def number(value: int) -> bytes:
    return value.to_bytes(16, "big")


def ids_of(index: RecentIdsByKey, values: list[int], without_key: Kinds) -> Ids:
    kinds = without_key if isinstance(without_key, list) else [without_key] * len(values)
    return index.identify(["acme"] * len(values), list(map(number, values)), [1] * len(values), kinds)


def enter(index: RecentIdsByKey, values: list[int], without_key: Kinds, at: float = NOW) -> None:
    index.enter(sort(ids_of(index, values, without_key)), at)


def seen(index: RecentIdsByKey, values: list[int], without_key: Kinds) -> list[bool]:
    return index.check(ids_of(index, values, without_key)).duplicate.tolist()


def test_a_flood_without_a_key_takes_no_id_that_came_with_one_and_the_other_way_round():
    for strangers in (True, False):
        index = RecentIdsByKey(LIMIT, DAY)
        enter(index, list(range(100)), not strangers)
        for batch in range(50):
            enter(index, list(range(10_000 + batch * 100, 10_100 + batch * 100)), strangers, NOW + batch)
        assert all(seen(index, list(range(100)), not strangers))
        assert index.room(without_key=strangers) == 0
        assert index.room(without_key=not strangers) == LIMIT - 100
        index.expire(NOW + 60)
        known, window, of_strangers = (
            each._value.get()
            for each in (RECENT_IDS, RECENT_IDS_WINDOW_SECONDS, RECENT_IDS_WINDOW_WITHOUT_KEY_SECONDS)
        )
        assert known == len(index) == LIMIT + 100
        assert sorted([window, of_strangers]) == [21, DAY]  # the newest forgotten one came at NOW + 39
        assert (of_strangers < window) == strangers


def test_a_batch_of_both_kinds_is_judged_in_its_order():
    index = RecentIdsByKey(LIMIT, DAY)
    enter(index, [1, 2, 3], [False, True, False])
    pending = [sort(ids_of(index, [4, 5], [False, True]))]
    values, kinds = (
        [1, 1, 2, 2, 3, 4, 5, 6, 6, 6],
        [False, True, True, False, False, False, True] + [True] * 3,
    )
    verdict = index.check(ids_of(index, values, kinds), pending)
    expected = [True, False, True, False, True, True, True, False, True, True]
    assert verdict.duplicate.tolist() == expected
    assert not verdict.conflict.any()
    assert index.known(ids_of(index, values, kinds)).tolist() == [*expected[:5], *[False] * 5]


def test_nothing_is_a_batch_too():
    index = RecentIdsByKey(LIMIT, DAY)
    enter(index, [], [])
    assert seen(index, [], []) == []
    assert len(index) == 0
    assert index.reach == float("inf")


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60), st.integers(1, 9))
def test_it_is_as_one_index_of_which_both_kinds_have_names_of_their_own(
    events: list[tuple[int, bool]], size: int
):
    index, known = RecentIdsByKey(LIMIT, DAY), set[tuple[int, bool]]()
    for start in range(0, len(events), size):
        batch = events[start : start + size]
        ids = ids_of(index, [value for value, _ in batch], [kind for _, kind in batch])
        duplicate = index.check(ids).duplicate
        expected = [each in known or each in batch[:at] for at, each in enumerate(batch)]
        assert duplicate.tolist() == expected
        index.enter(sort(ids, ~duplicate), NOW)
        known |= {*batch}
        assert len(index) == len(known)


def test_a_checkpoint_brings_both_back(tmp_path: Path):
    index = RecentIdsByKey(LIMIT, DAY)
    enter(index, list(range(0, 300, 3)), False)
    enter(index, list(range(0, 300, 2)), True, NOW + 5)
    save(tmp_path / "ids", index.snapshot({7: 3}))
    again = RecentIdsByKey(LIMIT, DAY)
    again.restore(load(tmp_path / "ids") or [])
    for kind, step in ((False, 3), (True, 2)):
        assert seen(again, list(range(300)), kind) == [value % step == 0 for value in range(300)]
    assert again.reach == NOW
    assert len(again) == 250


def old_checkpoint(path: Path, index: RecentIds, positions: dict[int, int]) -> None:
    """As the program wrote it that did not tell the kinds apart."""
    snapshot = index.snapshot(positions)
    generations = [[each.started, each.newest, each.ids] for each in snapshot.generations]
    sizes = [[large.size, small.size] for large, small in snapshot.partitions]
    head = msgspec.msgpack.encode(
        [positions, snapshot.secret, snapshot.complete_since, snapshot.first_generation, generations, sizes]
    )
    columns = b"".join(
        column.tobytes() for partition in snapshot.partitions for run in partition for column in run
    )
    start = struct.pack("<8sIII", b"ffrecent", 1, len(head), crc32(head))
    path.write_bytes(start + head + columns + struct.pack("<I", crc32(columns)))


def test_what_a_checkpoint_of_before_holds_is_known_of_both_kinds(tmp_path: Path):
    old = RecentIds(LIMIT, DAY)
    for batch in range(4):  # in runs of both sizes
        values = [number(value) for value in range(batch * 100, batch * 100 + 100)]
        old.enter(sort(old.identify(["acme"] * 100, values, [1] * 100)), NOW + batch)
    old_checkpoint(tmp_path / "ids", old, {5: 6})
    (snapshot,) = load(tmp_path / "ids") or ()
    assert snapshot.positions == {5: 6}
    index = RecentIdsByKey(LIMIT, DAY, count(step=DAY).__next__)
    index.restore([snapshot])
    for kind in (False, True):
        assert seen(index, list(range(500)), kind) == [value < 400 for value in range(500)]
    assert index.reach == 0, "how far back they reach nobody knows"
    for _ in range(9):
        index.expire(NOW + 3 * DAY)
    assert len(index) == 0


def test_runs_of_before_stay_sorted(tmp_path: Path):
    """Also where two keys follow each other in their last bit only."""
    old = RecentIds(LIMIT, DAY)
    keys = np.array([0, 1, 2, 3, 6, 7, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1], np.uint64)
    run = sort(Ids(keys, np.arange(len(keys), dtype=np.uint32) << np.uint32(16)))
    old.enter(run, NOW)
    index = RecentIdsByKey(LIMIT, DAY)
    index.restore([old.snapshot({})])
    for snapshot in index.snapshot({}):
        for run in (run for partition in snapshot.partitions for run in Partition(*partition)):
            assert all(one <= other for one, other in pairwise(run.key.tolist()))
    for bit in (0, 1):
        marked = keys & ~np.uint64(1) | np.uint64(bit)
        assert index.known(Ids(marked, np.arange(len(keys), dtype=np.uint32) << np.uint32(16))).all()


def test_the_kind_is_no_part_of_what_an_attacker_may_choose():
    index = RecentIdsByKey(LIMIT, DAY)
    values = [int.from_bytes(os.urandom(16)) for _ in range(1000)]
    for kind in (False, True):
        assert {*(ids_of(index, values, kind).key & np.uint64(1)).tolist()} == {int(kind)}
