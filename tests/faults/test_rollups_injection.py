"""A kill or a one-shot error at each call of a slice, a publication, a compaction, and the removals.

The steps run in the keeper, a process of its own, on what real doors and a real worker stored.
`make faults` hits every call with an error, and many with a kill; `make test` takes a sample.
"""

import shutil
from typing import NamedTuple

from tests.faults.harness.installation import Installation
from tests.faults.harness.judge import judge
from tests.faults.harness.keeping import Keeping
from tests.faults.harness.shim import EIO, ENOSPC, KILL, TORN


class Area(NamedTuple):
    """Whose calls, on what path; and how many are hit at most: by 20 rounds, and by more than 100."""

    step: str
    path: str
    few: dict[int, int]
    many: dict[int, int]


_EACH = {EIO: 1000, ENOSPC: 6, KILL: 10, TORN: 3}
# No errors within a removal: in the pinned engine the next ones may fail too, until it is started again.
AREAS = {
    "slice": Area("slice", "/data/store/", {EIO: 2, KILL: 1}, _EACH),
    "publication": Area("slice", "/data/state.db", {EIO: 1, KILL: 1}, _EACH),
    "compaction": Area("merge", "/data/store/", {EIO: 2, KILL: 1}, _EACH),
    "publication of a compaction": Area("merge", "/data/state.db", {EIO: 1}, _EACH),
    "removal of what was merged": Area("drop", "/data/", {KILL: 1}, {KILL: 12, TORN: 4}),
}

# What a step needs to have something to do.
_BEFORE = {"slice": (), "merge": ("slice",), "drop": ("slice", "merge")}


def feed(site: Installation, chance, lines: int) -> int:
    """Real events, stored and not sliced. Returns how many there are."""
    site.prepare()
    site.start("door")
    never = {"LOOK_EVERY": "1000000"}
    site.wait(site.start("worker", "--with-console", program="tests.faults.harness.keen", **never))
    oracle = site.oracle(events=3000, batch=5, seed=chance.randrange(1 << 30))
    oracle.sent(at_least=lines)
    oracle.stop()
    site.drained()
    events = site.counted()
    site.stop()
    return events


def numbers(calls: int, most: int, chance) -> list[int]:
    """Which of so many calls are hit."""
    return sorted(chance.sample(range(1, calls + 1), min(most, calls)))


def test_a_fault_at_each_call_of_a_build(install, check, library, rounds, chance):
    site = install()
    feed(site, chance, 6000 if rounds > 100 else 600)
    hits = dict.fromkeys(AREAS, 0)
    with Keeping(site.data, library) as keeper:
        keeper.done("slice")
        for name, (step, path, few, many) in AREAS.items():
            keeper.done("drop")  # what the ones before left
            for before in _BEFORE[step]:
                keeper.done(before)
            calls = keeper.calls(step, path)
            assert calls, f"the shim sees the calls of a {name}"
            for action, most in (many if rounds > 100 else few).items():
                for number in numbers(calls, most, chance):
                    for before in _BEFORE[step]:
                        keeper.done(before)
                    hits[name] += keeper.hit(step, path, number, action)
                    keeper.done("recover")
                    keeper.done("check")
            assert hits[name], f"nothing was hit in a {name}"
    site.serve()
    verdict = judge("kill, EIO, ENOSPC at each call of a build of rollups", sum(hits.values()), site)
    verdict.notes.append(", ".join(f"{name}: {count}" for name, count in hits.items()))
    check(verdict)


def test_a_fault_at_each_call_of_the_nightly_deletion(install, library, rounds, chance, tmp_path):
    """The same deletion again and again, each on a copy: hit at another call, and then made up for."""
    site = install()
    events = feed(site, chance, 200)
    with Keeping(site.data, library) as keeper:
        keeper.done("slice_all")
    before = shutil.copytree(site.data, tmp_path / "before" / "data", symlinks=True)
    with Keeping(site.data, library) as keeper:
        told = keeper.told("check_retained")
        visits = int(told.split()[-2])
        assert visits
        assert told == f"{events} left of {events}, {visits} visits"
        calls = keeper.calls("retain", "/data/")
        assert calls, "something is deleted"
    hits = 0
    for action, most in ({KILL: 8, TORN: 2, EIO: 4} if rounds > 100 else {KILL: 1}).items():
        for number in numbers(calls, most, chance):
            shutil.rmtree(site.data)
            shutil.copytree(before, site.data, symlinks=True)
            with Keeping(site.data, library) as keeper:
                hits += keeper.hit("retain", "/data/", number, action)
                assert keeper.told("check_retained").endswith(f" left of {events}, {visits} visits"), (
                    keeper.last
                )
                keeper.done("recover")
                keeper.done("retain")
                assert keeper.told("check_retained") == f"0 left of {events}, {visits} visits", keeper.last
    assert hits
    site.serve()
    assert site.counted() == events
