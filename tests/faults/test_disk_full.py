"""A disk that is full: what cannot be kept is refused, and all goes on when there is space again."""

import os
import shutil
import signal
import time

import pytest

from tests.faults.harness import tmpfs
from tests.faults.harness.installation import accepted_again, children, refused_at_least
from tests.faults.harness.judge import judge

SPARE = 3 << 20  # what is left at first


@pytest.mark.skipif(
    not tmpfs.possible(), reason="no mount namespace can be made here (needs root or user namespaces)"
)
def test_a_full_disk_then_a_free_one(install, check, tmp_path, chance):
    with tmpfs.mounted(tmp_path / "data", 300 << 20) as disk:
        site = install(prefix=disk.prefix)
        server = site.serve()
        oracle = site.oracle(events=3000, clicks=100, seed=chance.randrange(1 << 30))
        oracle.phase("space")
        oracle.sent(at_least=100)
        oracle.phase("filling")
        # What waits is to be inserted when there is no space left.
        worker = children(server.pid)["worker"]
        os.kill(worker, signal.SIGSTOP)
        ballast = disk.root / "ballast"
        with ballast.open("wb") as file:
            left = shutil.disk_usage(disk.root).free - SPARE
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 20)))
        refused_at_least(oracle.book, 30)
        os.kill(worker, signal.SIGCONT)
        oracle.phase("full")
        time.sleep(3)
        ballast.unlink()
        oracle.phase("freed")
        accepted_again(oracle.book)
        oracle.stop()
        site.wait(server)
        check(judge("disk full, then freed", 1, site))
