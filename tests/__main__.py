"""Every test, as three runs of pytest at once: `python -m tests`. With arguments: one run, with these.

Two runs start installations and kill them, on the disk; they wait more than they work. The third mostly
waits for fsync, about which it asks nothing that memory does not answer as well: where there is room its
files are in memory, and they are gone afterwards. What the first two say is shown when all are through.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from footfall.cli.terminal import say

ROOT = Path(__file__).parents[1]
INSTALLATIONS = ("tests/e2e", "tests/faults")
MEMORY, ROOM = Path("/dev/shm"), 4 << 30


def main() -> int:
    """The exit status: 0 when all runs went well."""
    if len(sys.argv) > 1:
        return _pytest(*sys.argv[1:]).wait()
    others = [f"--ignore={path}" for path in INSTALLATIONS]
    with ExitStack() as stack:
        files = stack.enter_context(tempfile.TemporaryDirectory(dir=_memory()))
        beside = [stack.enter_context(_beside(path)) for path in INSTALLATIONS]
        say(f"Beside these tests run those of {' and '.join(INSTALLATIONS)}; what they say follows.")
        here = _pytest("tests", *others, f"--basetemp={files}/tests").wait()
        statuses = [here, *(run.wait() for run in beside)]
    return 1 if any(statuses) else 0


@contextmanager
def _beside(path: str) -> Generator[subprocess.Popen[bytes]]:
    """A run of the tests there, at most as long as the block; what it says is shown at the end."""
    with tempfile.TemporaryFile() as output:
        run = _pytest(path, output=output)
        try:
            yield run
        finally:
            run.terminate()
            run.wait()
            output.seek(0)
            say(output.read().decode(errors="replace"))


def _memory() -> Path | None:
    """Where files are in memory; None where there is no such place, or little room."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM else None


def _pytest(*arguments: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "--durations=40", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)


if __name__ == "__main__":
    sys.exit(main())
