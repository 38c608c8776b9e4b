"""A kill or a one-shot error at each write, rename and fsync of an insert, of the state, and of an append.

The calls are counted over all threads by the LD_PRELOAD shim. `make faults` hits every one of them in
turn, until an insert (or append) ends without being hit; `make test` takes a sample.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

import pytest

from tests.faults.harness.bench import Bench
from tests.faults.harness.installation import Installation, until
from tests.faults.harness.judge import judge
from tests.faults.harness.shim import EIO, ENOSPC, KILL, NAMES, TORN

MOST = 400  # calls of one insert; it makes far fewer


class Hits:
    """Batches whose calls are hit."""

    def __init__(self, site: Installation, library) -> None:
        self.site = site
        self.bench = Bench(site, library)
        self.hits: Counter[str] = Counter()

    def calls(self, role: str, area: str) -> int:
        """How many calls of `area` it takes to accept and store a batch."""
        shim = self.bench.shims[role]
        shim.watch(area)
        before = shim.seen
        assert self.site.hand.post() == 202
        self.site.drained()
        return shim.seen - before

    def hit(self, role: str, area: str, number: int, action: int) -> bool:
        """One batch, with the fault at its call `number`; False if there was no such call."""
        site, shim, process = self.site, self.bench.shims[role], self.bench.processes[role]
        site.hand.phase(f"{NAMES[action].replace(' ', '-')}-{area.strip('/')}-{number}")
        shim.watch(area)
        shim.arm(number, action)
        site.hand.post()
        until(lambda: shim.fired or site.waiting() == 0, "the fault or the end of the batch")
        fired = shim.fired
        shim.disarm()
        if fired:
            call, _, path = shim.hit.partition(" ")
            self.hits[f"{call} {kind(path)}"] += 1
            if action in {KILL, TORN}:
                process.wait(timeout=60)
                self.bench.start_again(role)
                self.bench.wait()
        self.bench.accepts()
        self.bench.drained()
        return fired


def kind(path: str) -> str:
    """The sort of file a call was for, for the notes of the verdict."""
    name = path.rpartition("/")[2]
    return name.rpartition("-")[2] if "db-" in name else name.rpartition(".")[2][:8]


def sweep(bench: Hits, role: str, area: str, action: int, numbers: Iterable[int]) -> int:
    """Hit each of these calls, until there is no such call; returns how many there were."""
    hits = 0
    for number in numbers:
        assert number < MOST, "the calls of one batch do not end"
        if not bench.hit(role, area, number, action):
            break
        hits += 1
    return hits


class Area(NamedTuple):
    """Whose calls, on what path, and how many of them 20 rounds take for each fault."""

    role: str
    path: str
    sample: dict[int, int]


AREAS = {
    "insert": Area("worker", "/data/store/", {EIO: 12, ENOSPC: 3, KILL: 3, TORN: 2}),
    "state transaction": Area("worker", "/data/state.db", {EIO: 8, ENOSPC: 2, KILL: 2, TORN: 1}),
    "append": Area("door", "/data/log/", {EIO: 12, ENOSPC: 4, KILL: 2, TORN: 2}),
}


@pytest.mark.parametrize("what", AREAS)
def test_a_fault_at_each_call(install, check, library, rounds, chance, what):
    role, path, sample = AREAS[what]
    site = install()
    bench = Hits(site, library)
    calls = bench.calls(role, path)
    assert calls, "the shim sees the calls"
    hits = 0
    for action, share in sample.items():
        most = share * rounds // 20
        if rounds > 100 or most >= calls:
            hits += sweep(bench, role, path, action, count(1))
        else:
            numbers = sorted(chance.sample(range(1, calls + 1), most))
            hits += sweep(bench, role, path, action, numbers)
    verdict = judge(f"kill, EIO, ENOSPC at each call of one {what}", hits, site, pending_is_stored=False)
    if bench.bench.ended:
        verdict.notes.append(f"an error ended the process {bench.bench.ended} times")
    verdict.notes += [f"{calls} calls", ", ".join(f"{call}: {n}" for call, n in sorted(bench.hits.items()))]
    check(verdict)
