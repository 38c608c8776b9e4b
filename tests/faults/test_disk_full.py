"""A disk that is full: what cannot be kept is refused, and all goes on when there is space again."""

import json
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


def fill_log(site, disk, size):
    """Send events until so many bytes lie in the log; returns how many there were."""
    sent = 0
    while log_size(disk) < size:
        event = {"event_type": "x", "properties": {"p": os.urandom(4000).hex()}}
        status, _ = http(site.port, "POST", "/v1/events", json.dumps({"events": [event] * 20}).encode())
        assert status == 202
        sent += 20
    return sent


def log_size(disk):
    return sum(file.stat().st_size for file in disk.root.glob("log/*/*.db"))


@needs_mounts
def test_a_full_disk_costs_the_log_what_is_stored_and_nothing_else(install, tmp_path):
    with tmpfs.mounted(tmp_path / "data", 300 << 20) as disk:
        site = install(prefix=disk.prefix, settings={"log_segment": "1MiB", "batch_bytes": "1MiB"})
        server = site.serve()
        sent = fill_log(site, disk, 30 << 20)
        site.drained()
        before = log_size(disk)
        ballast = fill(disk, spare=SPARE)
        taken: list[int] = []

        def answer():
            taken.append(site.hand.post(count=5))
            return taken[-1]

        until(lambda: answer() == 202, "what is stored has made room")
        assert log_size(disk) < before
        ballast.unlink()
        site.drained()

        worker = children(server.pid)["worker"]
        os.kill(worker, signal.SIGSTOP)
        sent += fill_log(site, disk, log_size(disk) + (8 << 20))
        ballast = fill(disk, spare=SPARE)
        until(lambda: answer() == 503, "it refuses")
        ballast.unlink()
        os.kill(worker, signal.SIGCONT)
        until(lambda: answer() == 202, "it accepts again")
        site.drained()
        assert site.counted() == sent + 5 * taken.count(202)
        assert site.ledger_balanced()


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
