"""The demo's second half: clicks and events of right now, and how long until they are in the reports."""

import asyncio
import time
from typing import NamedTuple

import httpx

from footfall.cli.console_client import Console
from footfall.cli.demo.server import Server
from footfall.errors import FootfallError
from footfall.model.times import Seconds

CLICKS = 20
EVENTS = 30

_EVENT_TYPE = "demo_signup"
_PATIENCE = 30.0
_BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0"  # no bot, so it is counted
)


class Arrival(NamedTuple):
    """How many of `sent` were in the reports `seconds` after the last was acknowledged."""

    what: str
    sent: int
    seen: int
    seconds: Seconds


async def send_and_watch(server: Server, console: Console) -> list[Arrival]:
    """Click a new link, send events, and watch both arrive."""
    link = await console.post("/api/v1/links", {"url": "https://example.org/", "title": "Made by the demo"})
    headers = {"User-Agent": _BROWSER, "Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.door, headers=headers, trust_env=False) as http:
        await _click(http, link["short_code"])
        clicked = time.perf_counter()
        await _send_events(http)
        sent = time.perf_counter()
    path, events = f"/api/v1/analytics/links/{link['id']}", "/api/v1/analytics/overview"
    return list(
        await asyncio.gather(
            _watch(console, "clicks on a new link", CLICKS, clicked, path, "clicks", {}),
            _watch(console, "events", EVENTS, sent, events, "events", {"event_type": _EVENT_TYPE}),
        )
    )


async def _click(http: httpx.AsyncClient, code: str) -> None:
    for _ in range(CLICKS):
        answer = await http.get(f"/{code}")
        if answer.status_code != 302:
            raise FootfallError(f"the door answered a click on /{code} with {answer.status_code}")


async def _send_events(http: httpx.AsyncClient) -> None:
    events = [{"event_type": _EVENT_TYPE, "properties": {"number": number}} for number in range(EVENTS)]
    answer = await http.post("/v1/events", json={"events": events})
    if answer.status_code != 202 or answer.json()["accepted"] != EVENTS:
        raise FootfallError(f"the door answered the events with {answer.status_code}: {answer.text[:500]}")


async def _watch(
    console: Console, what: str, sent: int, since: float, path: str, name: str, asked: dict[str, str]
) -> Arrival:
    while True:
        answer = await console.get(path, **asked)
        seen, seconds = answer["data"][name], time.perf_counter() - since
        if seen >= sent or seconds > _PATIENCE:
            return Arrival(what, sent, seen, seconds)
        await asyncio.sleep(0.05)
