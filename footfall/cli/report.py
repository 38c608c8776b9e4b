"""`footfall report`: the figures of a range as tables in the terminal."""

import asyncio
from calendar import monthrange
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter
from rich.table import Table

from footfall.cli.console_client import Console, console
from footfall.cli.options import Data, End, Key, Start, Timezone, Url
from footfall.cli.sites import site_id
from footfall.cli.tables import add, table, terminal
from footfall.model.money import in_units
from footfall.settings import load


class _List(NamedTuple):
    """A top list: the report that has it, and its columns."""

    title: str
    path: str
    names: tuple[str, ...]
    figures: tuple[str, ...] = ("clicks", "visitors")
    by: str = ""


_LISTS = (
    _List("Links", "links", ("short_code", "title")),
    _List("Pages", "pages", ("page_path",), ("pageviews", "visitors")),
    _List("Campaigns", "utm-campaigns", ("utm_campaign",), ("visitors", "clicks", "pageviews")),
    _List("Events", "events", ("event_type",), ("events", "visitors")),
    _List("Countries of clicks", "countries", ("country",)),
    _List("Referrers of clicks", "referers", ("referer_host", "channel")),
    _List("Browsers of clicks", "devices", ("browser",), by="browser"),
    _List("Devices of clicks", "devices", ("device_type",), by="device_type"),
)
_CONVERSIONS = {
    "metrics": ["conversions", "visitors", "revenue"],
    "dimensions": ["property:name"],
    "filters": [["is", "event_type", ["conversion"]]],
    "order_by": [["conversions", "desc"]],
}


class _Asked(NamedTuple):
    """What a report is about."""

    parameters: dict[str, Any]
    limit: int


def report(
    *,
    start: Start = None,
    end: End = None,
    timezone: Timezone = None,
    site: Annotated[str | None, Parameter(help="Only this site: its id or its name.")] = None,
    include_bots: Annotated[bool, Parameter(negative=(), help="Count bots too.")] = False,
    limit: Annotated[int, Parameter(help="Rows in each list.")] = 10,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the overview and the top lists of a range: links, pages, campaigns, events, conversions.

    Asks the server that runs on the data directory, or at --url; where none runs, it opens the
    data itself.
    """
    parameters = {
        "start_date": start,
        "end_date": end,
        "timezone": timezone,
        "include_bots": "true" if include_bots else None,
    }
    asyncio.run(_report(_Asked(parameters, limit), site, data, url, key))


async def _report(asked: _Asked, site: str | None, data: Data, url: str | None, key: str | None) -> None:
    async with console(load(data=data), url, key) as server:
        if site is not None:
            asked.parameters["site_id"] = await site_id(server, site, gone=True)
        overview = await server.get("/api/v1/analytics/overview", **asked.parameters)
        figures, meta = overview["data"], overview["meta"]
        if any(count for name, count in figures.items() if name != "bots"):
            tables = [await _top(server, each, asked) for each in _LISTS]
            tables.append(await _conversions(server, asked, meta))
            hint = ""
        else:
            tables = []
            hint = await _where_events_are(server, asked, figures["bots"])
    shown, query = terminal(), meta["query"]
    bots = "included" if include_bots(meta) else "left out"
    shown.print(f"{query['start']} to {query['end']} ({query['timezone']}), bots {bots}", highlight=False)
    first = table(*figures)
    add(first, *figures.values())
    for each in (first, *tables):
        if each.row_count:
            shown.print(each)
    if hint:
        shown.print(hint, markup=False, highlight=False)
    for warning in meta["warnings"]:
        shown.print(f"Note: {warning}", style="dim", markup=False)


def include_bots(meta: dict[str, Any]) -> bool:
    """Whether an answer counted bots."""
    return meta["bots"] == "included"


async def _top(server: Console, each: _List, asked: _Asked) -> Table:
    """The table of a list, without rows of nothing but zeros."""
    parameters = asked.parameters | ({"by": each.by} if each.by else {})
    answer = await server.get(f"/api/v1/analytics/{each.path}", **parameters, limit=asked.limit)
    made = table(*each.names, *each.figures, title=each.title, right=each.figures)
    for row in answer["data"]:
        if any(row[name] for name in each.figures):
            labels = (row[name] or (None if name == "title" else "unknown") for name in each.names)
            add(made, *labels, *(row[name] for name in each.figures))
    return made


async def _conversions(server: Console, asked: _Asked, meta: dict[str, Any]) -> Table:
    """Conversions by name: their number, visitors, and revenue by currency."""
    question: dict[str, Any] = _CONVERSIONS | {
        "date_range": [meta["query"]["start"], meta["query"]["end"]],
        "timezone": meta["query"]["timezone"],
        "include": {"bots": include_bots(meta)},
        "pagination": {"limit": asked.limit},
        "site_id": asked.parameters.get("site_id"),
    }
    answer = await server.post("/v1/query", question)
    figures = ("conversions", "visitors", "revenue")
    made = table("name", *figures, title="Conversions", right=figures)
    for row in answer["results"]:
        count, visitors, revenue = row["metrics"]
        amounts = [_money(currency, minor) for currency, minor in revenue.items()]
        add(made, row["dimensions"][0] or "unknown", count, visitors, amounts)
    return made


async def _where_events_are(server: Console, asked: _Asked, bots: int) -> str:
    """What to try where the range has nothing to show."""
    if bots:
        return f"Only bots came, {bots:,} events of them; try --include-bots"
    question: dict[str, Any] = {
        "metrics": ["events"],
        "date_range": "all",
        "dimensions": ["time:month"],
        "include": {"bots": True},
        "site_id": asked.parameters.get("site_id"),
    }
    answer = await server.post("/v1/query", question)
    months = sorted(row["dimensions"][0][:7] for row in answer["results"] if row["metrics"][0])
    if not months:
        return "No events are recorded yet."
    year, month = map(int, months[-1].split("-"))
    first, last = f"{months[0]}-01", f"{months[-1]}-{monthrange(year, month)[1]}"
    return f"Events exist from {months[0]} to {months[-1]}; try --start {first} --end {last}"


def _money(currency: str, minor: int) -> str:
    return f"{in_units(currency, minor):,} {currency}".strip()
