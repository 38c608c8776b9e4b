"""`footfall import`: sends files to the console, chunk by chunk."""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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

from footfall.cli.console_client import Console, console
from footfall.cli.options import Data, Key, Url
from footfall.cli.sites import site_id
from footfall.cli.terminal import warn
from footfall.errors import Invalid, Retryable
from footfall.imports.access_log.lines import LineReader
from footfall.imports.clicks.chunk import MAX_LINES
from footfall.imports.follow import follow
from footfall.imports.reader import Chunk, files_in
from footfall.imports.reader_process import open_chunks
from footfall.model.reasons import Reason
from footfall.settings import load

File = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True,
        help="The file, also compressed (gz, bz2, xz, zst); - for standard input.",
    ),
]
Again = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Look at lines that were imported before, too: after a link was made, for example. Only "
        "while their events are kept: later they would be added twice.",
    ),
]

_SHOWN = 20  # refused lines that are shown with their reason
_ATTEMPTS = 100  # for one chunk; each waits as long as the server asks
_IN_FLIGHT = 2  # chunks: one is read by the server while another is compared and made durable

# Lines of an access log that are as they should be, and yet no events.
_SKIPPED = {Reason.METHOD, Reason.STATUS, Reason.ASSET, Reason.DIRECTIVE}

app = App(name="import", help="Bring in what was recorded elsewhere.")
terminal = Terminal(stderr=True)


@dataclass
class Upload:
    """What is sent with each chunk, and where to.

    `identity`: what makes lines identical. `count`: the figures of a chunk's result.
    """

    path: str
    fields: dict[str, Any]
    identity: Callable[[str], bytes]
    count: Callable[[dict[str, Any]], dict[str, int]]
    totals: Counter[str] = field(default_factory=Counter[str])
    times: list[str] = field(default_factory=list[str])
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    file: str = ""  # the one that is read, where there are several

    def anew(self) -> "Upload":
        """Nothing is known of the next file's lines."""
        if isinstance(self.identity, LineReader):
            self.identity = LineReader(self.fields.get("format", ""))
        return self


@app.command
def clicks(
    file: File,
    /,
    *,
    format: Annotated[Literal["bitly"], Parameter(help="How the lines are written.")],  # noqa: A002 -- as the option
    again: Again = False,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Import a file of clicks, one a line.

    The clicks keep their times and places. Links that are missing are made. The same file can be
    imported again: what is there already is not added twice.
    """
    asyncio.run(import_file(file, format, again=again, data=data, url=url, key=key))


@app.command
def access_log(
    *files: Annotated[
        str,
        Parameter(
            name="FILES",
            allow_leading_hyphen=True,
            help="Files, also compressed (gz, bz2, xz, zst), or directories of them; - for standard input.",
        ),
    ],
    site: Annotated[str, Parameter(help="The site that the pages belong to: its id or its name.")],
    origin: Annotated[
        str,
        Parameter(
            help="Where the site is, as in https://www.example.com. [default: as the log or site says]"
        ),
    ] = "",
    format: Annotated[  # noqa: A002 -- as the option
        str,
        Parameter(
            help="nginx's log_format or Apache's LogFormat, as it stands in the configuration, or 'haproxy "
            "{Host|User-Agent}' with the captured headers. [default: as each line looks]"
        ),
    ] = "",
    page: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            help="What is a page although it looks like a file: an extension (pdf) or paths (/wiki/*).",
        ),
    ] = (),
    follow: Annotated[
        bool,
        Parameter(name=("--follow", "-f"), negative=(), help="Go on with the lines that come, until Ctrl-C."),
    ] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only show what would be added.")] = False,
    again: Again = False,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Import a web server's access log.

    Formats that are known by themselves: combined and its relatives, JSON, the W3C's (IIS, CloudFront), and
    those of HAProxy, Envoy and AWS's load balancers; syslog and containers may have written in front.

    Requests that a short link redirected become clicks, pages page views; files, errors and other
    methods are skipped. What was received live, or imported before, is not added again. Addresses
    are used for country and device, and not kept.
    """
    if not files:
        raise Invalid("name a file, a directory, or - for standard input", field="FILES")
    options = {"origin": origin, "format": format, "pages": list(page), "dry_run": dry_run, "again": again}
    asyncio.run(import_access_logs(files, site, follow_it=follow, data=data, url=url, key=key, **options))


async def import_file(
    file: str,
    format_name: str,
    *,
    again: bool = False,
    data: Path | None = None,
    url: str | None = None,
    key: str | None = None,
) -> Counter[str]:
    """What `clicks` does; returns the counts it shows. Raises Invalid when the file cannot be read."""
    fields = {"format": format_name, "again": again}
    upload = Upload("/api/v1/imports/clicks", fields, str.encode, _of_clicks)
    with open_chunks(file, _stdin(), MAX_LINES, upload.identity) as source:
        async with console(load(data=data), url, key, create=True) as server:
            try:
                await _send_file(server, source, upload)
            finally:
                if upload.totals:
                    _show(upload)
    return upload.totals


async def import_access_log(file: str, site: str, **options: Any) -> Counter[str]:
    """What `access-log` does with one file."""
    return await import_access_logs((file,), site, **options)


async def import_access_logs(
    paths: Sequence[str],
    site: str,
    *,
    follow_it: bool = False,
    data: Path | None = None,
    url: str | None = None,
    key: str | None = None,
    **options: Any,
) -> Counter[str]:
    """What `access-log` does; `options` go with each chunk. Raises Invalid also for an unknown site."""
    count = _of_dry_run if options.get("dry_run") else _of_access_log
    files = [file for path in paths for file in files_in(path)]
    if follow_it and (len(files) > 1 or files == ["-"]):
        raise Invalid("follows one file", field="--follow")
    identity = LineReader(options.get("format", ""))
    upload = Upload("/api/v1/imports/access-log", options, identity, count)
    async with console(load(data=data), url, key, create=True) as server:
        upload.fields["site_id"] = await site_id(server, site)
        try:
            for file in files:
                upload.file = file if len(files) > 1 else ""
                with _open(file, upload.anew(), follow_it=follow_it) as source:
                    await _send_file(server, source, upload)
        finally:
            # Also when it was broken off: what is in stays in.
            if upload.totals:
                _show(upload)
    return upload.totals


@contextmanager
def _open(file: str, upload: Upload, *, follow_it: bool) -> Generator[tuple[Iterator[Chunk], int]]:
    if follow_it:
        yield follow(file, MAX_LINES, upload.identity), 0
        return
    with open_chunks(file, _stdin(), MAX_LINES, upload.identity) as source:
        yield source


def _stdin() -> BufferedReader:
    return cast("BufferedReader", sys.stdin.buffer)


async def _send_file(server: Console, source: tuple[Iterator[Chunk], int], upload: Upload) -> None:
    chunks, size = source
    sending: deque[tuple[Chunk, asyncio.Task[dict[str, Any]]]] = deque()
    try:
        with _progress(size) as advance:
            while (chunk := await asyncio.to_thread(next, chunks, None)) or sending:
                if chunk and chunk.lines:
                    sending.append((chunk, asyncio.create_task(_send(server, upload, chunk))))
                # With no lines at present, and at the end, none waits for the next.
                while sending and (not chunk or not chunk.lines or len(sending) == _IN_FLIGHT):
                    sent, task = sending.popleft()
                    _count(upload, sent, await task)
                    advance(sent.position, upload.totals["lines"])
    finally:
        for _, task in sending:
            task.cancel()
        await asyncio.gather(*(task for _, task in sending), return_exceptions=True)


async def _send(server: Console, upload: Upload, chunk: Chunk) -> dict[str, Any]:
    body = upload.fields | {"lines": chunk.lines, "occurrences": chunk.occurrences}
    if chunk.fields:
        body["fields"] = chunk.fields
    for _ in range(_ATTEMPTS):
        try:
            return await server.post(upload.path, body)
        except Retryable as error:
            terminal.print(f"waiting: {error}", style="dim", markup=False, soft_wrap=True)
            await asyncio.sleep(error.retry_after)
    raise Retryable("the server did not take the lines; run the import again later to continue")


def _of_clicks(result: dict[str, Any]) -> dict[str, int]:
    return {
        "imported": result["accepted"],
        "there already": result["present"],
        "lines imported before": result["repeated"],
        "links made": result["links_created"],
    }


def _of_access_log(result: dict[str, Any], said: str = "imported") -> dict[str, int]:
    return {
        f"clicks {said}": result["added"].get("click", 0),
        f"page views {said}": result["added"].get("page_view", 0),
        "received live already": result["received"],
        "there already": result["present"],
        "lines imported before": result["repeated"],
    }


def _of_dry_run(result: dict[str, Any]) -> dict[str, int]:
    return _of_access_log(result, "that would be imported")


def _count(upload: Upload, chunk: Chunk, result: dict[str, Any]) -> None:
    totals, refused = upload.totals, upload.refused
    totals["lines"] += len(chunk.lines)
    totals.update(upload.count(result))
    if occurred := result.get("occurred"):
        times = (*upload.times, occurred["first"], occurred["last"])  # all in one form, and of UTC
        upload.times = [min(times), max(times)]
    for reason, count in result["rejected"].items():
        totals[f"{'skipped' if reason in _SKIPPED else 'refused'}: {reason}"] += count
    refused += [
        (f"{upload.file} line {chunk.numbers[problem['index']]}".strip(), problem["detail"])
        for problem in result["problems"][: _SHOWN - len(refused)]
    ]


def _show(upload: Upload) -> None:
    totals, refused = upload.totals, upload.refused
    for where, detail in refused:
        warn(f"{where}: {detail}")
    more = totals["refused: bad_line"] - len(refused)
    if refused and more > 0:
        warn(f"... and {more} more bad lines")
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in totals.items():
        if count or name.endswith("imported"):
            table.add_row(name, f"{count:,}")
    Terminal().print(table)
    if upload.times:
        first, last = (at[:19].replace("T", " ") for at in upload.times)
        Terminal().print(f"from {first} to {last} (UTC)", highlight=False)


@contextmanager
def _progress(size: int) -> Generator[Callable[[int, int], None]]:
    """Gives a function (position in the file, lines so far) that moves the bar."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn()) if size else (SpinnerColumn(),)
    with Progress(*columns, TextColumn("{task.fields[lines]:,} lines"), console=terminal) as progress:
        task = progress.add_task("import", total=size or None, lines=0)

        def advance(position: int, lines: int) -> None:
            progress.update(task, completed=position, lines=lines)

        yield advance
