"""Errors of the disk at single system calls, and a disk that is full: what was acknowledged is kept.

The errors are injected by strace, where that is installed and allowed; the full disk is a small
tmpfs in a mount namespace of its own, where the kernel allows one.
"""

import asyncio
import os
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from footfall.errors import LogFull
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.settings import load

sys.path.insert(0, str(Path(__file__).parent))
from log_writer import record

ROUNDS = int(os.environ.get("FOOTFALL_TEST_ROUNDS", "6"))
SEED = int(os.environ.get("FOOTFALL_TEST_SEED", "1"))
ALL = 1 << 40
# How many of each call a writer of 100 records makes, at most; later ones are not reached.
CALLS = {"pwrite64": 260, "fdatasync": 70, "fsync": 12, "ftruncate": 20, "rename": 6, "unlink": 30}
FAULTS = ("error=EIO:when={}", "error=ENOSPC:when={}", "signal=KILL:when={}", "error=EIO:when={}+")
# The next segment is there but cannot be opened; and a few that once went wrong.
KNOWN = [
    ("ftruncate", "error=EIO:when={}", 6),
    ("ftruncate", "error=EIO:when={}+", 5),
    ("ftruncate", "error=EIO:when={}+", 6),
    ("fdatasync", "error=EIO:when={}+", 43),
]

WRITER = [sys.executable, str(Path(__file__).with_name("log_writer.py"))]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def can_run(*command: str) -> bool:
    return bool(shutil.which(command[0])) and run(*command).returncode == 0


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)


def said_by(output: bytes) -> tuple[set[int], set[int]]:
    """The numbers acknowledged, and those refused."""
    lines = output.decode().split("\n")[:-1]
    return {int(line) for line in lines if line[0] != "-"}, {
        int(line[1:]) for line in lines if line[0] == "-"
    }


async def numbers_in(data: Path) -> list[int]:
    log = await open_log(load(data=data))
    stored = [each for shard in await log.shards() for each in await log.read(shard, -1, ALL, ALL)]
    await log.append(Entry("", b"it can be written again"))
    await log.close()
    for each in stored:
        assert each.data == record(int.from_bytes((each.data or b"")[:8], "big"))
    return [int.from_bytes((each.data or b"")[:8], "big") for each in stored]


needs_strace = pytest.mark.skipif(
    not can_run("strace", "-f", "-e", "trace=none", "-e", "inject=fsync:error=EIO", "true"),
    reason="no strace",
)


@needs_strace
def test_nothing_is_acknowledged_that_could_not_be_fsynced(tmp_path):
    inject = "inject=fdatasync:error=EIO:when=20+"
    done = run("strace", "-f", "-qq", "-o", "/dev/null", "-e", inject, *WRITER, str(tmp_path), "0", "200")
    acknowledged, refused = said_by(done.stdout)
    assert refused == set(range(200)) - acknowledged
    assert len(refused) > 50


@needs_strace
def test_an_error_or_a_kill_at_any_call_loses_nothing_acknowledged(tmp_path):
    chance = random.Random(SEED)
    faults = list(KNOWN)
    for _ in range(ROUNDS):
        call = chance.choice([*CALLS, "pwrite64", "fdatasync"])
        faults.append((call, chance.choice(FAULTS), chance.randint(1, CALLS[call])))
    for call, fault, when in faults:
        inject = f"inject={call}:{fault.format(when)}"
        data = tmp_path / "data"
        traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
        done = run(*traced, *WRITER, str(data), "0", "100")
        assert b"Traceback" not in done.stderr, (inject, done.stderr)
        acknowledged, refused = said_by(done.stdout)
        found = asyncio.run(numbers_in(data))
        assert len(found) == len(set(found)), inject
        assert acknowledged <= set(found), inject
        if "+" not in fault:  # the disk works again before the process ends
            assert not refused & set(found), f"{inject}: a refused record is there"
        if done.returncode == 0 and acknowledged:
            assert acknowledged | refused == set(range(100)), inject
        shutil.rmtree(data)


@pytest.mark.skipif(
    not can_run("unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"), reason="no namespaces here"
)
def test_a_full_disk_refuses_loses_nothing_and_recovers(tmp_path):
    """A disk of 40 MB, 33 of them taken: the log fills the rest, refuses, and goes on once they are freed."""
    disk, said = tmp_path / "disk", tmp_path / "said"
    disk.mkdir()
    script = f"""
        set -e
        mount -t tmpfs -o size=40m tmpfs {disk}
        head -c 33m /dev/zero > {disk}/ballast
        {" ".join(WRITER)} {disk}/data 0 4000 > {said} &
        until grep -q - {said}; do sleep 0.05; done
        rm {disk}/ballast
        wait
        {" ".join(WRITER)} {disk}/data 10000 500 >> {said}
        cp -r {disk}/data {tmp_path}/data
    """
    done = run("unshare", "-rm", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    acknowledged, refused = said_by(said.read_bytes())
    assert refused
    assert acknowledged | refused == {*range(4000), *range(10_000, 10_500)}
    assert max(refused) < 3999, "after the space came back, records were accepted again"
    assert sorted(asyncio.run(numbers_in(tmp_path / "data"))) == sorted(acknowledged)


@pytest.mark.anyio
async def test_a_writer_goes_on_when_its_disk_does(tmp_path):
    """The same log object recovers: here the kernel refuses to write beyond a file size for a while."""
    log = await open_log(load(data=tmp_path))
    await log.append(Entry("", record(1)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        for _ in range(3):
            with pytest.raises(LogFull):
                await log.append(Entry("", record(2)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    number = 3
    for number in range(3, 500):
        try:
            await log.append(Entry("", record(number)))
            break
        except LogFull:
            await asyncio.sleep(0.02)
    (shard,) = await log.shards()
    stored = await log.read(shard, -1, ALL, ALL)
    await log.close()
    assert [each.data for each in stored] == [record(1), record(number)]
