"""Slow fsyncs: answers wait for them, redirects do not. And power cuts, which lose what was not fsynced."""

import signal
import time

from tests.faults.harness import book as books
from tests.faults.harness.judge import judge
from tests.faults.harness.shim import Shim
from tests.faults.test_store_stopped import spread


def test_slow_fsyncs(install, check, library, chance):
    site = install()
    shim = Shim(library, site.directory / "slow.control")
    site.serve(**shim.environment)
    shim.watch("/data/")
    oracle = site.oracle(events=500, seed=chance.randrange(1 << 30))
    oracle.phase("fast")
    oracle.sent(at_least=60)
    oracle.phase("slow")
    shim.slow_fsync(0.2)
    time.sleep(3)
    shim.slow_fsync(0)
    oracle.sent(at_least=60)
    oracle.stop()
    verdict = judge("every fsync takes 0.2 s", 1, site)
    for phase, times in books.read(site.books).latencies.items():
        verdict.notes.append(f"redirects, {phase}: {spread(times)}")
    check(verdict)


def test_power_cuts(install, check, library, rounds, chance):
    """Each cut leaves the files as they were at their last fsync. Rollups are made all the time."""
    site = install(settings={"slice_rows": 100})
    site.prepare()
    repeats = max(2, rounds // 8)
    for number in range(repeats):
        shim = Shim(library, site.directory / f"cut-{number}.control", root=site.data)
        processes = [
            site.start("door", **shim.environment),
            site.start("worker", "--with-console", program="tests.faults.harness.keen", **shim.environment),
        ]
        site.wait(processes[1])
        # What the last cut left may just be made up for.
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        shim.keep_mirror()
        for process in processes:
            process.send_signal(signal.SIGCONT)
        oracle = site.oracle(clicks=100, seed=chance.randrange(1 << 30))
        oracle.phase(f"cut-{number}")
        oracle.sent(at_least=chance.randint(50, 200))
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
        oracle.stop()
        shim.cut_power()
    site.serve()
    check(judge("power cut: what was not fsynced is gone", repeats, site, pending_is_stored=False))
