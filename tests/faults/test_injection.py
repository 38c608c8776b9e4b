"""A kill or a one-shot error at each write, rename and fsync of an insert, of the state, and of an append.

The calls are counted over all threads by the LD_PRELOAD shim. `make faults` hits every one of them in
turn, until an insert (or append) ends without being hit; `make test` takes a sample.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

import pytest

from tests.faults.harness.installation import Installation, until
from tests.faults.harness.judge import judge
from tests.faults.harness.shim import EIO, ENOSPC, KILL, NAMES, TORN, Shim

MOST = 400  # calls of one insert; it makes far fewer


class Bench:
    """A door and a worker as processes of their own, each with a shim."""

    def __init__(self, site: Installation, library) -> None:
        self.site = site
        self.shims = {role: Shim(library, site.directory / f"{role}.control") for role in ("collect", "work")}
        site.prepare()
        self.processes = {role: self._start(role) for role in self.shims}
        self.hits: Counter[str] = Counter()
        self.ended = 0  # processes that an error brought down
        self.wait()

    def _start(self, role: str):
        options = ["--with-query"] if role == "work" else []
        return self.site.start(role, *options, **self.shims[role].environment)

    def wait(self) -> None:
        self.site.wait(self.processes["work"])

    def calls(self, role: str, area: str) -> int:
        """How many calls of `area` it takes to accept and store a batch."""
        shim = self.shims[role]
        shim.watch(area)
        before = shim.seen
        assert self.site.hand.post() == 202
        self.site.drained()
        return shim.seen - before

    def hit(self, role: str, area: str, number: int, action: int) -> bool:
        """One batch, with the fault at its call `number`; False if there was no such call."""
        site, shim, process = self.site, self.shims[role], self.processes[role]
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
                self._start_again(role)
        # After an error a door may refuse for a moment.
        until(lambda: site.hand.post() == 202, "it accepts again")
        until(lambda: self._is_drained(role), "it is drained")
        return fired

    def _is_drained(self, role: str) -> bool:
        """A process that an error ended is started again, as its supervisor would do."""
        if self.processes[role].poll() is not None:
            self.ended += 1
            self._start_again(role)
        return self.site.waiting() == 0

    def _start_again(self, role: str) -> None:
        self.processes[role] = self._start(role)
        self.wait()


def kind(path: str) -> str:
    """The sort of file a call was for, for the notes of the verdict."""
    name = path.rpartition("/")[2]
    return name.rpartition("-")[2] if "db-" in name else name.rpartition(".")[2][:8]


def sweep(bench: Bench, role: str, area: str, action: int, numbers: Iterable[int]) -> int:
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
    "insert": Area("work", "/data/store/", {EIO: 12, ENOSPC: 3, KILL: 3, TORN: 2}),
    "state transaction": Area("work", "/data/state.db", {EIO: 8, ENOSPC: 2, KILL: 2, TORN: 1}),
    "append": Area("collect", "/data/log/", {EIO: 12, ENOSPC: 4, KILL: 2, TORN: 2}),
}


@pytest.mark.parametrize("what", AREAS)
def test_a_fault_at_each_call(install, check, library, rounds, chance, what):
    role, path, sample = AREAS[what]
    site = install()
    bench = Bench(site, library)
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
    if bench.ended:
        verdict.notes.append(f"an error ended the process {bench.ended} times")
    verdict.notes += [f"{calls} calls", ", ".join(f"{call}: {n}" for call, n in sorted(bench.hits.items()))]
    check(verdict)
