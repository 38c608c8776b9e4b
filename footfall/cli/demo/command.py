"""`footfall demo`: one run from an empty directory to checked figures and live traffic."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console as Terminal
from rich.table import Table
from rich.text import Text

from footfall.cli import import_files
from footfall.cli.console_client import Console, console
from footfall.cli.demo import directory, figures, live, sample
from footfall.cli.demo.server import Server, serving
from footfall.cli.demo.truth import Truth, count
from footfall.cli.terminal import say
from footfall.settings import load

_ARRIVAL = 60.0  # seconds for the import to reach the store


def demo(
    *,
    as_is: Annotated[
        bool, Parameter(negative=(), help="Keep the clicks in 2012, where they are from.")
    ] = False,
    once: Annotated[
        bool,
        Parameter(negative=(), help="Stop after printing, with status 1 if a figure differs; also ONCE=1."),
    ] = False,
    sample_file: Annotated[Path | None, Parameter("--sample", help="The file of clicks to use.")] = None,
) -> int:
    """Import an hour of real clicks, check every figure, send live traffic, and keep serving.

    Uses the directory .demo-data, which is emptied first.
    """
    source = sample.find(sample_file)
    directory.empty(directory.DIRECTORY)
    # Not cyclopts' env_var: make hands on an empty ONCE, which is no bool.
    once = once or os.environ.get("ONCE", "") not in {"", "0"}
    return asyncio.run(_demo(source, as_is=as_is, once=once))


async def _demo(source: Path, *, as_is: bool, once: bool) -> int:
    began = time.perf_counter()
    clicks = directory.DIRECTORY / "clicks.jsonl"
    sample.write_moved(source, clicks, None if as_is else int(time.time()))
    truth = count(clicks)
    say(f"The file has {truth.clicks:,} clicks and {truth.heartbeats} heartbeats, which are no clicks.")
    async with serving(directory.DIRECTORY) as server:
        say(f"The server runs after {time.perf_counter() - began:.1f} s. Importing:")
        imported = await import_files.import_file(str(clicks), "bitly", url=server.console, key=server.key)
        async with console(load(data=directory.DIRECTORY), server.console, server.key) as api:
            seconds = await _wait_for(api, truth, imported["imported"])
            say(f"All clicks were in the reports {seconds:.1f} s after the import.")
            wrong = _show(await figures.compare(api, truth))
            arrivals = await live.send_and_watch(server, api)
        for each in arrivals:
            say(f"{each.seen} of {each.sent} {each.what} were in the reports after {each.seconds:.2f} s.")
        missing = [each for each in arrivals if each.seen != each.sent]
        if not once:
            _show_urls(server)
            await _serve_until_interrupted()
    if once:
        again = f"footfall report --data {directory.DIRECTORY} --include-bots"
        say(f"\nThe server has stopped. Its figures: {again}")
    if wrong:
        say(f"{wrong} figures differ.")
    return 1 if wrong or missing else 0


async def _serve_until_interrupted() -> None:
    """Returns on Ctrl-C, which is the normal end here."""
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    say("Serving until Ctrl-C.")  # only now: who reads it may act at once
    await event.wait()


async def _wait_for(api: Console, truth: Truth, imported: int) -> float:
    """Seconds until the reports have all imported clicks, or until it is in vain."""
    began = time.perf_counter()
    asked = figures.range_of(truth).parameters()
    while True:
        clicks = (await api.get("/api/v1/analytics/overview", **asked))["data"]["clicks"]
        seconds = time.perf_counter() - began
        if clicks >= imported or seconds > _ARRIVAL:
            return seconds
        await asyncio.sleep(0.05)


def _show(found: list[figures.CheckedTable]) -> int:
    """Print the tables; returns how many rows differ, also of those that are not shown."""
    terminal = Terminal()
    terminal.print(
        "\nFootfall's figures, bots included, beside those counted from the file by plain Python\n"
        "(browsers: named by the same parser, counted independently):\n"
    )
    for figure in found:
        wrong = figure.wrong
        shown = figure.labels if figure.by_time else figure.labels[: figures.TOP]
        table = Table("", title=figure.title, title_justify="left")
        table.add_column("Footfall", justify="right")
        table.add_column("file", justify="right")
        table.add_column("")
        for label in (*shown, *(label for label in wrong if label not in shown)):
            mark = Text("differs", style="bold red") if label in wrong else Text("=", style="green")
            row = (figure.says[label], figure.truth[label])
            table.add_row(Text(label or "unknown"), *(f"{number:,}" for number in row), mark)
        terminal.print(table)
        more = len(figure.labels) - len(shown)
        if more > 0 and not wrong:
            terminal.print(f"and {more:,} more rows, all equal", style="dim", highlight=False)
        terminal.print()
    return sum(len(figure.wrong) for figure in found)


def _show_urls(server: Server) -> None:
    say(
        f"\nDoor      {server.door}\nConsole   {server.console}\nKey       {server.key}\n"
        f"Try       curl '{server.console}/api/v1/analytics/countries?include_bots=true' "
        f"-H 'Authorization: Bearer {server.key}'\n"
    )
