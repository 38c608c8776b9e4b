"""Clients that send the same ids again: in other batches, orders, connections and hours, over restarts."""

import os
import signal

from tests.faults.harness.installation import children
from tests.faults.harness.judge import judge


def test_resends_count_once(install, check, rounds, chance):
    site = install()
    server = site.serve()
    oracle = site.oracle(events=2000, clicks=10, storm=0.5, seed=chance.randrange(1 << 30))
    repeats = max(2, rounds // 20)
    for number in range(repeats):
        oracle.phase(f"{number}-running")
        oracle.sent(at_least=200)
        # What was seen before must be known after: the resends go on.
        if number % 2 == 0:
            oracle.phase(f"{number}-killed")
            os.kill(children(server.pid)["worker"], signal.SIGKILL)
            oracle.sent(at_least=100)
            site.wait(server)
        else:
            oracle.phase(f"{number}-stopped")
            site.terminate(server)
            server = site.serve()
    oracle.sent(at_least=200)
    oracle.stop()
    check(judge("the same ids sent again", repeats, site))
