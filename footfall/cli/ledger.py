"""`footfall ledger`: what became of every event received, as a table in the terminal."""

import asyncio
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from footfall.cli.console_client import console
from footfall.cli.options import Data, End, Key, Start, Timezone, Url
from footfall.cli.sites import named, site_id, site_names
from footfall.cli.tables import terminal
from footfall.settings import load

_BY_REASON = frozenset({"rejected", "dropped"})


def ledger(
    *,
    start: Start = None,
    end: End = None,
    timezone: Timezone = None,
    site: Annotated[str | None, Parameter(help="Only this site: its id or its name.")] = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Show what became of every event received, and whether the books balance.

    Exit status 1 when they don't. Days are those on which the events were received. Asks the
    server that runs on the data directory, or at --url; where none runs, it opens the data itself.
    """
    parameters = {"start_date": start, "end_date": end, "timezone": timezone}
    return asyncio.run(_ledger(parameters, site, data, url, key))


async def _ledger(
    parameters: dict[str, Any], site: str | None, data: Data, url: str | None, key: str | None
) -> int:
    async with console(load(data=data), url, key) as server:
        only = None if site is None else await site_id(server, site, gone=True)
        answer = await server.get("/api/v1/ledger", **parameters, site_id=only)
        names = await site_names(server)
    books, meta = answer["data"], answer["meta"]
    shown = terminal()
    asked = meta["query"]
    shown.print(f"received {asked['start']} to {asked['end']} ({asked['timezone']})", highlight=False)
    shown.print(_table(books))
    for wrong in books["imbalances"]:
        shown.print(
            f"{wrong['hour']} site {named(wrong['site_id'], names)}: {wrong['line']} {wrong['expected']:,}, "
            f"found {wrong['found']:,}",
            markup=False,
            highlight=False,
        )
    shown.print("balanced" if books["balanced"] else "NOT balanced")
    for warning in meta["warnings"]:
        shown.print(f"Note: {warning}", style="dim", markup=False)
    return 0 if books["balanced"] else 1


def _table(books: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("received", f"{books['received']:,}", style="bold")
    if books["backfilled"]:
        table.add_row("  of them imported", f"{books['backfilled']:,}", style="dim")
    if books["adjusted"]:
        words = "  of them stored at the time of receipt, not at their own"
        table.add_row(words, f"{books['adjusted']:,}", style="dim")
    table.add_section()
    for name in ("stored", "duplicate", "rejected", "dead_lettered", "dropped", "lost", "in_flight"):
        by_reason: dict[str, int] = books[name] if name in _BY_REASON else {}
        total = sum(by_reason.values()) if name in _BY_REASON else books[name]
        table.add_row(name.replace("_", " "), f"{total:,}")
        for reason, count in by_reason.items():
            table.add_row(Text(f"  {reason}"), f"{count:,}", style="dim")
    return table
