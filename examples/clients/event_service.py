"""An event service's page script, and the statistics that its pages show."""

import json
import os
from datetime import UTC, datetime
from urllib.request import Request, urlopen

DOOR, CONSOLE, KEY = (os.environ[name] for name in ("DOOR", "CONSOLE", "KEY"))
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:135.0) Gecko/20100101 Firefox/135.0"


def beacon(event_type: str, **properties: object) -> dict[str, int]:
    """As navigator.sendBeacon does: text, without a key and without naming the site."""
    event = {
        "event_type": event_type, "occurred_at": datetime.now(UTC).isoformat(), "session_id": "s_abc123",
        "visitor_id": "v_xyz789", "page_url": "https://shop.example/post/123", "page_path": "/post/123",
        "referrer_domain": "news.ycombinator.com", "properties": properties,
    }  # fmt: skip
    headers = {"Content-Type": "text/plain", "Origin": "https://shop.example", "User-Agent": BROWSER}
    body = json.dumps({"events": [event]}).encode()
    return json.load(urlopen(Request(f"{DOOR}/v1/events", body, headers)))  # noqa: S310 -- as configured


def stats(path: str) -> list[dict[str, object]]:
    """The rows of one statistic."""
    headers = {"Authorization": f"Bearer {KEY}"}
    return json.load(urlopen(Request(f"{CONSOLE}/v1/stats/{path}", headers=headers)))["data"]  # noqa: S310 -- as configured


if __name__ == "__main__":
    widget = {"mapping_id": 456, "post_id": 123, "device_slug": "iphone-15-pro"}
    print(beacon("widget_impression", **widget, widget_index=0, viewport_percent=100))
    print(beacon("widget_click", **widget, click_target="buy_button"))
    print(beacon("device_page_view", device_id="d1", view_source="widget_click", referrer_mapping_id=456))
    today = datetime.now(UTC).date()
    print(json.dumps(stats(f"widgets?from={today}&to={today}&mapping_id=456")))
    print(json.dumps(stats(f"posts?from={today}&to={today}&post_id=123")))
    print(json.dumps(stats(f"timeseries?from={today}&to={today}&interval=day&event_type=widget_impression")))
