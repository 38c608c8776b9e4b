"""`footfall report`: the figures of a range as tables in the terminal."""

import asyncio
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console as Terminal
from rich.table import Table
from rich.text import Text

from footfall.cli.console_client import Console, console
from footfall.cli.options import Data, End, Key, Start, Timezone, Url
from footfall.settings import load

_LISTS: tuple[tuple[str, str, tuple[str, ...], dict[str, str]], ...] = (
    ("Links", "links", ("short_code",), {}),
    ("Countries", "countries", ("country",), {}),
    ("Referrers", "referers", ("referer_host", "channel"), {}),
    ("Browsers", "devices", ("browser",), {"by": "browser"}),
    ("Devices", "devices", ("device_type",), {"by": "device_type"}),
)


def report(
    *,
    start: Start = None,
    end: End = None,
    timezone: Timezone = None,
    include_bots: Annotated[bool, Parameter(negative=(), help="Count bots too.")] = False,
    limit: Annotated[int, Parameter(help="Rows in each list.")] = 10,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the overview and the top lists of a range.

    Asks the server that runs on the data directory, or at --url; where none runs, it opens the
    data itself.
    """
    parameters = {
        "start_date": start,
        "end_date": end,
        "timezone": timezone,
        "include_bots": "true" if include_bots else None,
    }
    asyncio.run(_report(parameters, limit, data, url, key))


async def _report(
    parameters: dict[str, Any], limit: int, data: Data, url: str | None, key: str | None
) -> None:
    async with console(load(data=data), url, key) as server:
        overview = await server.get("/api/v1/analytics/overview", **parameters)
        lists = [
            (title, names, await _rows(server, path, parameters | extra, limit))
            for title, path, names, extra in _LISTS
        ]
    terminal = Terminal()
    meta = overview["meta"]
    asked = meta["query"]
    bots = "included" if include_bots(meta) else "left out"
    terminal.print(f"{asked['start']} to {asked['end']} ({asked['timezone']}), bots {bots}", highlight=False)
    table = Table(*overview["data"])
    table.add_row(*(f"{value:,}" for value in overview["data"].values()))
    terminal.print(table)
    for title, names, rows in lists:
        table = Table(*names, title=title, title_justify="left")
        table.add_column("clicks", justify="right")
        table.add_column("visitors", justify="right")
        for row in rows:
            labels = (Text(row[name] or "unknown") for name in names)
            table.add_row(*labels, f"{row['clicks']:,}", f"{row['visitors']:,}")
        terminal.print(table)
    for warning in meta["warnings"]:
        terminal.print(f"Note: {warning}", style="dim", markup=False)


def include_bots(meta: dict[str, Any]) -> bool:
    """Whether an answer counted bots."""
    return meta["bots"] == "included"


async def _rows(server: Console, path: str, parameters: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    answer = await server.get(f"/api/v1/analytics/{path}", **parameters, limit=limit)
    return answer["data"]
