"""Every test, as four runs of pytest at once: `python -m tests`. With arguments: one run, with these.

Two start installations and kill them, on the disk; they wait more than they work. The others mostly
wait for fsync, about which they ask nothing that memory does not answer as well: where there is room their
files are in memory, and they are gone afterwards. What the first three say is shown when all are through.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from footfall.cli.terminal import say

ROOT = Path(__file__).parents[1]
INSTALLATIONS = ("tests/e2e", "tests/faults")
CONTRACTS = "tests/contract"
LONG = ("tests/contract/rollups", "tests/contract/worker", "tests/contract/verify")
"""Contracts that run with the rest, so that all runs take about as long."""
MEMORY, ROOM = Path("/dev/shm"), 4 << 30


def main() -> int:
    """The exit status: 0 when all runs went well."""
    if len(sys.argv) > 1:
        return _pytest(*sys.argv[1:]).wait()
    apart = (*INSTALLATIONS, CONTRACTS)
    with ExitStack() as stack:
        files = stack.enter_context(tempfile.TemporaryDirectory(dir=_memory()))
        beside = [stack.enter_context(_beside(path)) for path in INSTALLATIONS]
        contracts = (CONTRACTS, *_without(LONG), f"--basetemp={files}/contract")
        beside.append(stack.enter_context(_beside(*contracts)))
        say(f"Beside these tests run those of {', '.join(apart)}; what they say follows.")
        folders = [f"tests/{path.name}" for path in sorted(ROOT.glob("tests/[a-z]*/")) if path.is_dir()]
        rest = [path for path in folders if path not in apart]
        here = _pytest(*rest, *LONG, f"--basetemp={files}/tests").wait()
        statuses = [here, *(run.wait() for run in beside)]
    return 1 if any(statuses) else 0


def _without(paths: Sequence[str]) -> list[str]:
    return [f"--ignore={path}" for path in paths]


@contextmanager
def _beside(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """A run of its own, at most as long as the block; what it says is shown at the end."""
    with tempfile.TemporaryFile() as output:
        run = _pytest(*arguments, output=output)
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
