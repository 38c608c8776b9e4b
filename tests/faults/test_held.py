"""Files that another process holds for longer than anybody waits, and disks that are slow for as long.

Whoever cannot read or write now says so and goes on afterwards: nothing is taken for empty, gone or read.
"""

import time
from typing import NamedTuple

from tests.faults.harness.bench import Bench
from tests.faults.harness.holder import all_held
from tests.faults.harness.judge import judge
from tests.faults.harness.witness import Witness

# A segment is soon full, so that some of a shard's are closed, and others are not stored yet.
SMALL_SEGMENTS = {"log_segment": "64KiB"}


class Hold(NamedTuple):
    """Which files, how, for how many seconds, and who is ended meanwhile and starts again."""

    files: str
    mode: str
    seconds: float
    ends: str = ""


# Databases are waited for 5 seconds, a segment 1 by its writer and half of one by readers.
HOLDS = [
    Hold("log/*/*.db", "exclusive", 3, "worker"),
    Hold("state.db", "exclusive", 7),
    Hold("log/*/*.db", "exclusive", 3, "door"),
    Hold("meta.db", "exclusive", 7),
    Hold("log/*/*.db", "immediate", 3),
    Hold("state.db", "immediate", 7, "worker"),
    Hold("state.db", "exclusive", 7, "door"),
    Hold("meta.db", "exclusive", 7, "door"),
    Hold("state.db", "exclusive", 12, "worker"),
    Hold("meta.db", "immediate", 7, "worker"),
]


def test_files_held_by_another_process(install, check, library, repeats, chance):
    site = install(settings=SMALL_SEGMENTS)
    bench = Bench(site, library)
    problems, not_now = [], 0
    oracle = site.oracle(events=1000, clicks=20, batch=50, seed=chance.randrange(1 << 30))
    for number in range(repeats):
        hold = HOLDS[number % len(HOLDS)]
        oracle.phase(f"{number}-{hold.files}-{hold.mode}-{hold.ends or 'nobody'}-ends")
        oracle.sent(at_least=30)
        witness = Witness(site)
        if hold.ends:
            # What waits in the log is to be read while it is held.
            bench.freeze("worker")
            oracle.sent(at_least=100)
            bench.end(hold.ends)
        with all_held(sorted(site.data.glob(hold.files)), hold.mode):
            if hold.ends:
                bench.start_again(hold.ends)
                bench.thaw("worker")
            until = time.monotonic() + hold.seconds
            while time.monotonic() < until:
                bench.revive()
                witness.ask()
        bench.wait()
        problems += [f"{number} {hold}: {problem}" for problem in witness.problems]
        not_now += witness.not_now
        bench.accepts()
    oracle.stop()
    bench.drained()
    verdict = judge("files held by another process", repeats, site, pending_is_stored=False)
    verdict.problems += problems
    verdict.notes.append(f"{not_now} answers were not now; processes ended {bench.ended} times")
    check(verdict)


class Slow(NamedTuple):
    """Whose calls on which files take how many seconds more, and how that process is ended meanwhile.

    (A worker is killed in any case.)
    """

    role: str
    files: str
    fsync: float
    write: float
    ends: str = "kill"


SLOW = [
    Slow("door", "/data/log/", 0, 0.7, "stop"),
    Slow("door", "/data/log/", 1.2, 0),  # a reader waits half a second for a segment that is sealed
    Slow("worker", "/data/state.db", 0.5, 0.05),
    Slow("worker", "/data/store/", 0.1, 0.01),
    Slow("worker", "/data/", 0.1, 0.01),
    Slow("door", "/data/", 0.6, 0.2),
]


def test_slow_files_and_a_restart(install, check, library, repeats, chance):
    site = install(settings=SMALL_SEGMENTS)
    bench = Bench(site, library)
    problems = []
    oracle = site.oracle(events=1000, clicks=20, batch=50, seed=chance.randrange(1 << 30))
    for number in range(repeats):
        slow = SLOW[number % len(SLOW)]
        oracle.phase(f"{number}-{slow.role}{slow.files}-{slow.ends}")
        oracle.sent(at_least=50)
        witness, shim = Witness(site), bench.shims[slow.role]
        # A batch is planned and inserted, or waits in the log, when its worker dies.
        bench.freeze("worker")
        oracle.sent(at_least=100)
        bench.kill("worker")
        shim.watch(slow.files)
        shim.slow_fsync(slow.fsync)
        shim.slow_writes(slow.write)
        getattr(bench, slow.ends)(slow.role)
        for _ in range(3):
            bench.revive()
            witness.ask()
            time.sleep(1)
        shim.slow_fsync(0)
        shim.slow_writes(0)
        bench.wait()
        witness.ask()
        bench.accepts()
        problems += [f"{number} {slow}: {problem}" for problem in witness.problems]
    oracle.stop()
    bench.drained()
    verdict = judge("slow fsyncs and writes, restarts meanwhile", repeats, site, pending_is_stored=False)
    verdict.problems += problems
    check(verdict)
