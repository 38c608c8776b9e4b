"""A service with tables: events in camelCase with metadata, and aggregates by link and bucket."""

import json
import os
from datetime import UTC, datetime
from urllib.request import Request, urlopen

DOOR, CONSOLE, KEY = (os.environ[name] for name in ("DOOR", "CONSOLE", "KEY"))
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def ask(url: str, body: object = None) -> dict[str, object]:
    """The answer."""
    data = None if body is None else json.dumps(body).encode()
    return json.load(urlopen(Request(url, data, HEADERS)))  # noqa: S310 -- as configured


if __name__ == "__main__":
    where = {
        "country": "US",
        "city": "Austin",
        "device": "mobile",
        "browser": "Chrome",
        "referrer": "https://t.co/x",
    }
    for visitor in ("u1", "u1", "u2"):
        event = {
            "linkId": "row_7", "workspaceId": "ws_1", "eventType": "click", "visitorId": visitor,
            "sessionId": f"session-{visitor}", "metadata": where,
        }  # fmt: skip
        print(json.dumps(ask(f"{DOOR}/v1/events", event)))
    today = datetime.now(UTC).date()
    path = f"aggregates?start_date={today}&end_date={today}&interval=day&link_id=row_7"
    print(json.dumps(ask(f"{CONSOLE}/api/v1/analytics/{path}")["data"]))
