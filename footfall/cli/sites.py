"""`footfall sites`: the sites of the workspace; and how other commands name them."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from footfall.cli.console_client import Console, ask
from footfall.cli.options import Data, Key, Url
from footfall.cli.tables import add, table, terminal
from footfall.cli.terminal import say
from footfall.errors import Invalid
from footfall.tenants.model import SITE_ID

_PATH = "/api/v1/sites"
_SHOWN = 20  # names in a message

SiteName = Annotated[str, Parameter(help="Its id, or its name.")]
Origins = Annotated[
    list[str] | None,
    Parameter(
        name="--origin",
        negative=(),
        help="A host whose pages may send events, as in example.com or *.example.com; give it once for each.",
    ),
]
Zone = Annotated[str | None, Parameter(help="IANA zone in which its days begin.")]

app = App(name="sites", help="The sites of the workspace: list them, make, change and delete them.")


@app.command(name="list")
def list_sites(*, data: Data = None, url: Url = None, key: Key = None) -> None:
    """List them, newest first, with the id that pages send."""
    sites = ask(data, url, key, lambda server: server.every(_PATH))
    shown = table("id", "name", "origins", "timezone", "made")
    for site in sites:
        add(
            shown,
            site["id"],
            site["name"],
            site["origins"] or "any",
            site["timezone"],
            site["created_at"][:10],
        )
    terminal().print(shown)


@app.command
def new(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    origin: Origins = None,
    timezone: Zone = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make one, and print its id."""
    body = _given(name=name, origins=origin, timezone=timezone)
    say(ask(data, url, key, lambda server: server.post(_PATH, body))["id"])


@app.command
def change(
    site: SiteName,
    /,
    *,
    name: Annotated[str | None, Parameter(help="Its new name.")] = None,
    origin: Origins = None,
    timezone: Zone = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change one; what is left out stays."""
    body = _given(name=name, origins=origin, timezone=timezone)
    if not body:
        raise Invalid("give --name, --origin or --timezone", field="change")

    async def work(server: Console) -> Any:
        return await server.patch(f"{_PATH}/{await site_id(server, site)}", body)

    say(f"{ask(data, url, key, work)['id']} is changed")


@app.command
def delete(site: SiteName, /, *, data: Data = None, url: Url = None, key: Key = None) -> None:
    """Delete one. Its events stay."""

    async def work(server: Console) -> str:
        found = await site_id(server, site)
        await server.delete(f"{_PATH}/{found}")
        return found

    say(f"{ask(data, url, key, work)} is deleted; its events stay")


async def site_names(server: Console) -> Mapping[str, str]:
    """The names of sites by their ids."""
    return {site["id"]: site["name"] for site in await server.every(_PATH)}


def named(site: str, names: Mapping[str, str]) -> str:
    """A site as people are shown it: its name and id. "-" for no site."""
    return f"{names[site]} ({site})" if site in names else site or "-"


async def site_id(server: Console, site: str, *, gone: bool = False) -> str:
    """The id of the site that has this id or, alone, this name. Raises Invalid.

    `gone`: also an id that no site has, or has any more; events of a site outlive it.
    """
    sites = await server.every(_PATH)
    found = [each["id"] for each in sites if each["id"] == site]
    found = found or [each["id"] for each in sites if each["name"] == site]
    if not found and gone and site.startswith(SITE_ID):
        return site
    if len(found) != 1:
        known = ", ".join(f"{each['id']} ({each['name']})" for each in sites[:_SHOWN])
        raise Invalid(f"no site has this id, or not exactly one this name; there are {known}", field="--site")
    return found[0]


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
