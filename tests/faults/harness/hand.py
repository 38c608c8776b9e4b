"""An oracle without haste: one request at a time, from the test itself, into a book of its own."""

import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.e2e.serving import KEY
from tests.faults.harness.book import Writer, event_id

FIRST = 900 * 10**9  # its tokens are no other oracle's


class Hand:
    """Sends requests to the door on `port` and writes down what it was promised."""

    def __init__(self, path: Path, port: int) -> None:
        self.book = path
        self._writer = Writer(path)
        self._token = FIRST
        self._port = port
        self._named = False

    def phase(self, name: str) -> None:
        """What is sent from now on belongs to this phase."""
        self._writer.write("phase", name)

    def tokens(self, count: int) -> list[int]:
        """New ones."""
        first = self._token + 1
        self._token += count
        return list(range(first, self._token + 1))

    def promise(self, *tokens: int) -> None:
        """These were put into the log by other means: they must be stored."""
        self._writer.write("unnamed", *tokens)
        self._writer.write("safe", *tokens)

    def risk(self, *tokens: int) -> None:
        """These were put into the log by other means: they may be stored, but once at most."""
        self._writer.write("unnamed", *tokens)

    def post(self, count: int = 5) -> int:
        """Send events, in turn with and without ids; returns the status, 0 without an answer."""
        self._named = not self._named
        return self.send(self.tokens(count), named=self._named)

    def send(self, tokens: list[int], *, named: bool, key: str = KEY) -> int:
        """Send the events with these tokens."""
        self._writer.write("sent" if named else "unnamed", *tokens)
        events = [
            {"event_type": "oracle", "page_url": f"https://site.example/page?n={token}"}
            | ({"event_id": event_id(token)} if named else {})
            for token in tokens
        ]
        body = json.dumps({"events": events}).encode()
        status, answer = http(self._port, "POST", "/v1/events", body, key)
        if status == 202 and json.loads(answer)["accepted"] == len(tokens):
            self._writer.write("safe", *tokens)
        elif status == 503:
            self._writer.write("refused", status, *tokens)
        elif status:
            self._writer.write("wrong", status, answer[:500])
        return status


def http(port: int, method: str, path: str, body: bytes | None = None, key: str = KEY) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body; status 0 without an answer."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()
