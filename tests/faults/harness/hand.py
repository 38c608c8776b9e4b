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
        return self.submit(tokens, json.dumps({"events": events}).encode(), key=key)[0]

    def submit(
        self, tokens: list[int], body: bytes, *, key: str = KEY, limits: bool = False
    ) -> tuple[int, list[int]]:
        """Send `body`, which has the events with these tokens, in a book already: status, and what was taken.

        `limits`: what is too large may be refused, all of it or single events.
        """
        status, answer = http(self._port, "POST", "/v1/events", body, key)
        refused = tokens
        if status == 202:
            results = json.loads(answer)["results"]
            refused = [tokens[each["index"]] for each in results if each["status"] == "rejected"]
        taken = [token for token in tokens if token not in refused]
        expected = {0, 202, 400, 413, 503} if limits else {0, 202, 503}
        if status not in expected or (status == 202 and refused and not limits):
            self._writer.write("wrong", status, answer[:500])
        if taken:
            self._writer.write("safe", *taken)
        if status and refused:
            self._writer.write("refused", status, *refused)
        return status, taken

    def announce(self, tokens: list[int]) -> None:
        """These are to be sent with `submit`, under their ids."""
        self._writer.write("sent", *tokens)

    def click(self, code: str, headers: dict[str, str]) -> int:
        """Follow a short link; returns the status."""
        (token,) = self.tokens(1)
        self._writer.write("click", token)
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", f"/{code}?n={token}", headers=headers)
            answer = connection.getresponse()
        except (OSError, HTTPException):
            return 0
        else:
            if answer.status == 302:
                self._writer.write("id", token, answer.headers["Footfall-Event"])
                logged = answer.headers["Footfall-Logged"]
                self._writer.write("safe" if logged == "yes" else "pending", token)
            else:
                self._writer.write("refused", answer.status, token)
            return answer.status
        finally:
            connection.close()


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
