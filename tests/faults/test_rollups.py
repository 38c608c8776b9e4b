"""kill -9 of the worker while slices and compactions run all the time: rollups never say anything wrong."""

import os
import signal
import time

from tests.faults.harness.installation import until
from tests.faults.harness.judge import judge
from tests.faults.harness.keeping import builds


def test_kills_while_rollups_are_made(install, check, rounds, chance):
    site = install(settings={"slice_rows": 100})
    site.prepare()
    site.start("door")
    worker = site.start("worker", "--with-console", program="tests.faults.harness.keen")
    site.wait(worker)
    oracle = site.oracle(events=500, seed=chance.randrange(1 << 30))
    repeats = max(2, rounds // 8)
    for number in range(repeats):
        oracle.phase(str(number))
        # Each round gets somewhere: a slice ends.
        before = builds(site.data)
        until(lambda before=before: builds(site.data) > before, "a build is published")
        if chance.random() < 0.7:
            site.part_written("rollups")
            time.sleep(chance.uniform(0, 0.03))
        else:
            time.sleep(chance.uniform(0, 0.3))
        killed = time.monotonic()
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        worker = site.start("worker", "--with-console", program="tests.faults.harness.keen")
        site.wait(worker)
        site.restarts.append(time.monotonic() - killed)
    oracle.sent(at_least=20)
    oracle.stop()
    verdict = judge("kill -9 of a worker that makes rollups all the time", repeats, site)
    verdict.notes.append(f"{builds(site.data)} builds were begun")
    check(verdict)
