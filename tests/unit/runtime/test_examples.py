"""The examples for operators are what systemd and Prometheus read."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from footfall.cli.app import app

UNIT = Path(__file__).parents[3] / "examples/systemd/footfall.service"


def unit():
    parser = ConfigParser(strict=False, delimiters=("=",), interpolation=None)
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue] -- names as they are written
    parser.read_string(UNIT.read_text())
    return parser


def test_the_unit_starts_a_command_that_exists_with_options_that_it_has():
    program, command, *options = unit()["Service"]["ExecStart"].split()
    assert program.endswith("/bin/footfall")
    _, bound, _ = app.parse_args([command, *options])
    assert str(bound.kwargs["where"].data) == "/var/lib/footfall"


def test_the_unit_leaves_time_for_a_clean_stop_and_starts_no_wrong_set_up_again():
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > 60
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert service["KillMode"] == "mixed"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path):
    text = UNIT.read_text().replace("/opt/footfall/bin/footfall", sys.executable)
    file = tmp_path / "footfall.service"
    file.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
