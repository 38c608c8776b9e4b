"""kill -9 at random instants, and SIGTERM, under load: nothing acknowledged is lost or there twice."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from tests.e2e.serving import ended
from tests.faults.harness import book as books
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


# Writes and fsyncs a megabyte again and again.
_BUSY = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
while True:
    os.pwrite(file, bytes(1 << 20), 0)
    os.fsync(file)
"""


@contextmanager
def busy_disk(path):
    writer = subprocess.Popen([sys.executable, "-c", _BUSY, str(path)])
    try:
        yield
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()


def test_a_redirect_that_says_logged_is_logged_however_busy_the_disk_is_and_the_door_killed(
    install, check, rounds, chance
):
    """The header and the id of every single redirect are read."""
    site = install()
    server = site.serve()
    repeats = max(3, rounds // 4)
    with busy_disk(site.directory / "busy"):
        oracle = site.oracle(events=100, clicks=1500, seed=chance.randrange(1 << 30))
        for number in range(repeats):
            oracle.phase(str(number))
            oracle.sent(at_least=chance.randint(300, 1500))
            door = children(server.pid)["door"]
            os.kill(door, signal.SIGKILL)
            until(lambda pid=door: ended(pid), "it is dead")
            site.wait(server)
        oracle.sent(at_least=300)
        oracle.stop()
    verdict = judge("kill -9 of the door beside a busy disk", repeats, site, pending_is_stored=False)
    book = books.read(site.books)
    logged, pending = book.safe & book.ids.keys(), book.pending
    assert len(logged) > 100, "hardly a redirect was logged in time: the test shows nothing"
    verdict.notes.append(f"redirects: {len(logged):,} said yes, {len(pending):,} pending")
    check(verdict)


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
