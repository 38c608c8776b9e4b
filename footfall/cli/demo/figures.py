"""The same figures as Footfall answers them, over its API; bots included."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

from footfall.cli.console_client import Console
from footfall.cli.demo.truth import SLICE, Truth

_PAGE = 1000
TOP = 10


class CheckedTable(NamedTuple):
    """One table: what Footfall says and what is true, by label. `rest`: rows that are not shown."""

    title: str
    says: Counter[str]
    truth: Counter[str]
    by_time: bool = False

    @property
    def labels(self) -> list[str]:
        """All labels of both sides: by time, or the largest first."""
        every = {*self.says, *self.truth}
        if self.by_time:
            return sorted(every)
        return sorted(every, key=lambda label: (-max(self.says[label], self.truth[label]), label))

    @property
    def wrong(self) -> list[str]:
        """The labels on which the two sides differ."""
        return [label for label in self.labels if self.says[label] != self.truth[label]]


class UnixRange(NamedTuple):
    """From `start` to before `end`, Unix seconds."""

    start: int
    end: int

    def parameters(self) -> dict[str, str]:
        """As the API wants it."""
        return {"start_date": _iso(self.start), "end_date": _iso(self.end), "include_bots": "true"}


def range_of(truth: Truth) -> UnixRange:
    """The whole ten-minute slices that hold the file's clicks."""
    return UnixRange(min(truth.slices), max(truth.slices) + SLICE)


async def compare(server: Console, truth: Truth) -> list[CheckedTable]:
    """Ask for every figure of the demo."""
    asked = range_of(truth).parameters()
    overview = (await server.get("/api/v1/analytics/overview", **asked))["data"]
    totals = Counter({"clicks": overview["clicks"], "links": overview["links"]})
    return [
        CheckedTable("Totals", totals, Counter(clicks=truth.clicks, links=len(truth.links))),
        CheckedTable("Top links", await _links(server, asked), truth.links),
        CheckedTable("Countries", await _list(server, "countries", "country_code", asked), truth.countries),
        CheckedTable("Referrers", await _list(server, "referers", "referer_host", asked), truth.referrers),
        CheckedTable(
            "Browsers", await _list(server, "devices", "browser", asked | {"by": "browser"}), truth.browsers
        ),
        CheckedTable(
            "Clicks per 10 minutes", await _slices(server, truth), _named(truth.slices), by_time=True
        ),
    ]


async def _links(server: Console, asked: dict[str, str]) -> Counter[str]:
    """Clicks by link: counted from the list of all clicks; the top ones as the link's own report says."""
    events: list[dict[str, Any]] = []
    while True:
        answer = await server.get("/api/v1/analytics/clicks", **asked, limit=_PAGE, offset=len(events))
        events += answer["data"]
        if len(answer["data"]) < _PAGE:
            break
    by_id: Counter[str] = Counter(event["link_id"] for event in events)
    names = await link_names(server)
    for link_id, _ in by_id.most_common(TOP):
        report = await server.get(f"/api/v1/analytics/links/{link_id}", **asked, limit=1)
        by_id[link_id] = report["data"]["clicks"]
    return Counter({names.get(link_id, link_id): clicks for link_id, clicks in by_id.items()})


async def link_names(server: Console) -> dict[str, str]:
    """Each link as domain/code, by its id."""
    names: dict[str, str] = {}
    while True:
        answer = await server.get("/api/v1/links", limit=_PAGE, offset=len(names))
        names |= {link["id"]: f"{link['domain']}/{link['short_code']}" for link in answer["data"]}
        if len(answer["data"]) < _PAGE:
            return names


async def _list(server: Console, path: str, name: str, asked: dict[str, str]) -> Counter[str]:
    answer = await server.get(f"/api/v1/analytics/{path}", **asked, limit=_PAGE)
    clicks: Counter[str] = Counter()
    for row in answer["data"]:
        clicks[row[name]] += row["clicks"]
    return clicks


async def _slices(server: Console, truth: Truth) -> Counter[str]:
    says: Counter[int] = Counter()
    for start in sorted(truth.slices):
        asked = UnixRange(start, start + SLICE).parameters()
        says[start] = (await server.get("/api/v1/analytics/overview", **asked))["data"]["clicks"]
    return _named(says)


def _named(slices: Counter[int]) -> Counter[str]:
    return Counter({_iso(start)[:16].replace("T", " "): clicks for start, clicks in slices.items()})


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
