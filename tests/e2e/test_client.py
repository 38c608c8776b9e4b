"""The Python client against a real `footfall serve`, which is killed and restarted under it."""

import re
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from footfall.client import Client, Denied, Invalid, Limits
from tests.e2e.serving import KEY, ROOT, ended, environment, serving, until

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("client") / "data") as running:
        yield running


def client_of(server, **options):
    options = {"key": KEY} | options
    return Client(
        f"http://127.0.0.1:{server.port}", console_url=f"http://127.0.0.1:{server.console_port}", **options
    )


def restart(server):
    """Start `serve` again, on the same ports and data."""
    with server.output.open("ab") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-m", "footfall", "serve", *server.options()],
            cwd=server.data.parent,
            env=environment(FOOTFALL_ADMIN_KEY=KEY),
            stdout=log,
            stderr=log,
        )


def all_stored(client, **filters):
    """The overview, once everything acknowledged until now is in it."""
    now = time.time()

    def told():
        answer = client.report("analytics/overview", **filters)
        through = answer.meta["complete_through"]
        return through and datetime.fromisoformat(through).timestamp() > now and answer.rows[0]

    return until(told, 60)


def test_every_event_counts_once_whatever_is_killed(tmp_path):
    limits = Limits(linger=0.001, batch_events=20, queue_events=1_000_000, backoff=0.05, backoff_max=0.5)
    with serving(tmp_path / "data") as server, client_of(server, limits=limits) as client:

        def track_until(condition):
            """Track without a pause, so that whatever happens meanwhile happens to requests under way."""
            deadline = time.monotonic() + 60
            while not condition():
                assert time.monotonic() < deadline
                client.track_many([{"event_type": "test", "properties": {"n": n}} for n in range(5)])
                time.sleep(0.002)

        def answered_again():
            accepted = client.stats().accepted
            return lambda: client.stats().accepted > accepted + 200

        track_until(answered_again())
        for _ in range(2):
            door = server.children()["door"]
            subprocess.run(["kill", "-9", str(door)], check=True)
            track_until(lambda door=door: ended(door))
            track_until(answered_again())
        children = server.children()
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        track_until(lambda: all(ended(pid) for pid in children.values()))
        assert not client.flush(0.01)
        restart(server)
        track_until(answered_again())

        assert client.flush(60)
        stats = client.stats()
        assert stats.accepted == stats.tracked
        assert stats.retried > 0
        server.wait()
        assert all_stored(client, event_type="test")["events"] == stats.tracked


def test_questions(server):
    with client_of(server) as client:
        for plan, visitor in (("team", "a"), ("team", "b"), ("solo", "b")):
            client.track("signup", {"plan": plan}, visitor_id=visitor)
        assert client.flush(30)
        assert all_stored(client, event_type="signup") == {
            "clicks": 0, "events": 3, "visitors": 2, "sessions": 2, "links": 0, "bots": 0,
        }  # fmt: skip
        result = client.query(
            ["visitors", "events"],
            dimensions=["property:plan"],
            filters=[["is", "event_type", ["signup"]]],
            date_range="day",
            compare="previous_period",
        )
        changes = {"visitors_before": 0, "visitors_change": None, "events_before": 0, "events_change": None}
        assert result.rows == [
            {"property:plan": "team", "visitors": 2, "events": 2} | changes,
            {"property:plan": "solo", "visitors": 1, "events": 1} | changes,
        ]
        assert result.meta["exact"]
        page = client.query(["visitors"], dimensions=["property:plan"], date_range="day", limit=1, offset=1)
        assert len(page) == 1
        assert page.query["pagination"] == {"limit": 1, "offset": 1}


def test_refusals(server):
    with client_of(server) as client:
        with pytest.raises(Invalid, match="visitors") as wrong:
            client.query(["visitor"])
        assert wrong.value.field == "metrics"
        with pytest.raises(Invalid) as wrong:
            client.report("analytics/overview", timezone="Nowhere")
        assert wrong.value.field == "timezone"
    with client_of(server, key="ff_unknown") as client:
        with pytest.raises(Denied):
            client.report("analytics/overview")
        client.track("test")
        assert not client.flush(30)
        assert client.stats().rejected == {"http_401": 1}


def test_the_guide(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOOTFALL_KEY", KEY)
    blocks = BLOCK.findall((ROOT / "docs/client.md").read_text())
    assert len(blocks) >= 8
    names = {}
    for block in blocks:
        here = block.replace("localhost:8000", f"127.0.0.1:{server.port}")
        exec(here.replace("localhost:8001", f"127.0.0.1:{server.console_port}"), names)
    try:
        stats = names["client"].stats()
        assert stats.accepted == stats.tracked == 4
        assert "not everything" not in (said := capsys.readouterr().out)
        assert "metrics" in said.splitlines()[-1]
        stored = all_stored(names["console"], event_type="nightly_job_done")
        assert stored["events"] == 1
        assert (tmp_path / "footfall-queue-id").exists()
    finally:
        names["client"].close()
        names["console"].close()
