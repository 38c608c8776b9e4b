"""What strangers send by mistake or on purpose is told in few lines, all JSON, and counted."""

import json
import time

import pytest

from tests.e2e.serving import KEY, serving, until
from tests.security.wire import HOST, ask, connect

BROKEN_OFF = b"Authorization: Bearer %b\r\nContent-Type: application/json\r\n" % KEY.encode()
PARTS = {
    "garbage": b"\x16\x03\x01 what is this\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a head too large": b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 300 + b"\r\n",
    "an upgrade": b"GET /x/y HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a wrong chunk": b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
}
BODIES = {
    "events": ("door", b"POST /v1/events HTTP/1.1\r\n"),
    "a link": ("console", b"POST /api/v1/links HTTP/1.1\r\n"),
    "a site": ("console", b"POST /api/v1/sites HTTP/1.1\r\n"),
    "a question": ("console", b"POST /v1/query HTTP/1.1\r\n"),
    "an import": ("console", b"POST /api/v1/imports/clicks HTTP/1.1\r\n"),
}
ROUNDS = 40


@pytest.fixture(scope="module")
def garbled(tmp_path_factory):
    """A server that got much garbage: itself, what it logged meanwhile, and how long that was."""
    with serving(tmp_path_factory.mktemp("garbled") / "data") as server:
        until(lambda: "Stop with Ctrl-C" in server.output.read_text())  # the greeting comes a little later
        quiet = server.output.stat().st_size
        began = time.monotonic()
        for _ in range(ROUNDS):
            for port in (server.port, server.console_port):
                for part in PARTS.values():
                    ask(port, part)
            for where, line in BODIES.values():
                for framing in (b"Content-Length: 99\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
                    with connect(server.port if where == "door" else server.console_port) as sock:
                        sock.sendall(line + HOST + BROKEN_OFF + framing)
                        time.sleep(0.002)
        text = until(lambda: _told(server, quiet))
        yield server, text.splitlines(), time.monotonic() - began


def _told(server, since):
    """What was logged, once the last of it is."""
    text = server.output.read_bytes()[since:].decode()
    counts = [json.loads(line)["reasons"] for line in text.splitlines() if '"http.refused"' in line]
    malformed = sum(each.get("malformed", 0) for each in counts)
    return text if malformed >= 2 * 2 * ROUNDS - ROUNDS else ""


def test_every_line_is_json(garbled):
    for line in garbled[1]:
        assert isinstance(json.loads(line), dict), line


def test_there_are_few_lines(garbled):
    """One a second and process, whatever comes."""
    _, lines, seconds = garbled
    assert 0 < len(lines) <= 2 * seconds + 4


def test_what_is_broken_off_is_no_error(garbled):
    for line in garbled[1]:
        assert json.loads(line)["level"] not in ("error", "critical"), line
        assert "Traceback" not in line


@pytest.mark.parametrize("reason", ["malformed", "host", "head_too_large"])
@pytest.mark.parametrize("where", ["door", "console"])
def test_it_is_counted_by_reason(garbled, where, reason):
    shown = getattr(garbled[0], where).get("/metrics").text
    line = next(line for line in shown.splitlines() if f'http_refused_total{{reason="{reason}"}}' in line)
    assert float(line.split()[1]) >= ROUNDS
