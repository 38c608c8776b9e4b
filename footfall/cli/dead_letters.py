"""`footfall dead-letters`: look at what could not be stored, try it again, or give it up."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from footfall.cli.console_client import ask
from footfall.cli.options import Data, Key, Url
from footfall.cli.tables import terminal
from footfall.errors import Invalid
from footfall.state.dead_letters.letter import format_position, parse_position

Position = Annotated[str, Parameter(help="Its position, as `footfall dead-letters list` shows it.")]

_PATH = "/api/v1/dead-letters"
_COLUMNS = ("position", "reason", "detail", "status", "events", "attempts", "failed_at")

app = App(name="dead-letters", help="List, retry or discard events that could not be stored.")


@app.command(name="list")
def list_letters(
    *,
    reason: Annotated[str | None, Parameter(help="Only with this reason.")] = None,
    limit: Annotated[int, Parameter(help="How many at most.")] = 50,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """List them, newest first."""
    answer = ask(data, url, key, lambda server: server.get(_PATH, reason=reason, limit=limit))
    table = Table(*_COLUMNS)
    for letter in answer["data"]:
        table.add_row(*(Text(str(letter[name])) for name in _COLUMNS))
    shown = terminal()
    shown.print(table)
    shown.print(f"{len(answer['data'])} of {answer['meta']['total']:,}", highlight=False)


@app.command
def show(position: Position, /, *, data: Data = None, url: Url = None, key: Key = None) -> None:
    """Show one and what it holds, as JSON."""
    answer = ask(data, url, key, lambda server: server.get(_one(position)))
    terminal().print_json(msgspec.json.encode(answer).decode())


@app.command
def retry(
    position: Annotated[str | None, Parameter(help="Its position; leave it out with --reason.")] = None,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Try all with this reason again.")] = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Let the worker try one again, or all with a reason. Counted once, whatever happens."""
    if (position is None) == (reason is None):
        raise Invalid("give either a position or --reason", field="retry")
    if position is not None:
        ask(data, url, key, lambda server: server.post(f"{_one(position)}/retry", {}))
        count = 1
    else:
        answer = ask(data, url, key, lambda server: server.post(f"{_PATH}/retry", {"reason": reason}))
        count = answer["due"]
    terminal().print(f"{count:,} handed to the worker", highlight=False)


@app.command
def discard(
    position: Annotated[str | None, Parameter(help="Its position; leave it out with --reason.")] = None,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Discard all with this reason.")] = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Give one up, or all with a reason: the ledger then counts them as dropped."""
    if (position is None) == (reason is None):
        raise Invalid("give either a position or --reason", field="discard")
    if position is not None:
        ask(data, url, key, lambda server: server.delete(_one(position)))
        count = 1
    else:
        answer = ask(data, url, key, lambda server: server.post(f"{_PATH}/discard", {"reason": reason}))
        count = answer["discarded"]
    terminal().print(f"{count:,} discarded", highlight=False)


def _one(position: str) -> str:
    return f"{_PATH}/{format_position(*parse_position(position))}"
