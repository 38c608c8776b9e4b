"""What the benchmarks send: events and clicks made from the real clicks of examples/data."""

import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bench.load import http_request

CLICKS = Path(__file__).parent.parent / "examples" / "data" / "usagov_clicks.jsonl"


@cache
def real_clicks() -> Sequence[dict[str, Any]]:
    """The clicks of the file, without its heartbeats."""
    rows = [json.loads(line) for line in CLICKS.read_text().splitlines()]
    return [row for row in rows if "h" in row]


def event(rng: random.Random) -> dict[str, Any]:
    """A page view as a server-side sender would report it, made from one real click."""
    row = rng.choice(real_clicks())
    result: dict[str, Any] = {
        "event_type": "page_view",
        "page_url": row["u"],
        "visitor_id": f"v{rng.randrange(200_000)}",
        "properties": {"nk": row.get("nk", 0), "g": row["g"]},
    }
    if row["r"] != "direct":
        result["referrer"] = row["r"]
    if "al" in row:
        result["language"] = row["al"].split(",")[0][:35]
    return result


def posts(key: str, *, events: int = 20, distinct: int = 400, seed: int = 1) -> Sequence[bytes]:
    """`distinct` POSTs of `events` events each, from senders with the user agents of the file."""
    rng = random.Random(seed)
    made = []
    for _ in range(distinct):
        body = json.dumps({"events": [event(rng) for _ in range(events)]}).encode()
        agent = rng.choice(real_clicks())["a"]
        headers = {
            "host": "localhost",
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "user-agent": agent,
        }
        made.append(http_request("POST", "/v1/events", headers, body))
    return made


def gets(codes: Sequence[str], *, distinct: int = 2000, seed: int = 1) -> Sequence[bytes]:
    """Visits to short links with the user agents and referrers of the file; popular codes are popular."""
    rng = random.Random(seed)
    made = []
    for _ in range(distinct):
        row = rng.choice(real_clicks())
        code = codes[min(int(rng.paretovariate(1.1)) - 1, len(codes) - 1)]
        headers = {"host": "localhost", "user-agent": row["a"], "accept-language": row.get("al", "en")}
        if row["r"] != "direct":
            headers["referer"] = row["r"]
        made.append(http_request("GET", f"/{code}", headers))
    return made
