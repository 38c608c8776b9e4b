"""`footfall segments`: filters of the query language, saved by a name that questions use."""

from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from footfall.cli.console_client import Console, ask
from footfall.cli.options import Data, Key, Url
from footfall.cli.saved import saved_id
from footfall.cli.sites import named, site_id, site_names
from footfall.cli.tables import add, table, terminal
from footfall.cli.terminal import say
from footfall.errors import Invalid

_PATH = "/api/v1/segments"

SegmentName = Annotated[str, Parameter(help="Its id, or its name.")]
Filters = Annotated[
    list[str],
    Parameter(
        name="--filter",
        negative=(),
        help='A filter of the query language, as in \'["is", "country_code", ["DE"]]\'; give it once for '
        "each, and all must hold.",
    ),
]
Site = Annotated[str | None, Parameter(help="The id or name of its site. [default: all of the workspace]")]

app = App(name="segments", help="The segments of the workspace: list them, make, change and delete them.")


@app.command(name="list")
def list_segments(*, data: Data = None, url: Url = None, key: Key = None) -> None:
    """List them, newest first."""

    async def work(server: Console) -> Any:
        return await server.every(_PATH), await site_names(server)

    segments, names = ask(data, url, key, work)
    shown = table("id", "name", "filters", "site")
    for each in segments:
        filters = msgspec.json.encode(each["filters"]).decode()
        add(shown, each["id"], each["name"], filters, named(each["site_id"] or "", names))
    terminal().print(shown)


@app.command
def new(
    name: Annotated[str, Parameter(help="How questions name it.")],
    /,
    *,
    filters: Filters,
    site: Site = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make one, and print its id."""
    body = {"name": name, "filters": _read(filters)}

    async def work(server: Console) -> Any:
        of_site = {} if site is None else {"site_id": await site_id(server, site)}
        return await server.post(_PATH, body | of_site)

    say(ask(data, url, key, work)["id"])


@app.command
def change(
    segment: SegmentName,
    /,
    *,
    name: Annotated[str | None, Parameter(help="Its new name.")] = None,
    filters: Filters | None = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change one; what is left out stays."""
    body = ({} if name is None else {"name": name}) | ({"filters": _read(filters)} if filters else {})
    if not body:
        raise Invalid("give --name or --filter", field="change")

    async def work(server: Console) -> Any:
        return await server.patch(f"{_PATH}/{await saved_id(server, _PATH, segment)}", body)

    say(f"{ask(data, url, key, work)['id']} is changed")


@app.command
def delete(segment: SegmentName, /, *, data: Data = None, url: Url = None, key: Key = None) -> None:
    """Delete one."""

    async def work(server: Console) -> str:
        found = await saved_id(server, _PATH, segment)
        await server.delete(f"{_PATH}/{found}")
        return found

    say(f"{ask(data, url, key, work)} is deleted")


def _read(filters: list[str]) -> list[Any]:
    try:
        return [msgspec.json.decode(each) for each in filters]
    except msgspec.DecodeError as error:
        raise Invalid(f"is no JSON: {error}", field="--filter") from None
