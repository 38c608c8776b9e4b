"""A redirect service's click, which knows the short URL and the place."""

import json
import os
import uuid
from datetime import UTC, datetime
from urllib.request import Request, urlopen

DOOR, CONSOLE, KEY = (os.environ[name] for name in ("DOOR", "CONSOLE", "KEY"))
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def ask(url: str, body: object = None) -> dict[str, object]:
    """The answer."""
    data = None if body is None else json.dumps(body).encode()
    return json.load(urlopen(Request(url, data, HEADERS)))  # noqa: S310 -- as configured


if __name__ == "__main__":
    click = {
        "click_id": str(uuid.uuid4()), "short_url": "https://go.example.com/abc",
        "original_url": "https://example.com/x", "timestamp": datetime.now(UTC).isoformat(),
        "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:135.0) Gecko/20100101 Firefox/135.0",
        "ip_address": "203.0.113.9", "referer": "https://news.example/a",
        "geo_location": {"country": "United States", "country_code": "US", "region": "Texas",
                         "city": "Austin", "latitude": 30.3, "longitude": -97.7},
    }  # fmt: skip
    print(json.dumps(ask(f"{DOOR}/v1/events", click)))
    print(json.dumps(ask(f"{CONSOLE}/api/v1/analytics/clicks?short_code=abc")["data"]))
