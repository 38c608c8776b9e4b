"""Reads that end with EIO, and disks that are full, for a moment: from any call on, of any file and process.

While it lasts what needs the file waits or is refused; afterwards all goes on by itself, and nothing was
taken for gone, empty or damaged meanwhile.
"""

import time
from typing import NamedTuple

import pytest

from tests.faults.harness.bench import Bench
from tests.faults.harness.installation import until
from tests.faults.harness.judge import judge
from tests.faults.harness.shim import EIO, ENOSPC, NAMES, READS, WRITES
from tests.faults.harness.witness import Witness
from tests.faults.test_held import SMALL_SEGMENTS

LASTS = 1.5  # seconds


class Place(NamedTuple):
    """Whose calls on which files; `at_start`: they are made when the process starts."""

    role: str
    files: str
    at_start: bool = False


PLACES = {
    EIO: [
        Place("worker", "/data/log/", at_start=True),
        Place("door", "/data/meta.db"),
        Place("worker", "/data/state.db", at_start=True),
        Place("door", "/data/log/", at_start=True),
        Place("worker", "/data/recent-ids", at_start=True),
        Place("door", "/data/state.db", at_start=True),
        Place("worker", "/data/log/"),
        Place("worker", "/data/meta.db"),
        Place("worker", "/data/state.db"),
        Place("door", "/data/meta.db", at_start=True),
        Place("door", "/data/log-ends/", at_start=True),
        Place("worker", "/data/installation", at_start=True),
    ],
    ENOSPC: [
        Place("worker", "/data/.run-", at_start=True),
        Place("worker", "/data/state.db"),
        Place("door", "/data/log/"),
        Place("worker", "/data/log/consumers/"),
        Place("worker", "/data/store/"),
        Place("door", "/data/", at_start=True),
        Place("worker", "recent-ids"),
        Place("worker", "/data/", at_start=True),
        Place("door", "/data/log-ends/"),
        Place("worker", "/data/meta.db"),
        Place("door", "/data/state.db", at_start=True),
        Place("worker", "/data/state.db", at_start=True),
        Place("worker", "/data/"),
    ],
}
KINDS = {EIO: READS, ENOSPC: WRITES}
FIRST = (1, 1, 2, 3, 5, 8, 13, 21)  # calls


def test_one_read_of_the_witness_that_fails_refuses_nothing(install, library):
    """Whichever it is, the door goes on without it, and with it again a moment later."""
    site = install(settings=SMALL_SEGMENTS)
    bench = Bench(site, library)
    bench.accepts()
    shim = bench.shims["door"]
    hit: list[bool] = []
    for number in range(1, 6):
        bench.end("door")
        shim.watch("/data/log-ends/", READS)
        shim.arm(number, EIO)
        bench.start_again("door")
        until(site.door_answers, "the door answers")
        statuses = [site.hand.post() for _ in range(5)]
        hit.append(shim.fired)
        shim.disarm()
        assert set(statuses) == {202}, f"read {number}: {statuses}"
    assert sum(hit) >= 3, hit
    bench.drained()


@pytest.mark.parametrize("action", PLACES, ids=NAMES.get)
def test_errors_that_pass(install, check, library, repeats, chance, action):
    site = install(settings=SMALL_SEGMENTS)
    bench = Bench(site, library)
    problems, hits = [], 0
    for number in range(repeats):
        place = PLACES[action][number % len(PLACES[action])]
        # The first ones surely come.
        first, lasting = chance.choice(FIRST) if number > 1 else 1, chance.random() < 0.7
        what = f"{number}-{place.role}{place.files}-from-{first}-{'on' if lasting else 'once'}"
        site.hand.phase(what)
        witness, shim = Witness(site), bench.shims[place.role]
        shim.watch(place.files, KINDS[action])
        if place.at_start:
            bench.freeze("worker")
            for _ in range(5):
                site.hand.post(count=20)
            bench.end(place.role)
        shim.arm(first, action, lasting=lasting)
        if place.at_start:
            bench.start_again(place.role)
            bench.thaw("worker")
            until(lambda shim=shim: shim.fired or bench.answers(), "the fault or the end of the start")
        deadline = time.monotonic() + LASTS
        while time.monotonic() < deadline:
            bench.revive()
            witness.ask()
            site.hand.post()
        hits += shim.fired
        shim.disarm()
        bench.wait()
        witness.ask()
        bench.accepts()
        bench.drained()
        problems += [f"{what}: {problem}" for problem in witness.problems]
    verdict = judge(f"{NAMES[action]} for a moment, anywhere", repeats, site)
    verdict.problems += problems
    if "Traceback" in site.output.read_text(errors="replace"):
        verdict.problems.append("tracebacks in the output")
    if not hits:
        verdict.problems.append("nothing was hit: the test shows nothing")
    verdict.notes.append(f"{hits} of them came; processes ended {bench.ended} times")
    check(verdict)
