"""A process that holds a SQLite file, as a backup, a viewer or a stuck process does.

    python -m tests.faults.harness.holder PATH immediate|exclusive

It takes the lock as soon as it can, says `held`, and lets go at the end of its input. `immediate`
lets others read.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.e2e.serving import environment


@contextmanager
def held(path: Path, mode: str) -> Generator[None]:
    """Another process holds `path` until the block ends."""
    command = [sys.executable, "-m", "tests.faults.harness.holder", str(path), mode]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"held\n", f"{path} could not be held"
            yield
        finally:
            holder.kill()


@contextmanager
def all_held(paths: list[Path], mode: str) -> Generator[None]:
    """The same of several files."""
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(held(path, mode))
        yield


def main(path: str, mode: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        connection.execute(f"BEGIN {mode.upper()}")
        sys.stdout.write("held\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
