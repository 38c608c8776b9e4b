"""`footfall import clicks`: sends a file of clicks to the console, chunk by chunk."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter
from rich.console import Console as Terminal
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from footfall.cli_client import Console, console
from footfall.cli_roles import Data
from footfall.errors import Retryable
from footfall.imports.chunk import MAX_LINES
from footfall.imports.reader import Chunk, open_input, read_chunks
from footfall.settings import load
from footfall.terminal import warn

Url = Annotated[str | None, Parameter(help="The console's URL, for a server elsewhere.")]
Key = Annotated[str | None, Parameter(env_var="FOOTFALL_KEY", help="A key with the scope admin, with --url.")]

_SHOWN = 20  # refused lines that are shown with their reason
_ATTEMPTS = 100  # for one chunk; each waits as long as the server asks

app = App(name="import", help="Bring in what was recorded elsewhere.")
terminal = Terminal(stderr=True)


@app.command
def clicks(
    file: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="One click a line; may be gzip; - for standard input.")
    ],
    /,
    *,
    format: Annotated[Literal["bitly"], Parameter(help="How the lines are written.")],  # noqa: A002 -- as the option
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Import a file of clicks.

    The clicks keep their times and places. Links that are missing are made. The same file can be
    imported again: what is there already is not added twice.
    """
    asyncio.run(import_file(file, format, data=data, url=url, key=key))


async def import_file(
    file: str, format_name: str, *, data: Path | None = None, url: str | None = None, key: str | None = None
) -> Counter[str]:
    """What the command does; returns the counts it shows. Raises Invalid when the file cannot be read."""
    raw, size = open_input(file, cast("BufferedReader", sys.stdin.buffer))
    totals: Counter[str] = Counter()
    refused: list[tuple[int, str]] = []
    try:
        with raw:
            async with console(load(data=data), url, key, create=True) as server:
                with _progress(size) as advance:
                    for chunk in read_chunks(raw, MAX_LINES):
                        result = await _send(server, format_name, chunk)
                        _count(totals, refused, chunk, result)
                        advance(chunk.position, totals["lines"])
    finally:
        # Also when it was broken off: what is in stays in.
        if totals:
            _show(totals, refused)
    return totals


async def _send(server: Console, format_name: str, chunk: Chunk) -> dict[str, Any]:
    body = {"format": format_name, "lines": chunk.lines, "occurrences": chunk.occurrences}
    for _ in range(_ATTEMPTS):
        try:
            return await server.post("/api/v1/imports/clicks", body)
        except Retryable as error:
            terminal.print(f"waiting: {error}", style="dim", markup=False, soft_wrap=True)
            await asyncio.sleep(error.retry_after)
    raise Retryable("the server did not take the lines; run the import again later to continue")


def _count(
    totals: Counter[str], refused: list[tuple[int, str]], chunk: Chunk, result: dict[str, Any]
) -> None:
    totals["lines"] += len(chunk.lines)
    totals["imported"] += result["accepted"]
    totals["there already"] += result["present"]
    totals["links made"] += result["links_created"]
    for reason, count in result["rejected"].items():
        totals[f"refused: {reason}"] += count
    refused += [
        (chunk.numbers[problem["index"]], problem["detail"])
        for problem in result["problems"][: _SHOWN - len(refused)]
    ]


def _show(totals: Counter[str], refused: list[tuple[int, str]]) -> None:
    for number, detail in refused:
        warn(f"line {number}: {detail}")
    more = totals["refused: bad_line"] - len(refused)
    if refused and more > 0:
        warn(f"... and {more} more bad lines")
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in totals.items():
        table.add_row(name, f"{count:,}")
    Terminal().print(table)


@contextmanager
def _progress(size: int) -> Generator[Callable[[int, int], None]]:
    """Gives a function (position in the file, lines so far) that moves the bar."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn()) if size else (SpinnerColumn(),)
    with Progress(*columns, TextColumn("{task.fields[lines]:,} lines"), console=terminal) as progress:
        task = progress.add_task("import", total=size or None, lines=0)

        def advance(position: int, lines: int) -> None:
            progress.update(task, completed=position, lines=lines)

        yield advance
