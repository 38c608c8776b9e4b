"""`footfall retention`: what is deleted when, as a table in the terminal, before it is."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from footfall.cli.console_client import console
from footfall.cli.options import Data, Key, Url
from footfall.cli.sites import named, site_id, site_names
from footfall.cli.tables import add, table, terminal
from footfall.errors import Invalid
from footfall.settings import load

_PATH = "/api/v1/retention"
_FOREVER = 0  # as the API says it


def retention(
    *,
    plan: Annotated[  # noqa: ARG001 - showing the plan is all that this does without --site; said for clarity
        bool, Parameter(negative="", help="Show what is deleted when. [default]")
    ] = True,
    site: Annotated[str | None, Parameter(help="Set --raw-days of this site: its id or its name.")] = None,
    raw_days: Annotated[
        str | None,
        Parameter(help="Keep its raw events so many days; or forever; or default: as in the settings."),
    ] = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show which raw events are deleted when, by the month and site; nothing is deleted by this.

    A month of a site is announced the night after its youngest event is old enough, and deleted the next
    night; its rollups stay. Asks the server that runs on the data directory, or at --url; where none runs,
    it opens the data itself.
    """
    if (site is None) != (raw_days is None):
        raise Invalid("--site and --raw-days go together", field="site")
    asyncio.run(_retention(site, _days(raw_days), data, url, key))


def _days(text: str | None) -> int | None:
    if text in (None, "default"):
        return None
    if text == "forever":
        return _FOREVER
    if not text.isdecimal() or not int(text):
        raise Invalid('--raw-days must be a number of days from 1, "forever" or "default"', field="raw_days")
    return int(text)


async def _retention(
    site: str | None, days: int | None, data: Data, url: str | None, key: str | None
) -> None:
    async with console(load(data=data), url, key) as server:
        if site is not None:
            body = {"site_id": await site_id(server, site), "raw_days": days}
            answer = await server.put(_PATH, body)
        else:
            answer = await server.get(_PATH)
        names = await site_names(server)
    shown = terminal()
    shown.print(_table(answer["data"], names))
    meta = answer["meta"]
    for what, kept in (("raw events", meta["raw_days"]), ("rollups", meta["rollup_days"])):
        shown.print(f"{what}: {'forever' if kept is None else f'{kept:g} days'}", highlight=False)
    for warning in meta["warnings"]:
        shown.print(f"Note: {warning}", style="dim", markup=False)


def _table(months: list[dict[str, Any]], names: Mapping[str, str]) -> Table:
    made = table("month", "site", "events", "deleted after", "", right=("events",))
    for each in months:
        words = "announced next night, deleted the one after" if each["due"] else ""
        if each["announced"]:
            words = f"next night (announced {each['announced'][:10]})"
        if each["unsliced"] and not each["due"]:
            words = f"{each['unsliced']:,} not in the rollups yet"
        after = (each["deleted_after"] or "never")[:16].replace("T", " ")  # to the minute, UTC
        add(made, each["month"], named(each["site_id"], names), each["events"], after, words or None)
    return made
