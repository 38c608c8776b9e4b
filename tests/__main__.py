"""Every test, as two runs of pytest at once: `python -m tests`. With arguments: one run, with these.

One run starts installations and kills them, on the disk. The other mostly waits for fsync, about
which it asks nothing that memory does not answer as well: where there is room its files are in
memory, and they are gone afterwards. What the first says is shown when both are through.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from footfall.cli.terminal import say

ROOT = Path(__file__).parents[1]
INSTALLATIONS = ("tests/e2e", "tests/faults")
MEMORY, ROOM = Path("/dev/shm"), 4 << 30


def main() -> int:
    """The exit status: 0 when both runs went well."""
    if len(sys.argv) > 1:
        return _pytest(*sys.argv[1:]).wait()
    others = [f"--ignore={path}" for path in INSTALLATIONS]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory(dir=_memory()) as files:
        beside = _pytest(*INSTALLATIONS, output=output)
        try:
            say(f"Beside these tests run those of {' and '.join(INSTALLATIONS)}; what they say follows.")
            here = _pytest("tests", *others, f"--basetemp={files}/tests").wait()
            went_well = here == beside.wait() == 0
        finally:
            beside.terminate()
            beside.wait()
            output.seek(0)
            say(output.read().decode(errors="replace"))
    return 0 if went_well else 1


def _memory() -> Path | None:
    """Where files are in memory; None where there is no such place, or little room."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM else None


def _pytest(*arguments: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "--durations=40", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)


if __name__ == "__main__":
    sys.exit(main())
