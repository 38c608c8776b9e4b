"""run.json and the lock: who is believed to run on a data directory."""

import os
import stat
import subprocess
import sys

import msgspec
import pytest

from footfall.errors import Conflict, Misconfigured
from footfall.runtime import data_directory


def made(**changes):
    run = data_directory.RunFile(
        pid=os.getpid(),
        identity=data_directory.identity(os.getpid()),
        host="127.0.0.1",
        port=8000,
        console_port=8001,
        door_url="http://localhost:8000",
        console_url="http://localhost:8001",
        token=data_directory.new_token(),
    )
    return msgspec.structs.replace(run, **changes)


@pytest.fixture
def locked(tmp_path):
    with data_directory.DataLock.acquire(tmp_path, "a test"):
        yield tmp_path


def test_what_is_written_is_found_and_its_owner_alone_may_read_it(locked):
    run = made()
    data_directory.write(locked, run)
    assert data_directory.running(locked) == run
    assert stat.S_IMODE((locked / "run.json").stat().st_mode) == 0o600
    assert sorted(path.name for path in locked.iterdir()) == ["lock", "run.json"]
    data_directory.remove(locked)
    assert data_directory.running(locked) is None


def test_the_token_is_known_while_the_server_runs_and_no_other_is(locked):
    run = made()
    assert not data_directory.is_token(locked, run.token)
    data_directory.write(locked, run)
    assert data_directory.is_token(locked, run.token)
    assert not data_directory.is_token(locked, data_directory.new_token())
    assert not data_directory.is_token(locked, data_directory.TOKEN_PREFIX)
    assert not data_directory.is_token(locked, run.token, token=data_directory.new_token())
    assert not data_directory.is_token(locked, "fflocal_\xe9")


def test_a_file_left_by_a_process_that_is_gone_counts_for_nothing(locked):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    data_directory.write(locked, made(pid=gone.pid))
    assert data_directory.running(locked) is None


def test_a_later_process_of_the_same_pid_is_told_apart(locked):
    data_directory.write(locked, made(identity="another boot:1"))
    assert data_directory.running(locked) is None


def test_a_file_without_a_lock_counts_for_nothing(tmp_path):
    data_directory.write(tmp_path, made())
    assert data_directory.running(tmp_path) is None
    (tmp_path / "lock").touch()
    assert data_directory.running(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"])
def test_a_damaged_file_counts_for_nothing(locked, content):
    (locked / "run.json").write_bytes(content)
    assert data_directory.running(locked) is None


def test_asking_does_not_disturb_who_wants_the_lock(tmp_path):
    asks = "import pathlib, sys; from footfall.runtime import data_directory as runfile\n"
    asks += "path = pathlib.Path(sys.argv[1])\n"
    asks += "while True: runfile.holder(path)"
    asking = subprocess.Popen([sys.executable, "-c", asks, str(tmp_path)])
    try:
        for _ in range(200):
            data_directory.DataLock.acquire(tmp_path, "a test").release()
    finally:
        asking.kill()
        asking.wait()


def test_a_second_owner_learns_who_the_first_is(locked):
    with pytest.raises(Conflict, match=rf"`a test` \(process {os.getpid()}, since 2"):
        data_directory.DataLock.acquire(locked, "another")


def test_a_released_directory_can_be_taken_again(tmp_path):
    data_directory.DataLock.acquire(tmp_path / "new" / "deep", "one").release()
    data_directory.DataLock.acquire(tmp_path / "new" / "deep", "two").release()
    assert stat.S_IMODE((tmp_path / "new" / "deep").stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="file cannot be used"):
        data_directory.DataLock.acquire(tmp_path / "file", "one")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("fe80::1", "http://[fe80::1]:1"),
        ("example.com", "http://example.com:1"),
    ],
)
def test_the_address_of_this_machine_is_used_for_all_addresses(host, url):
    assert data_directory.base_url(host, 1) == url
