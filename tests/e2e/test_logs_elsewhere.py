"""An installation with its log in PostgreSQL or Kafka, or all but the store in PostgreSQL.

Nothing is lost or doubled, whoever dies.
"""

import os
import signal
import threading
import time

import httpx
import pytest

from tests.e2e.serving import footfall, serving, until
from tests.servers.kafka import kafka
from tests.servers.postgres import postgres


@pytest.fixture(params=["postgres", "kafka", "postgres for all"])
def log(request):
    """A server that a test may kill, and the settings that name it."""
    name = request.param.partition(" ")[0]
    with {"postgres": postgres, "kafka": kafka}[name]() as server:
        names = {
            "postgres": lambda: {"FOOTFALL_LOG_DATABASE": server.url("postgres")},
            "kafka": lambda: {"FOOTFALL_KAFKA_BROKERS": server.brokers},
        }
        settings = {"FOOTFALL_LOG": name} | names[name]()
        if request.param.endswith("for all"):  # links, keys and books, too
            settings["FOOTFALL_DATABASE"] = server.url("postgres")
        yield server, settings


class Sender:
    """Sends events with ids of its own, each again until it is acknowledged."""

    def __init__(self, server):
        self.sent = 0
        self._server = server
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._ends.is_set():
            ids = [f"{self.sent + number:032x}" for number in range(20)]
            events = [
                {
                    "event_type": "test",
                    "event_id": f"{each[:8]}-{each[8:12]}-7{each[13:16]}-8{each[17:20]}-{each[20:]}",
                }
                for each in ids
            ]
            while not self._is_safe(events):
                time.sleep(0.05)
            self.sent += len(events)

    def _is_safe(self, events):
        try:
            answer = self._server.door.post("/v1/events", json={"events": events})
        except httpx.TransportError:
            return False
        return answer.status_code == 202 and answer.json()["accepted"] == len(events)

    def until(self, more):
        goal = self.sent + more
        until(lambda: self.sent >= goal, 60)

    def end(self):
        self._ends.set()
        self._thread.join()


def kill_all(server):
    """Door and worker; returns when there are two others."""
    before = server.children()
    for pid in before.values():
        signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)
    until(lambda: len(server.children()) == 2 and not set(server.children().values()) & set(before.values()))


def test_nothing_is_lost_or_doubled_whoever_is_killed(tmp_path, log):
    data = tmp_path / "data"
    behind, settings = log
    with serving(data, **settings) as server:
        sender = Sender(server)
        try:
            for _ in range(2):
                sender.until(400)
                behind.end(signal.SIGKILL if settings["FOOTFALL_LOG"] == "kafka" else signal.SIGQUIT)
                behind.start()
                sender.until(400)
                kill_all(server)
            sender.until(400)
        finally:
            sender.end()
        server.wait()
        until(lambda: server.count() == sender.sent, 60)
    with serving(data, **settings) as server:
        until(lambda: server.count() == sender.sent, 60)
        verified = footfall("verify", "--data", data, cwd=tmp_path, **settings)
        assert verified.returncode == 0, verified.stdout + verified.stderr
    assert not (data / "log").exists()
    assert (data / "state.db").exists() == ("FOOTFALL_DATABASE" not in settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"FOOTFALL_LOG": "postgres", "FOOTFALL_LOG_DATABASE": "postgresql://127.0.0.1:1/x?password=secret"},
        {
            "FOOTFALL_LOG": "kafka",
            "FOOTFALL_KAFKA_BROKERS": "127.0.0.1:1",
            "FOOTFALL_KAFKA_OPTIONS": '{"sasl.password":"secret"}',
        },
        {"FOOTFALL_DATABASE": "postgresql://footfall:secret@127.0.0.1:1/x"},
    ],
    ids=["postgres", "kafka", "database"],
)
def test_a_start_without_what_keeps_the_log_or_the_links_says_so(tmp_path, settings):
    ended = footfall("door", "--data", tmp_path / "data", cwd=tmp_path, **settings)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert "does not answer" in ended.stderr
    assert "secret" not in ended.stderr


def test_doctor_says_whether_the_log_answers(tmp_path, log):
    behind, settings = log

    def told():  # Kafka's coordinator of groups may still be starting: that is "not now"
        said = footfall("doctor", "--data", tmp_path / "data", cwd=tmp_path, **settings).stdout
        return said if f"{settings['FOOTFALL_LOG']} answers; 0 records are not stored yet" in said else ""

    assert ("PostgreSQL 1" in until(told, 60)) == ("FOOTFALL_DATABASE" in settings)
    behind.end()
    ill = footfall("doctor", "--data", tmp_path / "data", cwd=tmp_path, **settings)
    assert ill.returncode == 1
    assert "does not answer now" in ill.stdout
    assert "Traceback" not in ill.stderr
