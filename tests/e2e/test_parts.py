"""A part of the data directory that is gone, empty, older, damaged or foreign stops the start."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from footfall import installation
from footfall.errors import Misconfigured
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.settings import Settings
from tests.e2e.serving import KEY, Server, ended, environment, footfall, serving, until

PARTS = ("meta.db", "state.db", "log", "store")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A data directory with 20 stored events, what it was one start earlier, and within the last one."""
    home = tmp_path_factory.mktemp("parts")
    with serving(home / "data") as server:
        server.send(10)
        until(lambda: server.count() == 10)
    copy(home / "data", home / "earlier")
    with serving(home / "data") as server:
        server.send(5)
        until(lambda: server.count() == 15 and not waiting(server))
        copy(home / "data", home / "within")  # parts that bear the stamp of the last start
        server.send(5)
        until(lambda: server.count() == 20)
    return home


@pytest.fixture
def data(original, tmp_path):
    copy(original / "data", tmp_path / "data")
    return tmp_path / "data"


def waiting(server):
    """How many records are not closed yet."""
    return server.console.get("/health/ready").json()["log"]["waiting_records"]


def copy(directory, to):
    shutil.copytree(directory, to, symlinks=True)  # the engine has some


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def empty(path):
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
    else:
        path.write_bytes(b"")


def damage(path):
    """Every page but the first, which has the header."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def set_back(path):
    """To what it was one start earlier."""
    shutil.copy2(path.parent.parent / "earlier" / path.name, path)


def unfit(data, *named):
    """What every command asks first says so in one line, which names each of `named`, and changes nothing."""
    settings = Settings(data=data)
    before = sorted(path.name for path in data.iterdir())
    for compare in (installation.prepare, installation.check, installation.examine):
        with pytest.raises(Misconfigured) as caught:
            compare(settings)
        assert "\n" not in str(caught.value)
        for name in named:
            assert str(name) in str(caught.value)
    assert sorted(path.name for path in data.iterdir()) == before


def refused(data, *named, command="serve"):
    """The command ends with status 2 and one line, which names each of `named`."""
    done = footfall(
        command, "--data", data, "--port", "0", "--console-port", "0", cwd=data.parent, FOOTFALL_ADMIN_KEY=KEY
    )
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for name in named:
        assert str(name) in lines[0]


@pytest.mark.parametrize("harm", [remove, empty])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_gone_or_empty_stops_the_start(data, part, harm):
    harm(data / part)
    unfit(data, data / part)


@pytest.mark.parametrize("command", ["serve", "door", "worker", "query", "migrate", "report"])
def test_every_command_asks_first(data, command):
    remove(data / "state.db")
    done = footfall(command, "--data", data, cwd=data.parent, FOOTFALL_ADMIN_KEY=KEY)
    assert done.returncode == 2, done.stderr
    assert str(data / "state.db") in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (data / "state.db").exists()


def test_the_doctor_names_a_part_that_is_gone(data):
    remove(data / "store")
    checked = footfall("doctor", "--data", data, "--port", "0", "--console-port", "0", cwd=data.parent)
    assert checked.returncode == 1
    assert "store is missing" in checked.stdout


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_was_set_back_on_its_own_stops_the_start(data, original, part):
    remove(data / part)
    earlier = original / "earlier" / part
    (copy if earlier.is_dir() else shutil.copy2)(earlier, data / part)
    unfit(data, data / part, "older than the rest")


def set_back_within(data, original, part):
    """To what it was before the last batch, of the same start."""
    remove(data / part)
    earlier = original / "within" / part
    (copy if earlier.is_dir() else shutil.copy2)(earlier, data / part)


@pytest.mark.parametrize("log_knows", [True, False])
def test_books_that_were_set_back_within_a_start_stop_the_next(data, original, log_knows):
    set_back_within(data, original, "state.db")
    if not log_knows:
        remove(data / "log" / "consumers")
    unfit(data, data / "state.db", "rebuild-state", "log" if log_knows else "store")
    wrong = footfall("rebuild-store", "--data", data, cwd=data.parent)
    assert wrong.returncode == 2
    assert "`footfall rebuild-state`" in wrong.stderr
    assert footfall("rebuild-state", "--data", data, cwd=data.parent).returncode == 0
    with serving(data) as server:
        assert server.count() == 20
        server.send(1)
        until(lambda: server.count() == 21)


@pytest.mark.parametrize("command", ["worker", "query", "report"])
def test_a_store_that_was_set_back_within_a_start_stops_the_next(data, original, command):
    set_back_within(data, original, "store")
    done = footfall(command, "--data", data, cwd=data.parent, FOOTFALL_ADMIN_KEY=KEY)
    assert done.returncode == 2, done.stderr
    assert f"{data / 'store'} is older than state.db" in done.stderr
    assert "rebuild-store" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("by", ["rebuild-store", "rebuild-state"])
def test_and_is_made_up_for(data, original, by):
    set_back_within(data, original, "store")
    server = Server(data)
    assert server.process.wait(timeout=60) == 2
    assert "is older than state.db" in server.output.read_text()
    assert footfall(by, "--data", data, cwd=data.parent).returncode == 0
    with serving(data) as server:
        if by == "rebuild-state":  # what the store has stays, and what it lacks waits
            assert server.count() == 15
            footfall("dead-letters", "retry", "--reason", "unaccounted", "--data", data, cwd=data.parent)
        until(lambda: server.count() == 20)
    checked = footfall("verify", "--data", data, cwd=data.parent)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("compare", [installation.prepare, installation.check])
def test_positions_that_are_closed_are_not_used_again_in_a_log_that_was_set_back(data, compare):
    """With all that the log itself knows of its end: what comes then would never be read."""
    with sqlite3.connect(data / "state.db") as state:
        state.execute("UPDATE positions SET offset = offset + 5")  # once stored, of a log that is no more
        ((shard, closed),) = state.execute("SELECT shard, offset FROM positions")
    settings = Settings(data=data)
    compare(settings)

    async def append():
        log = await open_log(settings)
        try:
            await log.append(Entry("key", b"acknowledged"))
            return await log.read(int(shard, 16), closed, 10, 1000)
        finally:
            await log.close()

    (found,) = asyncio.run(append())
    assert found.data == b"acknowledged"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The data directory of another installation, of which events are stored."""
    data = tmp_path_factory.mktemp("other") / "data"
    with serving(data) as server:
        server.send(3)
        until(lambda: server.count() == 3)
    return data


@pytest.mark.parametrize("part", ["meta.db", "log"])
def test_a_part_of_another_installation_stops_the_start_and_is_put_aside_on_request(data, other, part):
    remove(data / part)
    (shutil.copy2 if part == "meta.db" else copy)(other / part, data / part)
    unfit(data, data / part, "another installation", "`footfall serve --new`")
    server = Server(data, "--new")
    try:
        server.wait()
        assert server.count() == 20
        server.send(1)
        until(lambda: server.count() == 21)
    finally:
        server.stop()
    (aside,) = data.glob(f"{part}.old-*")
    assert aside.is_dir() == (part == "log")


def test_a_log_of_another_installation_beside_lost_books_gives_them_nothing(data, other):
    remove(data / "state.db")
    remove(data / "log")
    copy(other / "log", data / "log")
    done = footfall("rebuild-state", "--new", "--data", data, cwd=data.parent)
    assert done.returncode == 0, done.stderr
    assert "not in the store" not in done.stdout
    with serving(data) as server:
        assert server.count() == 20


def test_the_list_of_parts_may_be_lost_and_nothing_else(data):
    (data / "installation").unlink()
    remove(data / "state.db")
    unfit(data, data / "state.db")


# An empty file: see below, of before there were stamps.
@pytest.mark.parametrize("harm", [remove, damage, set_back])
def test_lost_books_are_made_anew_of_store_and_log(data, original, harm):
    copy(original / "earlier", data.parent / "earlier")
    before = ledger(data)
    harm(data / "state.db")
    unfit(data, data / "state.db")
    done = footfall("rebuild-state", "--data", data, cwd=data.parent)
    assert done.returncode == 0, done.stderr
    assert "20 events" in done.stdout
    assert ledger(data) == before
    with serving(data) as server:
        assert server.count() == 20
        server.send(5)
        until(lambda: server.count() == 25)
    checked = footfall("verify", "--data", data, cwd=data.parent)
    assert checked.returncode == 0, checked.stdout


def test_a_lost_store_is_made_anew_of_the_log(data):
    done = footfall("rebuild-store", "--data", data, cwd=data.parent)  # nobody loses one by a slip
    assert done.returncode == 2
    assert "it stays" in done.stderr
    remove(data / "store")
    refused(data, data / "store", "rebuild-store")
    (data / "recent-ids").write_bytes(b"the ids of rows that are lost")
    done = footfall("rebuild-store", "--data", data, cwd=data.parent)
    assert done.returncode == 0, done.stderr
    assert "20 events" in done.stdout
    assert not (data / "recent-ids").exists()
    with serving(data) as server:
        until(lambda: server.count() == 20)
        server.send(5)
        until(lambda: server.count() == 25)
    checked = footfall("verify", "--data", data, cwd=data.parent)
    assert checked.returncode == 0, checked.stdout


INTERRUPTED = """
import os, signal, sys
from footfall.rebuild import store

def at(name, when):
    real = getattr(store, name)
    def call(*arguments):
        if when == "before":
            os.kill(os.getpid(), signal.SIGINT)
        done = real(*arguments)
        if when == "after":
            os.kill(os.getpid(), signal.SIGINT)
        return done
    setattr(store, name, call)

at(*sys.argv.pop(1).split(":"))
from footfall.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("at", "kept"),
    [("_count_record:before", True), ("_write:before", False), ("_write:after", False)],
)
def test_an_interrupted_rebuild_changes_both_the_store_and_the_books_or_none(original, data, at, kept):
    remove(data / "store")
    copy(original / "within" / "store", data / "store")
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, at, "rebuild-store", "--data", str(data)],
        cwd=data.parent, env=environment(), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == kept, done.stderr
    assert bool(list(data.glob("store.old-*"))) != kept
    if kept:  # nothing was changed: it is done from the beginning
        done = footfall("rebuild-store", "--data", data, cwd=data.parent)
        assert done.returncode == 0, done.stderr
    with serving(data) as server:
        until(lambda: server.count() == 20)
    checked = footfall("verify", "--data", data, cwd=data.parent)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("gone", ["log", "meta.db"])
@pytest.mark.parametrize(("part", "command"), [("store", "rebuild-store"), ("state.db", "rebuild-state")])
def test_where_two_parts_are_gone_every_command_names_the_one_that_helps(data, part, command, gone):
    remove(data / part)
    remove(data / gone)
    common = ("--data", data, "--port", "0", "--console-port", "0")
    for each in (("serve", *common), ("serve", "--new", *common), (command, "--data", data)):
        done = footfall(*each, cwd=data.parent, FOOTFALL_ADMIN_KEY=KEY)
        assert done.returncode == 2, done.stderr
        assert f"`footfall {command} --new`" in done.stderr
    done = footfall(command, "--new", "--data", data, cwd=data.parent)
    assert done.returncode == 0, done.stderr
    there = 0 if (part, gone) == ("store", "log") else 20
    with serving(data) as server:
        until(lambda: server.count() == there)
        server.send(5)
        until(lambda: server.count() == there + 5)


def test_nobody_loses_a_store_that_belongs_by_insisting_on_a_new_log(data):
    remove(data / "log")
    done = footfall("rebuild-store", "--new", "--data", data, cwd=data.parent)
    assert done.returncode == 2
    assert "it stays" in done.stderr


def ledger(data):
    done = footfall("ledger", "--data", data, cwd=data.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_whole_backup_that_was_set_back_starts(original, tmp_path):
    copy(original / "earlier", tmp_path / "data")
    with serving(tmp_path / "data") as server:
        assert server.count() == 10
        server.send(5)
        until(lambda: server.count() == 15)


def test_new_links_and_keys_are_insisted_on(data):
    remove(data / "meta.db")
    server = Server(data, "--new")
    try:
        server.wait()
        assert server.count() == 20
        server.send(1)
        until(lambda: server.count() == 21)
    finally:
        server.stop()
    refused_without = footfall("report", "--data", data, cwd=data.parent)
    assert refused_without.returncode == 0, refused_without.stderr


@pytest.mark.parametrize("part", ["state.db", "store"])
def test_nobody_can_insist_on_new_books_beside_what_is_stored(data, part):
    remove(data / part)
    done = footfall("serve", "--new", "--data", data, "--port", "0", "--console-port", "0", cwd=data.parent)
    assert done.returncode == 2
    assert str(data / part) in done.stderr


class TestOfBeforeThereWereStamps:
    @pytest.fixture
    def old(self, data):
        """As a version without stamps left it."""
        for name in ("meta.db", "state.db"):
            with sqlite3.connect(data / name) as connection:
                connection.execute("DROP TABLE installation")
            connection.close()
        for path in (data, data / "log", data / "store"):
            (path / "installation").unlink()
        return data

    def test_it_is_taken_over(self, old):
        with serving(old) as server:
            assert server.count() == 20
        remove(old / "state.db")
        unfit(old, old / "state.db")

    def test_its_books_are_made_anew_too(self, old):
        empty(old / "state.db")
        assert footfall("rebuild-state", "--data", old, cwd=old.parent).returncode == 0
        with serving(old) as server:
            assert server.count() == 20

    @pytest.mark.parametrize("harm", [remove, empty])
    @pytest.mark.parametrize("part", ["meta.db", "state.db", "store"])
    def test_but_not_with_a_part_gone(self, old, part, harm):
        harm(old / part)
        unfit(old, old / part)


@pytest.mark.parametrize("part", ["meta.db", "state.db"])
def test_damaged_pages_are_told_in_one_line(data, part):
    damage(data / part)
    unfit(data, data / part, "damaged")
    refused(data, data / part, "damaged", command="serve")
    done = footfall("report", "--data", data, cwd=data.parent)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    checked = footfall("doctor", "--data", data, "--port", "0", "--console-port", "0", cwd=data.parent)
    assert "damaged" in checked.stdout


def test_when_the_books_are_damaged_under_a_server_it_pauses_with_an_alert_until_they_are_repaired(data):
    with serving(data) as server:
        worker = server.children()["worker"]
        whole = (data / "state.db").read_bytes()
        damage(data / "state.db")
        server.send(3)  # the door goes on
        until(lambda: "damaged" in alerts(server), seconds=60)
        assert server.children()["worker"] == worker
        assert not ended(worker)
        assert "Traceback" not in server.output.read_text()
        (data / "state.db").write_bytes(whole)
        until(lambda: "damaged" not in alerts(server), seconds=120)
        until(lambda: server.count() == 23)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0


def alerts(server):
    answer = server.console.get("/health/ready")
    return [each["condition"] for each in answer.json().get("alerts", ())]


def test_events_that_are_gone_from_the_store_are_an_alert(data):
    found = [path.parent for path in (data / "store").rglob("data.bin")]
    events = [part for part in found if "`properties`" in (part / "columns.txt").read_text()]
    shutil.rmtree(max(events, key=lambda part: int((part / "count.txt").read_text())))
    with serving(data) as server:
        until(lambda: "events_missing" in alerts(server))
        assert "store.rows_missing" in server.output.read_text()
        for report in ("overview", "clicks", "timeseries"):
            now = meta(server, report)
            assert not now["exact"]
            assert any("gone from the store" in warning for warning in now["warnings"])
            before = meta(server, report, start_date="2020-01-01", end_date="2020-01-31")
            assert before["exact"]
            assert not any("gone from the store" in warning for warning in before["warnings"])
        exported = server.console.get("/api/v1/export/events", params={"format": "csv"})
        assert "gone from the store" in exported.headers["Footfall-Warnings"]


def meta(server, report, **asked):
    answer = server.console.get(f"/api/v1/analytics/{report}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["meta"]
