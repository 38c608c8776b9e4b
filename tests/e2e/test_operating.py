"""What an operator meets: a log that machines can read, ports and addresses, `doctor` beside a server."""

import json
import os
import signal
import subprocess
import sys

import httpx
import pytest

from footfall.runtime.tcp_ports import free_port
from footfall.version import own_version
from tests.e2e.serving import KEY, Server, environment, footfall, serving, until


class Logged(Server):
    """A server whose standard error is a file of its own."""

    def __init__(self, data, *options, **settings):
        self.data = data
        self.port, self.console_port = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.errors = data.parent / "stderr"
        with self.errors.open("wb") as log, (data.parent / "stdout").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "footfall", "serve", *options, *self.options()],
                cwd=data.parent,
                env=environment(FOOTFALL_ADMIN_KEY=KEY, **settings),
                stdout=output,
                stderr=log,
            )
        headers = {"Authorization": f"Bearer {KEY}"}
        self.door = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers)
        self.console = httpx.Client(base_url=f"http://127.0.0.1:{self.console_port}", headers=headers)

    def lines(self):
        return [json.loads(line) for line in self.errors.read_text().splitlines()]


def test_without_a_terminal_every_line_is_json_from_the_start_to_the_stop(tmp_path):
    settings = {
        "FOOTFALL_RAW_RETENTION": "3y",
        "FOOTFALL_TRUSTED_PROXIES": "10.0.0.0/8",
        "FOOTFALL_LOG_MAX": "1GB",
    }
    server = Logged(tmp_path / "data", **settings)
    try:
        server.wait()
        worker = server.children()["worker"]
        os.kill(worker, signal.SIGKILL)
        until(lambda: server.children().get("worker", worker) != worker)
        server.wait()
        server.door.get("/v1/events")
        with httpx.Client() as stranger:
            stranger.post(f"http://127.0.0.1:{server.port}/v1/events", content=b"\xff")
    finally:
        assert server.stop() == 0
    lines = server.lines()
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    started = [line for line in lines if line["event"] == "started"]
    assert sorted(line["role"] for line in started) == ["door", "supervisor", "worker", "worker"]
    for line in started:
        assert (line["version"], line["data"]) == (own_version(), str(tmp_path / "data"))
        told = line["settings"]
        assert (told["raw_retention"], told["trusted_proxies"], told["log_max"]) == (
            "1095d",
            "10.0.0.0/8",
            "1000000000B",
        )
        assert not {"query_timeout", "console_host"} & set(told)
        assert KEY not in json.dumps(line)
    assert sorted(line["role"] for line in lines if line["event"] == "stopped") == [
        "door",
        "supervisor",
        "worker",
    ]
    assert any("the worker was ended by SIGKILL" in line["event"] for line in lines)


def test_a_server_that_cannot_start_says_so_in_a_line_of_json(tmp_path):
    done = footfall("serve", "--data", "d", cwd=tmp_path, FOOTFALL_RAW_RETENTION="90", FOOTFALL_PROT="1")
    assert done.returncode == 2
    line = json.loads(done.stderr)
    assert (line["event"], line["level"]) == ("failed", "error")
    assert 'raw_retention = 90: write "90d"' in line["problem"]
    assert "FOOTFALL_PROT: there is no such setting" in line["problem"]


def test_a_command_that_is_no_server_speaks_to_people(tmp_path):
    done = footfall("report", "--data", "nothing", cwd=tmp_path)
    assert done.stderr.startswith("footfall: nothing was recorded in")


@pytest.mark.parametrize("way", ["option", "setting"])
def test_the_console_can_listen_on_another_address_than_the_door(tmp_path, way):
    options = ["--console-host", "127.0.0.2"] if way == "option" else []
    settings = {"FOOTFALL_CONSOLE_HOST": "127.0.0.2"} if way == "setting" else {}
    server = Server(tmp_path / "data", *options, **settings)
    try:
        door, console = f"http://127.0.0.1:{server.port}", f"http://127.0.0.2:{server.console_port}"
        with httpx.Client() as http:

            def ready(url):
                try:
                    return http.get(f"{url}/health/ready").status_code == 200
                except httpx.TransportError:
                    return False

            until(lambda: ready(door) and ready(console))
            assert not ready(f"http://127.0.0.2:{server.port}")
            assert not ready(f"http://127.0.0.1:{server.console_port}")
        # Commands find it.
        done = footfall("keys", "list", "--data", server.data, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        server.stop()


def test_doctor_looks_at_the_ports_of_the_running_server(tmp_path):
    with serving(tmp_path / "data") as server:
        done = footfall("doctor", "--data", server.data, cwd=tmp_path)
    held = [line for line in done.stdout.splitlines() if "held by the running server" in line]
    assert [str(server.port) in held[0], str(server.console_port) in held[1]] == [True, True]
    assert "free" not in held[0]
