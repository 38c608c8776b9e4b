"""The commands as a user runs them: what they print, and their exit status."""

import gzip
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from footfall.runtime.tcp_ports import answers, free_port
from tests.e2e.serving import KEY, ROOT, environment, footfall, serving, until


def test_help_names_every_command(tmp_path):
    done = footfall(cwd=tmp_path)
    assert done.returncode == 0
    for command in ("serve", "door", "worker", "console", "migrate", "import", "report", "demo", "doctor"):
        assert command in done.stdout


@pytest.mark.parametrize("earlier", ["collect", "work", "query"])
def test_a_role_goes_by_its_earlier_name_too(tmp_path, earlier):
    assert f" {earlier} " not in footfall(cwd=tmp_path).stdout
    assert "--lifeline" not in (help_of := footfall(earlier, "--help", cwd=tmp_path).stdout)
    assert "--data" in help_of


def test_what_is_logged_is_no_part_of_an_answer(tmp_path):
    command = (
        "import atexit, sys, structlog; atexit.register(lambda: structlog.get_logger().warning('told')); "
        "sys.argv = ['footfall', '--version']; from footfall.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "told" in done.stderr
    assert "told" not in done.stdout


def test_the_version_is_told(tmp_path):
    done = footfall("--version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serv"], "serv"),
        (["serve", "--prot", "1"], "--prot"),
        (["serve", "--port", "eight"], "eight"),
        (["serve", "--port", "70000"], "port"),
        (["serve", "--port", "8300", "--console-port", "8300"], "must differ"),
        (["serve", "--host", "192.0.2.1", "--port", "8300"], "no address of this machine"),
        (["import", "clicks"], "FILE"),
        (["import", "clicks", "x.jsonl", "--format", "csv"], "bitly"),
        (["import", "clicks", "x.jsonl", "--format", "bitly"], "No such file"),
        (["report", "--url", "http://127.0.0.1:1"], "FOOTFALL_KEY"),
    ],
)
def test_wrong_use_is_answered_with_status_2_and_what_is_wrong(tmp_path, arguments, said):
    done = footfall(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(tmp_path):
    (tmp_path / "footfall.toml").write_text('prot = 1\nbatch_rows = "many"\n')
    done = footfall("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert "prot" in done.stderr
    assert "batch_rows" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_is_named(tmp_path):
    done = footfall("report", "--url", "http://127.0.0.1:1", "--key", "k" * 20, cwd=tmp_path)
    assert done.returncode == 1
    assert "http://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_on_nothing_makes_nothing(tmp_path):
    done = footfall("report", "--data", tmp_path / "nothing", cwd=tmp_path)
    assert done.returncode == 1
    assert "nothing was recorded" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_doctor_finds_this_machine_fit(tmp_path):
    done = footfall("doctor", "--port", "0", "--console-port", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "ClickHouse 26" in done.stdout
    for check in ("data directory", "free disk", "CPU", "SQLite", "geo data", "clock"):
        assert check in done.stdout


def test_doctor_finds_what_is_wrong(tmp_path):
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = footfall("doctor", "--data", "file", "--port", port, "--console-port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert "not a directory" in done.stdout
    assert f"{port}: in use by another program" in done.stdout


SAMPLE = ROOT / "examples" / "data" / "usagov_clicks.jsonl"
IN_2012 = ("--start", "2012-03-16", "--end", "2012-03-16", "--include-bots")


def cells(output):
    """The words of each line of a table."""
    return [line.replace("│", " ").replace("┃", " ").split() for line in output.splitlines()]


def test_an_import_without_a_server_is_stored_when_it_ends(tmp_path):
    done = footfall("import", "clicks", SAMPLE, "--format", "bitly", "--data", "d", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = cells(done.stdout)
    for row in (
        ["lines", "3,560"],
        ["imported", "3,440"],
        ["links", "made", "768"],
        ["refused:", "heartbeat", "120"],
    ):
        assert row in rows
    # It was the first command on this directory, so it made the key.
    key = done.stderr.split("keep it): ")[1].split()[0]
    again = footfall("import", "clicks", SAMPLE, "--format", "bitly", "--data", "d", cwd=tmp_path)
    assert ["imported", "0"] in cells(again.stdout)
    assert ["there", "already", "3,440"] in cells(again.stdout)
    assert "Admin key" not in again.stderr
    report = footfall("report", "--data", "d", *IN_2012, cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert ["3,440", "3,440", "0", "0", "768"] in [row[:5] for row in cells(report.stdout)]
    assert ["United", "States", "2,305", "0"] in cells(report.stdout)
    assert ["direct", "direct", "1,585", "0"] in cells(report.stdout)
    assert key.startswith("ff_")


def test_an_import_beside_a_running_server_needs_no_key(tmp_path):
    lines = SAMPLE.read_bytes().splitlines()[:500]
    odd = tmp_path / "odd.jsonl.gz"
    odd.write_bytes(gzip.compress(b"\r\n".join([*lines[:300], b"\xff", b"{", b"", *lines[300:]])))
    with serving(tmp_path / "data") as server:
        done = footfall("import", "clicks", odd, "--format", "bitly", "--data", server.data, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        heartbeats = sum(b"_heartbeat_" in line for line in lines)
        assert ["imported", str(500 - heartbeats)] in cells(done.stdout)
        assert ["refused:", "bad_line", "2"] in cells(done.stdout)
        assert [line[:10] for line in done.stderr.splitlines() if line.startswith("line ")] == [
            "line 301: ",
            "line 302: ",
        ]

        # Elsewhere: by URL and key, from standard input.
        url = str(server.console.base_url)
        text = b"\n".join(lines).decode()
        remote = ("import", "clicks", "-", "--format", "bitly", "--url", url)
        done = footfall(*remote, cwd=tmp_path, stdin=text, FOOTFALL_KEY=KEY)
        assert done.returncode == 0, done.stderr
        assert ["there", "already", str(500 - heartbeats)] in cells(done.stdout)
        denied = footfall(*remote, "--key", "x" * 20, cwd=tmp_path, stdin=text)
        assert denied.returncode == 1
        assert "this key does not exist" in denied.stderr

        report = footfall("report", "--data", server.data, *IN_2012, cwd=tmp_path)
        assert report.returncode == 0, report.stderr
        assert "2012-03-16" in report.stdout


def test_the_door_loads_neither_the_engine_nor_the_console(tmp_path):
    with serving(tmp_path / "data") as server:
        maps = Path(f"/proc/{server.children()['door']}/maps").read_text()
        status = Path(f"/proc/{server.children()['door']}/status").read_text()
    assert "chdb" not in maps
    memory = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    assert memory < 120_000, f"{memory} kB"


def test_the_roles_run_apart_too(tmp_path):
    """A door and a worker with the console, each started by hand, on one data directory."""
    port, console_port = free_port("127.0.0.1"), free_port("127.0.0.1")
    with (
        role(tmp_path, "worker", "--with-console", "--console-port", console_port) as work,
        role(tmp_path, "door", "--port", port) as collect,
        httpx.Client(headers={"Authorization": f"Bearer {KEY}"}) as http,
    ):
        door, console = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{console_port}"
        until(lambda: answers(f"{door}/health/ready") and answers(f"{console}/health/ready"))
        sent = http.post(f"{door}/v1/events", json={"events": [{"event_type": "test"}] * 7})
        assert sent.json()["accepted"] == 7
        until(lambda: http.get(f"{console}/api/v1/analytics/overview").json()["data"]["events"] == 7)
        # The CLI finds this console as it finds that of `serve`; the store has one owner.
        assert footfall("report", "--data", "d", cwd=tmp_path).returncode == 0
        second = footfall("query", "--data", "d", "--console-port", "0", cwd=tmp_path)
        assert second.returncode == 1
        assert "in use by `footfall worker`" in second.stderr
        taken = footfall("door", "--data", "d", "--port", port, cwd=tmp_path)
        assert taken.returncode == 2
        assert f"port {port} is in use" in taken.stderr
        for process in (work, collect):
            process.terminate()
            assert process.wait(timeout=30) == 0


@contextmanager
def role(cwd, *arguments):
    """One role as a process of its own."""
    command = [sys.executable, "-m", "footfall", *map(str, arguments), "--data", "d"]
    with subprocess.Popen(command, cwd=cwd, env=environment(FOOTFALL_ADMIN_KEY=KEY)) as process:
        try:
            yield process
        finally:
            process.kill()
