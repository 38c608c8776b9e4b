"""The recent-id index against a list of dicts: any order of checks, closes, expiry, saves and loads."""

import itertools
import tempfile
from collections import deque
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from footfall.worker.dedup import index as recent_ids
from footfall.worker.dedup.checkpoint import load, save
from footfall.worker.dedup.index import RecentIds
from footfall.worker.dedup.keys import Ids
from footfall.worker.dedup.sorted_run import sort

LIMIT = 30
WINDOW = 960

# Keys as no secret would make them: at the partitions' bounds, and many that share their first 64 bits.
keys = st.sampled_from([0, 1, 2**58 - 1, 2**58, 2**58 + 1, 2**63, 2**64 - 1])
events = st.tuples(st.tuples(keys, st.sampled_from([0, 1, 2, 65535])), st.integers(0, 2))
batches = st.lists(events, max_size=12)

Event = tuple[tuple[int, int], int]


@pytest.fixture(autouse=True, scope="module")
def _few_numbers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_ids, "_LAST_GENERATION", 40)
        yield


def ids_of(batch: list[Event]) -> Ids:
    key = np.array([key for (key, _), _ in batch], np.uint64)
    rest = np.array([more << 16 | digest + 1 for (_, more), digest in batch], np.uint32)
    return Ids(key, rest)


class RecentIdsModel(RuleBasedStateMachine):
    """`self.closed` holds, oldest first, what each closed batch entered: (received at, {id: payload})."""

    def __init__(self) -> None:
        super().__init__()
        self.index = RecentIds(LIMIT, WINDOW, itertools.count(step=WINDOW).__next__)
        self.closed: deque[tuple[float, dict[tuple[int, int], int]]] = deque()
        self.pending: deque[tuple[Ids, np.ndarray, dict[tuple[int, int], int]]] = deque()
        self.now = 100_000.0

    @precondition(lambda self: len(self.pending) < 3)
    @rule(batch=batches, dead=st.sets(st.integers(0, 11)))
    def plan(self, batch: list[Event], dead: set[int]) -> None:
        """`dead`: events that could not be stored after all, and are not entered."""
        known: dict[tuple[int, int], int] = {}
        for _, entered in self.closed:
            known |= entered
        for *_, planned in self.pending:
            known |= planned
        duplicates, conflicts, kept, mine = [], [], [], {}
        for at, (id_, digest) in enumerate(batch):
            counted = known.get(id_)
            duplicates.append(counted is not None)
            conflicts.append(counted is not None and counted != digest)
            if counted is None:
                known[id_] = digest
            keep = counted is None and at not in dead
            kept.append(keep)
            if keep:
                mine[id_] = digest
        ids = ids_of(batch)
        pending = [sort(each, mask) for each, mask, _ in self.pending]
        verdict = self.index.check(ids, pending)
        assert verdict.duplicate.tolist() == duplicates
        assert verdict.conflict.tolist() == conflicts
        self.pending.append((ids, np.array(kept, bool), mine))

    @precondition(lambda self: self.pending)
    @rule(age=st.sampled_from([0, 0, 0, 5, WINDOW, 3 * WINDOW]))
    def close(self, age: float) -> None:
        ids, kept, mine = self.pending.popleft()
        self.index.enter(sort(ids, kept), self.now - age)
        if mine:
            newest = max(self.now - age, self.closed[-1][0] if self.closed else 0)
            self.closed.append((newest, mine))
        while sum(len(entered) for _, entered in self.closed) > LIMIT and len(self.closed) > 1:
            self.closed.popleft()

    @rule(seconds=st.sampled_from([1, 100, WINDOW - 1, WINDOW, WINDOW + 1, -50]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.index.expire(self.now)
        if self.closed and self.closed[0][0] < self.now - WINDOW:
            self.closed.popleft()

    @rule()
    def restart(self) -> None:
        """As a kill does it: what was planned is gone, what was closed is in the checkpoint."""
        with tempfile.TemporaryDirectory() as directory:
            save(Path(directory) / "ids", [self.index.snapshot({1: 2})])
            (snapshot,) = load(Path(directory) / "ids") or ()
        assert snapshot.positions == {1: 2}
        self.index = RecentIds(LIMIT, WINDOW, itertools.count(step=WINDOW).__next__)
        self.index.restore(snapshot)
        self.pending.clear()

    @invariant()
    def as_many_as_the_model(self) -> None:
        assert len(self.index) == sum(len(entered) for _, entered in self.closed)


TestRecentIds = RecentIdsModel.TestCase
TestRecentIds.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(640, 20_000),
    st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 30)), min_size=5, max_size=40),
    st.integers(0, 2**32),
)
def test_the_newest_ids_of_the_window_are_seen_and_never_entered_ones_are_not(
    limit: int, steps: list[tuple[int, int]], seed: int
):
    """Batches of many sizes, through merges of every kind; a part of each is resent."""
    random = Random(seed)
    index = RecentIds(limit, WINDOW)
    entered: list[tuple[int, float]] = []  # (id, received at), the oldest first
    now, fresh = 1000.0, 0
    largest = max(count + count // 2 for count, _ in steps)  # ids that were forgotten are entered again
    for count, seconds in steps:
        now += seconds
        again = [id_ for id_, _ in random.sample(entered, min(len(entered), count // 2))]
        new = list(range(fresh, fresh + count))
        fresh += count
        numbers = [*new, *again, *range(10**9, 10**9 + 50)]
        random.shuffle(numbers)
        ids = index.identify(
            ["acme"] * len(numbers), [n.to_bytes(16, "big") for n in numbers], [0] * len(numbers)
        )
        seen = {n for n, duplicate in zip(numbers, index.check(ids).duplicate, strict=True) if duplicate}
        assert seen <= {*again}
        surely = max(0, limit - limit // 64 - largest - 1)
        certain = (
            {id_ for id_, at in entered[len(entered) - surely :] if at >= now - WINDOW} if surely else set()
        )
        assert certain & {*again} <= seen
        added = np.array([n < 10**9 and n not in seen for n in numbers])
        index.enter(sort(ids, added), now)
        index.expire(now)
        entered = [each for each in entered if each[0] in seen or each[0] not in {*again}]
        entered += [(n, now) for n, is_added in zip(numbers, added, strict=True) if is_added]
        assert len(index) <= max(limit, limit // 64 + 2 * largest)
