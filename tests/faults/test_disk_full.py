"""A disk that is full: what cannot be kept is refused, and all goes on when there is space again."""

import os
import shutil
import signal
import time
from contextlib import suppress

import pytest

from tests.faults.harness import tmpfs
from tests.faults.harness.hand import http
from tests.faults.harness.installation import accepted_again, children, refused_at_least, until
from tests.faults.harness.judge import judge

SPARE = 3 << 20  # what is left at first


needs_mounts = pytest.mark.skipif(
    not tmpfs.possible() and "FOOTFALL_TESTS_NEED_EVERYTHING" not in os.environ,
    reason="no mount namespace can be made here (needs root or user namespaces)",
)


def fill(disk, *, spare=0):
    """The file that fills the disk but for `spare` bytes."""
    ballast = disk.root / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while (left := shutil.disk_usage(disk.root).free - spare) > 0:
            file.write(bytes(min(left, 1 << 20)))
    return ballast


@needs_mounts
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
        ballast = fill(disk, spare=SPARE)
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


@needs_mounts
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_start_on_a_full_disk(install, check, tmp_path, chance, how):
    """The door answers and refuses, nothing that was acknowledged is lost, and with room all goes on."""
    with tmpfs.mounted(tmp_path / "data", 300 << 20) as disk:
        site = install(prefix=disk.prefix)
        server = site.serve()
        oracle = site.oracle(events=3000, clicks=100, seed=chance.randrange(1 << 30))
        oracle.phase("space")
        oracle.sent(at_least=100)
        server.send_signal(how)
        server.wait(timeout=60)
        ballast = fill(disk)
        oracle.phase("full")
        server = site.start("serve")
        until(site.door_answers, "the door answers on a full disk")
        assert http(site.port, "GET", "/health/live")[0] == 200
        refused_at_least(oracle.book, 30)
        assert server.poll() is None
        ballast.unlink()
        oracle.phase("freed")
        accepted_again(oracle.book)
        oracle.stop()
        site.wait(server)
        check(judge("started on a full disk", 1, site))
