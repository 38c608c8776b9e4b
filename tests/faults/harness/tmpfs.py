"""A small disk of its own, in a mount namespace that only the processes of one test see."""

import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

# Root needs no user namespace; others become root within one.
_UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
_ENTER = ["-m"] if os.geteuid() == 0 else ["-m", "-U", "--preserve-credentials"]


class Disk(NamedTuple):
    """`prefix` goes before a command that shall see the disk; `root` is where others see it."""

    prefix: Sequence[str]
    root: Path


def possible() -> bool:
    """Whether this machine lets us."""
    command = [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def mounted(directory: Path, size: int) -> Generator[Disk]:
    """A disk of `size` bytes on `directory`, until the block ends."""
    directory.mkdir(parents=True)
    script = f"mount -t tmpfs -o size={size} tmpfs {directory} && echo mounted && exec sleep infinity"
    with subprocess.Popen([*_UNSHARE, "sh", "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "mounted\n", "the disk could not be mounted"
            enter = ["nsenter", "-t", str(holder.pid), *_ENTER]
            yield Disk(enter, Path(f"/proc/{holder.pid}/root{directory}"))
        finally:
            holder.kill()
