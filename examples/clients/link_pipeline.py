"""A link shortener's producer of clicks, and what its React app reads."""

import json
import os
import uuid
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

DOOR, CONSOLE, KEY = (os.environ[name] for name in ("DOOR", "CONSOLE", "KEY"))
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
NOT_FOUND = 404


def publish(link_id: str, ip_address: str) -> None:
    """One click, as it went to the topic `clicks.events`."""
    click = {
        "event_id": str(uuid.uuid4()), "link_id": link_id, "short_code": "abc", "workspace_id": "ws_1",
        "timestamp": datetime.now(UTC).isoformat(), "ip_address": ip_address, "user_agent": "App/1.0",
        "referer": "https://t.co/x", "referer_host": "t.co", "country": "United States", "country_code": "US",
        "region": "California", "city": "San Francisco", "latitude": 37.7, "longitude": -122.4,
        "timezone": "America/Los_Angeles", "device_type": "mobile", "browser": "Chrome",
        "browser_version": "120.0", "os": "Android", "os_version": "14", "is_bot": False, "bot_name": "",
        "is_unique": True, "utm_source": "", "utm_medium": "", "utm_campaign": "", "utm_term": "",
        "utm_content": "",
    }  # fmt: skip
    urlopen(Request(f"{DOOR}/v1/events", json.dumps(click).encode(), HEADERS)).close()  # noqa: S310 -- as configured


def read(path: str, **params: str) -> object:
    """The data of one read; None of a link that nobody has clicked yet."""
    query = "&".join(f"{name}={quote(value)}" for name, value in params.items())
    try:
        answer = urlopen(Request(f"{CONSOLE}/api/v1/analytics/{path}?{query}", headers=HEADERS))  # noqa: S310 -- as configured
    except HTTPError as error:
        if error.code != NOT_FOUND:
            raise
        return None
    return json.load(answer)["data"]


if __name__ == "__main__":
    for address in ("203.0.113.7", "203.0.113.7", "203.0.113.8"):
        publish("lnk_42", address)
    today = datetime.now(UTC).date().isoformat()
    range_ = {"start_date": today, "end_date": today, "link_id": "lnk_42"}
    for path in ("overview", "links/lnk_42", "clicks", "countries", "devices", "referers"):
        print(json.dumps(read(path, **range_, limit="10", offset="0")))
    print(json.dumps(read("timeseries", **range_, interval="day")))
