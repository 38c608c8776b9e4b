"""A real server, asked from outside: what it made of what was sent to it."""

import itertools
import time

import httpx

from tests.e2e.serving import until

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

_numbers = itertools.count(1)

# What is asked of an event is not asked of the visit that it belongs to.
OF_EVENTS = {"channel", "referrer_host"}


def of_events(dimensions):
    """The names of these for each event by itself."""
    return [f"event_{name}" if name in OF_EVENTS or name.startswith("utm_") else name for name in dimensions]


class World:
    """Sends, and says what of it is stored."""

    def __init__(self, server):
        self.server = server
        self.door, self.console = server.door, server.console
        # Without the key: a visitor.
        self.visitor = httpx.Client(base_url=self.door.base_url, timeout=30)
        self.site = self.console.get("/api/v1/sites").json()["data"][0]["id"]

    def link(self, **fields):
        answer = self.console.post("/api/v1/links", json=fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def visit(self, path, **headers):
        """A visitor's GET, as it is written."""
        headers = {"User-Agent": FIREFOX} | {name.replace("_", "-"): value for name, value in headers.items()}
        url = httpx.URL(self.door.base_url, raw_path=path.encode())
        return self.visitor.send(self.visitor.build_request("GET", url, headers=headers))

    def event(self, **fields):
        """Send one event with the key; it is told by the name that is returned."""
        name = fields.setdefault("event_type", f"wild{next(_numbers)}")
        answer = self.door.post("/v1/events", json={"events": [fields]})
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == 1, answer.text
        return name

    def verdict(self, **fields):
        """The verdict on an event that is not taken."""
        answer = self.door.post("/v1/events", json={"events": [{"event_type": "refused"} | fields]})
        return answer.json()["results"][0]

    def beacon(self, headers, **fields):
        """An event of a page, without a key."""
        name = f"wild{next(_numbers)}"
        body = {"site_id": self.site, "events": [{"event_type": name} | fields]}
        answer = self.visitor.post("/v1/events", json=body, headers={"User-Agent": FIREFOX} | headers)
        assert answer.json()["accepted"] == 1, answer.text
        return name

    def ask(self, metrics, dimensions=(), filters=(), **more):
        """The rows of an answer, bots included."""
        question = {"metrics": list(metrics), "dimensions": list(dimensions), "filters": list(filters)}
        question |= {"date_range": "all", "include": {"bots": True}, "pagination": {"limit": 1000}} | more
        answer = self.console.post("/v1/query", json=question)
        assert answer.status_code == 200, answer.text
        return [(*row["dimensions"], *row["metrics"]) for row in answer.json()["results"]]

    def stored(self, event_type, *dimensions, count=1):
        """The values of these dimensions of the only event, or of all `count`, of that type."""

        def rows():
            found = self.ask(["events"], of_events(dimensions), [["is", "event_type", [event_type]]])
            return found if sum(row[-1] for row in found) == count else None

        values = [row[:-1] for row in until(rows)]
        return values[0] if len(values) == 1 else sorted(values)

    def clicks_of(self, code, *dimensions, count=1, kind="click"):
        """The same of the clicks on a code."""

        def rows():
            filters = [["is", "short_code", [code]], ["is", "event_type", [kind]]]
            found = self.ask(["events"], of_events(dimensions), filters)
            return found if sum(row[-1] for row in found) == count else None

        values = [row[:-1] for row in until(rows)]
        return values[0] if len(values) == 1 else sorted(values)


def moment(day, clock):
    """A time of a day that lies so many days back, as events say it."""
    return time.strftime("%Y-%m-%dT", time.gmtime(time.time() - 86_400 * day)) + clock + "Z"
