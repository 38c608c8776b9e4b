"""kill -9 at random instants, and SIGTERM, under load: nothing acknowledged is lost or there twice."""

import os
import signal
import time

from tests.e2e.serving import ended
from tests.faults.harness.installation import children, until
from tests.faults.harness.judge import judge

TARGETS = ("door", "worker", "supervisor", "all")


def test_kill_at_random_instants(install, check, rounds, chance):
    site = install()
    server = site.serve()
    oracle = site.oracle(seed=chance.randrange(1 << 30))
    targets: list[str] = []
    for number in range(rounds):
        targets = targets or chance.sample(TARGETS, len(TARGETS))
        target = targets.pop()
        oracle.phase(f"{number}-{target}")
        oracle.sent(at_least=chance.randint(1, 60))
        pids = children(server.pid)
        if chance.random() < 0.5:
            site.part_written()
            time.sleep(chance.uniform(0, 0.01))
        else:
            time.sleep(chance.uniform(0, 0.3))
        killed = time.monotonic()
        if target in pids:
            os.kill(pids[target], signal.SIGKILL)
            until(lambda pid=pids[target]: ended(pid), "it is dead")
            site.wait(server)
            site.restarts.append(time.monotonic() - killed)
        else:
            server.kill()
            if target == "all":
                for pid in pids.values():
                    os.kill(pid, signal.SIGKILL)
            server.wait()
            server = site.serve()
    oracle.sent(at_least=20)
    oracle.stop()
    check(judge("kill -9 of door, worker, supervisor, all", rounds, site, pending_is_stored=False))


def test_sigterm_under_load(install, check, rounds, chance):
    site = install()
    server = site.serve()
    oracle = site.oracle(seed=chance.randrange(1 << 30))
    repeats = max(2, rounds // 7)
    for number in range(repeats):
        oracle.phase(str(number))
        oracle.sent(at_least=chance.randint(20, 100))
        site.terminate(server)
        server = site.serve()
    oracle.stop()
    check(judge("SIGTERM under load", repeats, site))
