"""The supervisor with real processes: restarts, a clean stop, and no orphan whoever is killed."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import httpx
import pytest

from footfall.errors import Conflict
from footfall.runtime import data_directory
from tests.e2e.serving import KEY, answers, ended, environment, footfall, serving, until

# A supervisor of its own process. Its children write their pid to a file named after them and
# the number of their start, then live until they are told to end.
SUPERVISOR = """
    import asyncio, pathlib, sys
    from footfall.runtime import data_directory as runfile, supervisor as supervise
    supervise.GRACE = 1.0
    directory, *children = sys.argv[1:]
    lock = runfile.DataLock.acquire(pathlib.Path(directory), "test supervisor")
    async def main():
        return await supervise.Supervisor(
            [supervise.Child(name, [sys.executable, directory + "/child.py", directory, name])
             for name in children],
            say=lambda line: print(line, file=sys.stderr, flush=True),
            inherit=(lock.fd,),
        ).run()
    sys.exit(asyncio.run(main()))
"""
CHILD = """
import os, pathlib, signal, sys, time
from footfall.runtime import supervisor as supervise
supervise.GRACE = 1.0
directory, name, option, lifeline = sys.argv[1:]
assert option == "--lifeline"
if name == "misconfigured":
    sys.exit(2)
if name == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if name != "deaf":
    supervise.follow(int(lifeline))
number = len(list(pathlib.Path(directory).glob(name + ".*")))
path = pathlib.Path(directory, f"{name}.{number}")
path.with_suffix(".tmp" + str(number)).write_text(str(os.getpid()))
path.with_suffix(".tmp" + str(number)).rename(path)
if name == "shortlived":
    sys.exit(1)
time.sleep(60)
"""


class Running:
    def __init__(self, directory, *children):
        self.directory = directory
        (directory / "child.py").write_text(CHILD)
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(directory), *children],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def pid(self, name, start=0):
        """The pid of the child at its n-th start, once it has come up."""
        path = self.directory / f"{name}.{start}"
        until(path.exists)
        return int(path.read_text())

    def messages(self):
        return self.process.communicate(timeout=20)[1].splitlines()


@pytest.fixture
def supervisor(tmp_path):
    started = []

    @contextmanager
    def start(*children):
        running = Running(tmp_path, *children)
        started.append(running)
        yield running

    yield start
    for running in started:
        running.process.kill()
        running.process.communicate()


def test_a_killed_child_comes_back_and_the_other_is_left_alone(supervisor):
    with supervisor("a", "b") as running:
        first, other = running.pid("a"), running.pid("b")
        os.kill(first, signal.SIGKILL)
        again = running.pid("a", start=1)
        assert again != first
        assert not ended(other)
        assert not (running.directory / "b.1").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_cleanly(supervisor, number):
    with supervisor("a", "b") as running:
        pids = running.pid("a"), running.pid("b")
        running.process.send_signal(number)
        assert running.process.wait(timeout=20) == 0
        assert all(ended(pid) for pid in pids)


def test_a_supervisor_under_nohup_outlives_its_terminal(supervisor):
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as nohup does it
    try:
        with supervisor("a") as running:
            pid = running.pid("a")
            running.process.send_signal(signal.SIGHUP)
            os.kill(pid, signal.SIGKILL)
            running.pid("a", start=1)  # it is still at work
    finally:
        signal.signal(signal.SIGHUP, ignored)


def test_a_child_that_does_not_stop_is_killed(supervisor):
    with supervisor("stubborn") as running:
        pid = running.pid("stubborn")
        running.process.terminate()
        assert running.process.wait(timeout=20) == 0
        assert ended(pid)


def test_a_killed_supervisor_leaves_no_orphan(supervisor):
    with supervisor("a", "stubborn") as running:
        pids = running.pid("a"), running.pid("stubborn")
        running.process.kill()
        until(lambda: all(ended(pid) for pid in pids))


def test_children_started_again_end_with_the_supervisor_too(supervisor):
    with supervisor("a") as running:
        os.kill(running.pid("a"), signal.SIGKILL)
        pid = running.pid("a", start=1)
        running.process.kill()
        until(lambda: ended(pid))


def test_the_directory_is_taken_until_the_last_child_of_a_killed_supervisor_ends(supervisor):
    with supervisor("deaf") as running:
        pid = running.pid("deaf")
        running.process.kill()
        running.process.wait()
        assert data_directory.holder(running.directory) is not None
        os.kill(pid, signal.SIGKILL)
        data_directory.DataLock.acquire(running.directory, "the next one").release()


def test_a_child_that_keeps_dying_is_started_at_growing_intervals(supervisor):
    with supervisor("shortlived") as running:
        running.pid("shortlived", start=3)
        running.process.terminate()
        delays = [line.split(" in ")[1] for line in running.messages() if "starting it again" in line]
        assert delays[:3] == ["0.1 s", "0.2 s", "0.4 s"]


def test_a_role_that_is_set_up_wrongly_is_not_started_again(supervisor):
    with supervisor("a", "misconfigured") as running:
        assert running.process.wait(timeout=20) == 2
        assert running.messages() == ["misconfigured cannot start; stopping"]


def test_who_holds_a_directory_is_told_at_once(supervisor):
    with supervisor("a") as running:
        running.pid("a")
        with pytest.raises(Conflict, match=rf"in use by `test supervisor` \(process {running.process.pid},"):
            data_directory.DataLock.acquire(running.directory, "another")


# The same with the real roles.


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("serve") / "data") as running:
        yield running


def test_a_second_serve_is_told_who_has_the_directory(server):
    done = footfall(
        "serve", "--data", server.data, "--port", "0", "--console-port", "0", cwd=server.data.parent
    )
    assert done.returncode == 1
    assert f"in use by `footfall serve` (process {server.process.pid}," in done.stderr
    assert "Traceback" not in done.stderr
    server.send(1, "undisturbed")


def test_a_port_that_is_taken_is_named(server, tmp_path):
    done = footfall(
        "serve", "--data", tmp_path / "x", "--port", server.port, "--console-port", "0", cwd=tmp_path
    )
    assert done.returncode == 2
    assert f"port {server.port} is in use" in done.stderr


def test_the_key_is_not_in_the_output_of_who_was_given_it(server):
    assert KEY not in server.output.read_text()


def test_run_json_opens_the_console_and_nobody_else_may_read_it(server):
    run = data_directory.running(server.data)
    assert (run.pid, run.port, run.console_port) == (server.process.pid, server.port, server.console_port)
    headers = {"Authorization": f"Bearer {run.token}"}
    assert server.console.get("/api/v1/links", headers=headers).status_code == 200
    headers = {"Authorization": f"Bearer {data_directory.new_token()}"}
    assert server.console.get("/api/v1/links", headers=headers).status_code == 401


def test_the_door_stays_open_while_the_worker_is_killed_and_nothing_is_lost(server):
    server.send(50)
    os.kill(server.children()["worker"], signal.SIGKILL)
    for _ in range(10):
        server.send(10)
    # A worker killed within an insert may repeat that batch, so far.
    until(lambda: answers(server.console) and server.count() >= 150)
    assert len(server.children()) == 2


def test_a_killed_door_comes_back_and_nothing_is_lost(server):
    server.send(50, "door")
    os.kill(server.children()["door"], signal.SIGKILL)
    until(lambda: answers(server.door))
    server.send(50, "door")
    until(lambda: server.count("door") == 100)


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_one_starts_at_once(tmp_path):
    with serving(tmp_path / "data") as first:
        first.send(20)
        children = first.children()
        assert set(children) == {"door", "worker"}
        first.process.kill()
        first.process.wait()
        with serving(tmp_path / "data") as second:
            assert all(ended(pid) for pid in children.values())
            until(lambda: second.count() == 20)
            assert second.stop() == 0
            assert data_directory.running(tmp_path / "data") is None
            assert not (tmp_path / "data" / "run.json").exists()
    assert "Traceback" not in first.output.read_text()


def test_the_first_start_shows_the_key_and_it_works(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "footfall", "serve", "--port", "0", "--console-port", "0"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        shown = iter(process.stdout.readline, "")
        key = next(line.split(": ")[1].strip() for line in shown if line.startswith("Admin key"))
        console = next(line.split()[1] for line in shown if line.startswith("Console"))
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{console}/api/v1/keys", headers=headers).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()
