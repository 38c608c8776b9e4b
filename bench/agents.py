"""How many agents of large collections are read right: `python -m bench.agents FOLDER...`.

A folder is a checkout of matomo-org/device-detector (its `Tests/fixtures`), of faisalman/ua-parser-js (its
`test/data/ua/device`) or the npm package user-agents, unpacked. They are no part of this project.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from footfall.enrich.bots import classify
from footfall.enrich.user_agent import parse_user_agent

Agent = tuple[str, str]
"""The agent, and its kind: "bot" for robots, "" where the collection does not say."""

_OTHER = (
    "console", "car browser", "camera", "wearable", "smart display", "smart speaker", "peripheral", "xr",
    "embedded",
)  # fmt: skip
_MOBILE = ("smartphone", "feature phone", "phablet", "portable media player", "mobile")
_KINDS = dict.fromkeys(_OTHER, "other") | dict.fromkeys(_MOBILE, "mobile")
_KINDS |= {"tablet": "tablet", "tv": "tv", "smarttv": "tv", "desktop": "desktop"}
# Fetchers of feeds and podcasts are neither robots nor people there.
_NEITHER = {"feed_reader.yml", "podcasting.yml", "mediaplayer.yml", "unknown.yml"}


def read(folder: Path) -> Iterator[Agent]:
    """The agents of a collection."""
    for path in sorted(folder.glob("Tests/fixtures/*.yml")):
        entries: list[dict[str, Any]] = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        for entry in entries if path.name not in _NEITHER else ():
            kind = "bot" if "bot" in entry else _KINDS.get((entry.get("device") or {}).get("type"), "")
            yield entry["user_agent"], kind
    for path in sorted(folder.glob("test/data/ua/device/*.json")):
        for entry in json.loads(path.read_bytes()):
            yield entry["ua"], _KINDS.get(entry["expect"].get("type"), "")
    for path in folder.glob("package/dist/user-agents.json"):
        for entry in json.loads(path.read_bytes()):
            yield entry["userAgent"], _KINDS.get(entry["deviceCategory"], "")


def main() -> None:
    """Print the shares that are right, for each collection."""
    for folder in map(Path, sys.argv[1:]):
        agents = list(read(folder))
        total, right = Counter[str](), Counter[str]()
        for agent, kind in agents:
            who = "called bots, of bots" if kind == "bot" else "called bots, of people"
            total[who] += 1
            right[who] += classify(agent).is_bot
            if kind not in {"", "bot"}:
                total[kind] += 1
                right[kind] += parse_user_agent(agent, "").device_type == kind
        print(folder.name)
        for name, count in sorted(total.items()):
            print(f"  {name}: {right[name]:,} of {count:,} ({right[name] / count:.2%})")


if __name__ == "__main__":
    main()
