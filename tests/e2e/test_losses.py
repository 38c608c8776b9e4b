"""A stop while the log is full: what the door has to give up is in the books after the next start."""

import os
import signal

from tests.e2e.serving import KEY, Server, until


def test_clicks_that_a_stop_with_a_full_log_gave_up_are_booked_as_lost(tmp_path):
    settings = tmp_path / "footfall.toml"
    settings.write_text('log_max = "1MiB"\nlog_segment = "128KiB"\n')
    server = Server(tmp_path / "data")
    try:
        server.wait()
        link = server.console.post("/api/v1/links", json={"url": "https://example.com/"}).json()
        os.kill(server.children()["worker"], signal.SIGSTOP)  # it frees nothing
        events = fill(server)
        yes = pending = 0
        while pending < 50:
            answer = server.door.get(f"/{link['short_code']}")
            assert answer.status_code == 302
            yes += answer.headers["footfall-logged"] == "yes"
            pending += answer.headers["footfall-logged"] == "pending"
    finally:
        server.stop()

    settings.write_text('log_max = "1GiB"\n')
    server = Server(tmp_path / "data")
    try:
        server.wait()
        books = until(lambda: balanced_with(server, lost=True))
    finally:
        server.stop()
    # A pending click may have been logged after its answer; what was not is lost, and nothing is missing.
    assert books["balanced"]
    assert 0 < books["lost"] <= pending
    assert books["stored"] + books["lost"] == events + yes + pending
    output = server.output.read_text()
    assert "losses.booked" in output
    assert "Traceback" not in output
    assert KEY not in output


def fill(server):
    """Events until the log takes not one more; how many it took."""
    taken = 0
    for size in (1000, 100, 1):
        while True:
            event = {"event_type": "filler", "properties": {"text": "x" * 50}}
            answer = server.door.post("/v1/events", json={"events": [event] * size})
            if answer.status_code == 503:
                break
            assert answer.status_code == 202, answer.text
            taken += size
    return taken


def balanced_with(server, *, lost):
    answer = server.console.get("/api/v1/ledger")
    data = answer.json()["data"] if answer.status_code == 200 else {}
    return data if data and bool(data["lost"]) is lost and not data["in_flight"] and data["stored"] else None
