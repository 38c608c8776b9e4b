"""`footfall demo` from start to end, and the parts that could deceive: its truth and its comparison."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter

import pytest

from footfall.cli.demo import directory, sample
from footfall.cli.demo.figures import CheckedTable
from footfall.cli.demo.truth import count
from footfall.errors import Conflict, Misconfigured
from footfall.runtime import data_directory
from footfall.runtime.tcp_ports import free_port
from tests.e2e.serving import ROOT, ended, environment, footfall, until

SAMPLE = ROOT / "examples" / "data" / sample.NAME


def demo(cwd, *arguments, **more):
    return footfall("demo", *arguments, cwd=cwd, **more)


def assert_right(said, *, moved):
    """Every figure is there, and agrees with plain Python's. `moved`: the hour of 2012 is the last one."""
    for words in ("3,440 clicks and 120 heartbeats", "768", "2,305", "1,585", "20 of 20", "30 of 30"):
        assert words in said, said
    assert "differs" not in said
    assert ("2012-03-16 18:4" in said) != moved


def test_the_demo_runs_and_every_figure_agrees(tmp_path):
    done = demo(tmp_path, "--once", "--as-is")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_right(done.stdout, moved=False)
    assert data_directory.holder(tmp_path / directory.DIRECTORY) is None
    # Nothing runs any more: it names no address that would be refused, and a command that works.
    assert "curl" not in done.stdout
    (command,) = re.findall(r"Its figures: footfall (report .*)", done.stdout)
    again = footfall(*command.split(), cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_a_figure_that_differs_is_shown_and_fails_the_demo(tmp_path):
    # Plain Python counts a click that Footfall refuses, because its target is no web address.
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()[:200]
    odd = json.loads(lines[0]) | {"h": "odd", "u": "ftp://example.com/"}
    file = tmp_path / "clicks.jsonl"
    file.write_text("\n".join([json.dumps(odd), *lines[1:]]) + "\n", encoding="utf-8")
    done = demo(tmp_path, "--sample", file, ONCE="1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "line 1: url must start with http:// or https://" in done.stderr
    assert "differs" in done.stdout
    assert "1.usa.gov/odd" in done.stdout


def test_without_the_sample_it_says_where_to_get_it(tmp_path):
    done = demo(tmp_path, "--once", "--sample", tmp_path / "nothing")
    assert done.returncode == 2
    assert "nothing is not there" in done.stderr
    assert not (tmp_path / directory.DIRECTORY).exists()


def test_only_a_directory_of_the_demo_is_ever_emptied(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious").write_text("x")
    with pytest.raises(Misconfigured, match="does not empty it"):
        directory.empty(mine)
    assert (mine / "precious").read_text() == "x"

    demos = tmp_path / "demo"
    directory.empty(demos)
    (demos / "old").mkdir()
    (demos / "old" / "file").touch()
    (demos / "link").symlink_to(mine)
    directory.empty(demos)
    assert [path.name for path in demos.iterdir()] == ["footfall-demo"]
    assert (mine / "precious").exists()


def test_a_running_demo_is_not_emptied(tmp_path):
    directory.empty(tmp_path / "demo")
    with data_directory.DataLock.acquire(tmp_path / "demo", "footfall serve"), pytest.raises(Conflict):
        directory.empty(tmp_path / "demo")


def test_moving_the_hour_moves_nothing_else(tmp_path):
    moved = tmp_path / "moved.jsonl"
    sample.write_moved(SAMPLE, moved, 2_000_000_000)
    before, after = count(SAMPLE), count(moved)
    assert (before.clicks, before.heartbeats, len(before.links)) == (3440, 120, 768)
    assert (before.countries[""], before.referrers["direct"]) == (521, 1585)
    assert after[:6] == before[:6]
    lines = moved.read_text(encoding="utf-8").splitlines()
    assert max(json.loads(line).get("t", 0) for line in lines) == 2_000_000_000


def test_a_difference_is_found_wherever_it_is():
    same = Counter({f"row {n}": n for n in range(50)})
    assert CheckedTable("x", same, same).wrong == []
    assert CheckedTable("x", same | Counter({"more": 1}), same).wrong == ["more"]
    assert CheckedTable("x", same, same | Counter({"more": 1})).wrong == ["more"]
    assert CheckedTable("x", same - Counter({"row 7": 1}), same).wrong == ["row 7"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_demo_serves_until_it_is_interrupted_and_leaves_no_orphan(tmp_path, number):
    data = tmp_path / directory.DIRECTORY
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", free_port("127.0.0.1")))
        taken.listen()
        port = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "footfall", "demo"],
            cwd=tmp_path,
            env=environment(FOOTFALL_PORT=str(port), ONCE=""),  # as make hands it on
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            lines = []
            for line in process.stdout:  # which ends, too, if the demo does
                lines.append(line)
                if line == "Serving until Ctrl-C.\n":
                    break
            assert lines[-1:] == ["Serving until Ctrl-C.\n"], "".join(lines)
            assert any(f"Port {port} is in use" in line for line in lines)
            assert_right("".join(lines), moved=True)
            run = data_directory.running(data)
            assert run is not None
            process.send_signal(number)
            status = process.wait(timeout=30)
        finally:
            process.kill()
            process.communicate()
    assert status == (0 if number == signal.SIGINT else -signal.SIGKILL)
    until(lambda: ended(run.pid) and data_directory.holder(data) is None)
