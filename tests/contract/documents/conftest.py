"""One `footfall serve` for the tests of a document, sent to and asked as its clients would."""

import time
from datetime import UTC, datetime

import pytest

from tests.e2e.serving import serving, until

CHROME = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Mobile Safari/537.36"
)


class Installation:
    """A door and a console, and what tests do to them."""

    def __init__(self, server):
        self.door, self.console = server.door, server.console
        self.port = server.port

    def send(self, body, **headers):
        """With the key of a server. All of it must be accepted."""
        answer = self.door.post("/v1/events", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        assert answer.json()["rejected"] == 0, answer.text
        return answer.json()

    def send_from_a_page(self, content, origin, **headers):
        """As a browser does: without a key."""
        sent = {"origin": origin, "user-agent": CHROME} | headers
        return self.door.post("/v1/events", content=content, headers=sent | {"authorization": ""})

    def settle(self):
        """Returns when all that was acknowledged by now is in the answers."""
        now = datetime.now(UTC)

        def through():
            meta = self.console.get("/api/v1/analytics/overview").json()["meta"]
            return meta["complete_through"] and datetime.fromisoformat(meta["complete_through"]) >= now

        until(through)

    def ask(self, path, **params):
        """The `data` of an answer."""
        answer = self.console.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def events(self, kind="click", **filters):
        """The events of a type, newest first."""
        dates = {"start_date": "2020-01-01", "limit": 1000}
        return self.ask("/api/v1/analytics/clicks", event_type=kind, **(dates | filters))

    def event(self, kind="click", **filters):
        """The one event that passes."""
        (found,) = self.events(kind, **filters)
        return found

    def key(self, *scopes):
        """The secret of a new key."""
        made = self.console.post("/api/v1/keys", json={"name": "app", "scopes": list(scopes)})
        assert made.status_code == 201, made.text
        return made.json()["key"]

    def site(self, *origins, name="Shop"):
        """The id of a new site, known to the door."""
        made = self.console.post("/api/v1/sites", json={"name": name, "origins": list(origins)})
        assert made.status_code == 201, made.text
        time.sleep(1.0)  # the promise: every process knows of a change within 1 s
        return made.json()["id"]

    def link(self, url, **more):
        """A new link, known to the door."""
        made = self.console.post("/api/v1/links", json={"url": url} | more)
        assert made.status_code == 201, made.text
        return made.json()  # posted clicks know it at once


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    data = tmp_path_factory.mktemp("documents") / "data"
    with serving(data, FOOTFALL_READ_ORIGINS="https://app.example, http://localhost:3000") as server:
        yield Installation(server)


@pytest.fixture(scope="module")
def today():
    return datetime.now(UTC).date().isoformat()
