"""A short pipeline's click, posted."""

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
    event = {
        "short_code": "k7Qz3Np", "timestamp": datetime.now(UTC).isoformat(), "ip_hash": "a1b2c3d4",
        "country": "US", "referrer": "twitter.com", "device_type": "mobile", "browser": "Chrome",
    }  # fmt: skip
    print(json.dumps(ask(f"{DOOR}/v1/events", event)))
    print(json.dumps(ask(f"{CONSOLE}/api/v1/analytics/clicks?short_code=k7Qz3Np")["data"]))
    print(json.dumps(ask(f"{CONSOLE}/api/v1/analytics/referers?short_code=k7Qz3Np")["data"]))
