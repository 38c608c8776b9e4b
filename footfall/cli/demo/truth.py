"""The figures of the demo, counted from the file by plain Python, with nothing of Footfall.

One exception: what a browser is called. Names are not figures, so the distinct user agents go
through Footfall's own parser, and only the counting is independent.
"""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from footfall.enrich.user_agent import parse_user_agent

SLICE = 600  # seconds


class Truth(NamedTuple):
    """Clicks by each thing; `slices` by the start of the ten minutes (Unix seconds), without gaps."""

    clicks: int
    heartbeats: int
    links: Counter[str]  # "domain/code"
    countries: Counter[str]  # code, "" for unknown
    referrers: Counter[str]  # host, "direct" for none
    browsers: Counter[str]  # "" for unknown
    slices: Counter[int]


def count(path: Path) -> Truth:
    """Count the lines of a file in bitly's format."""
    links: Counter[str] = Counter()
    countries: Counter[str] = Counter()
    referrers: Counter[str] = Counter()
    agents: Counter[str] = Counter()
    slices: Counter[int] = Counter()
    heartbeats = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            click = json.loads(line)
            if "_heartbeat_" in click:
                heartbeats += 1
                continue
            links[f"{click['hh']}/{click['h']}"] += 1
            countries[click.get("c") or ""] += 1
            referrers[_referrer(click["r"])] += 1
            agents[click["a"]] += 1
            slices[click["t"] // SLICE * SLICE] += 1
    browsers: Counter[str] = Counter()
    for agent, clicks in agents.items():
        browsers[parse_user_agent(agent, "").browser] += clicks
    for start in range(min(slices), max(slices), SLICE):
        slices[start] += 0
    return Truth(links.total(), heartbeats, links, countries, referrers, browsers, slices)


def _referrer(url: str) -> str:
    host = "" if url == "direct" else (urlsplit(url).hostname or "")
    return host.removeprefix("www.") or "direct"
