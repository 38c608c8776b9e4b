"""A machine that lets a process open next to nothing: one line says so, and nothing is left running."""

import subprocess
import sys

import pytest

from footfall.runtime.tcp_ports import free_port
from tests.e2e.serving import environment


@pytest.mark.parametrize("role", [["serve"], ["door"], ["worker"], ["worker", "--with-console"], ["console"]])
def test_a_role_that_may_open_too_few_files_does_not_start(tmp_path, role):
    ports = ["--port", str(free_port("127.0.0.1")), "--console-port", str(free_port("127.0.0.1"))]
    found = subprocess.run(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", sys.executable, "-m", "footfall", *role, *ports],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 2, found.stderr
    assert found.stderr.count("\n") == 1, found.stderr
    assert "64 files" in found.stderr
    assert "256" in found.stderr
