"""The client with a thread: it never blocks nor fails its caller, and everything is accounted for."""

import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from footfall.client import Client, Limits, Misconfigured
from tests.e2e.serving import until

ROOT = Path(__file__).parents[3]
SOON = Limits(linger=0.001, backoff=0.001, backoff_max=0.01)
SECRET = "ff_very-secret"


def accepted(request):
    events = json.loads(request.content)["events"]
    return httpx.Response(202, json={"accepted": len(events), "rejected": 0, "results": []})


def client(answer=accepted, **options):
    options = {"key": SECRET, "limits": SOON} | options
    return Client("http://door", transport=httpx.MockTransport(answer), **options)


def test_tracking_does_not_wait_for_the_network():
    may_answer, asked = threading.Event(), threading.Event()

    def answer(request):
        asked.set()
        assert may_answer.wait(30)
        return accepted(request)

    with client(answer) as sdk:
        sdk.track("first")
        assert asked.wait(30)
        sdk.track_many([{"event_type": "more"}] * 100)  # returns, though the door does not answer
        assert sdk.stats().waiting == 101
        assert not sdk.flush(0.01)
        may_answer.set()
        assert sdk.flush(30)
        assert (sdk.stats().accepted, sdk.stats().waiting) == (101, 0)


def test_every_thread_may_track():
    received = []

    def answer(request):
        received.extend(event["event_id"] for event in json.loads(request.content)["events"])
        return accepted(request)

    with client(answer) as sdk:
        threads = [threading.Thread(target=lambda: [sdk.track("test") for _ in range(200)]) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sdk.flush(30)
    assert len(received) == len(set(received)) == 1000


def test_whatever_goes_wrong_is_tried_again_with_the_same_ids():
    bodies = []
    troubles = iter([
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        ValueError("a bug in a transport"),
        httpx.Response(503, headers={"Retry-After": "0"}),
        httpx.Response(429),
        httpx.Response(200, text="<html>log in</html>"),
    ])  # fmt: skip

    def answer(request):
        bodies.append(request.content)
        trouble = next(troubles, None)
        if isinstance(trouble, Exception):
            raise trouble
        return trouble or accepted(request)

    with client(answer) as sdk:
        ids = sdk.track_many([{"event_type": "test"}] * 3)
        assert sdk.flush(30)
        assert len(bodies) == 7
        assert len(set(bodies)) == 1
        assert [event["event_id"] for event in json.loads(bodies[0])["events"]] == ids
        assert (sdk.stats().accepted, sdk.stats().sent, sdk.stats().retried) == (3, 3, 18)


def test_an_outage_is_logged_once_and_without_the_key(caplog):
    answers = iter([httpx.Response(503)] * 5)
    with (
        caplog.at_level(logging.INFO, "footfall.client"),
        client(lambda r: next(answers, None) or accepted(r)) as sdk,
    ):
        sdk.track("test")
        assert sdk.flush(30)
    messages = [record.getMessage() for record in caplog.records if record.name == "footfall.client"]
    assert [message.split("(")[0] for message in messages] == [
        "http://door does not take events ",
        "http://door answers again",
    ]
    assert SECRET not in caplog.text
    assert SECRET not in repr(sdk)


def test_refused_events_are_handed_over_and_counted():
    refused = []

    def hear(rejection):
        refused.append(rejection)
        raise RuntimeError("a bug in on_error")

    def answer(request):
        if request.headers["authorization"] != f"Bearer {SECRET}":
            return httpx.Response(401, json={"detail": "nobody knows this key"})
        verdict = {"index": 0, "status": "rejected", "reason": "invalid_property", "message": "no"}
        return httpx.Response(202, json={"accepted": 0, "rejected": 1, "results": [verdict]})

    with client(answer, on_error=hear) as sdk:
        one = sdk.track("bad", {"a": 1})
        assert not sdk.flush(30)
        two = sdk.track("bad", {"a": 2})
        assert not sdk.flush(30)
        assert sdk.stats().rejected == {"invalid_property": 2}
    assert [rejection.events[0]["event_id"] for rejection in refused] == [one, two]
    with client(answer, key="other", on_error=hear) as sdk:
        sdk.track("test")
        assert not sdk.flush(30)
        assert sdk.stats().rejected == {"http_401": 1}
    assert refused[-1].message == "nobody knows this key"


def test_a_flush_waits_for_a_slow_callback():
    entered, told = threading.Event(), []

    def hear(rejection):
        entered.set()
        threading.Event().wait(0.1)
        told.append(rejection.reason)

    with client(lambda _: httpx.Response(403), on_error=hear) as sdk:
        sdk.track("test")
        assert entered.wait(30)
        assert not sdk.flush(30)
        assert told == ["http_403"]


def test_closing_sends_what_is_left_and_drops_the_rest():
    with client(limits=Limits(linger=1000)) as sdk:
        sdk.track("test")
    assert sdk.stats().accepted == 1
    assert sdk.close()
    with pytest.raises(RuntimeError, match="closed"):
        sdk.track("test")

    away = client(lambda _: httpx.Response(503))
    away.track("test")
    assert not away.close(0.01)
    assert (away.stats().dropped, away.stats().waiting) == (1, 0)


def test_the_callback_may_flush_and_close():
    closed = []
    sdk = client(
        lambda _: httpx.Response(403),
        limits=Limits(linger=0.001, batch_events=1),
        on_error=lambda _: closed.append((sdk.flush(), sdk.close(), sdk.close())),
    )
    sdk.track_many([{"event_type": "test"}] * 3)  # three requests
    until(lambda: closed)
    assert closed[0] == (False, False, True)  # it cannot wait for itself


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "url"),
        ({"url": "http://door"}, "key"),
        ({"url": "door:8000", "key": "k"}, "https://"),
        ({"url": "http://door?key=1", "key": "k"}, "https://"),
        ({"url": "http://door", "key": "k\n"}, "not a key"),
        ({"url": "http://door", "key": "k", "console_url": "ftp://x"}, "console_url"),
    ],
)
def test_options_are_checked_at_once(options, words):
    with pytest.raises(Misconfigured, match=words):
        Client(**options)


def test_a_client_made_for_questions_cannot_track():
    with Client(console_url="http://console", key="k") as sdk, pytest.raises(Misconfigured, match="url"):
        sdk.track("test")
    with client() as sdk, pytest.raises(Misconfigured, match="console_url"):
        sdk.report("analytics/overview")


def test_no_key_is_sent_when_there_is_none():
    seen = []

    def answer(request):
        seen.append((request.headers.get("authorization"), json.loads(request.content)["site_id"]))
        return accepted(request)

    with client(answer, key="", site_id="site_x") as sdk:
        sdk.track("test")
    assert seen == [(None, "site_x")]


# The following need processes of their own.


@contextmanager
def receiving():
    """A server that takes everything: its address, and what it got."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["events"]
            received.extend(event["properties"]["from"] for event in events)
            body = json.dumps({"accepted": len(events), "rejected": 0, "results": []}).encode()
            self.send_response(202)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_the_end_of_the_program_sends_what_is_left():
    program = """
        import sys
        from footfall.client import Client, Limits
        Client(sys.argv[1], key="k", limits=Limits(linger=1000)).track("test", {"from": "me"})
    """
    with receiving() as (url, received):
        run(program, url)
        assert received == ["me"]


def test_the_end_of_the_program_does_not_wait_for_ever():
    program = """
        import sys
        from footfall.client import Client
        Client("http://127.0.0.1:1", key="k", exit_timeout=0.1).track("test")
    """
    assert "1 events were not acknowledged" in run(program).stderr


def test_a_forked_child_sends_its_own_events_only():
    program = """
        import os, sys
        from footfall.client import Client, Limits
        client = Client(sys.argv[1], key="k", limits=Limits(linger=0.01))
        client.track("test", {"from": "before"})
        assert client.flush(30)                     # there is a thread, and an open connection
        waiting = Client(sys.argv[1], key="k", limits=Limits(linger=1000))
        waiting.track("test", {"from": "parent"})
        with client._changed:                       # a lock that is held while the fork happens
            child = os.fork()
        name = "parent" if child else "child"
        for each in (client, waiting):
            each.track("test", {"from": name})
            assert each.close(30)
            assert each.stats().tracked == (2 if child else 1)
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    with receiving() as (url, received):
        run(program, url)
        assert sorted(received) == ["before", "child", "child", "parent", "parent", "parent"]


def test_importing_the_client_is_light():
    program = """
        import sys
        import footfall.client
        heavy = {"chdb", "litestar", "sqlalchemy", "pyarrow", "numpy", "pandas", "pydantic", "structlog"}
        ours = {name.split(".")[1] for name in sys.modules if name.startswith("footfall.")}
        print(sorted(heavy & set(sys.modules)), sorted(ours))
    """
    assert run(program).stdout.strip() == "[] ['client', 'errors', 'model']"
