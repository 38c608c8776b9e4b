"""`footfall links`: the short links of the workspace."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from footfall.cli.console_client import Console, ask
from footfall.cli.options import Data, ExpiresAt, Key, Url, moment
from footfall.cli.tables import add, table, terminal
from footfall.cli.terminal import say
from footfall.errors import Invalid

_PATH = "/api/v1/links"
_NEVER = "never"

Which = Annotated[str, Parameter(help="Its id, its code, or its short URL.")]
Title = Annotated[str | None, Parameter(help="What people call it.")]
Tags = Annotated[list[str] | None, Parameter(name="--tag", negative=(), help="A tag; give it once for each.")]
PassQuery = Annotated[
    bool | None, Parameter(help="The target gets the query of each visit. [default: it does not]")
]

app = App(name="links", help="The short links of the workspace: list them, make, change and delete them.")


@app.command(name="list")
def list_links(
    *,
    search: Annotated[str | None, Parameter(help="Only with this in code, URL or title.")] = None,
    domain: Annotated[str | None, Parameter(help="Only on this domain.")] = None,
    limit: Annotated[int, Parameter(help="How many at most.")] = 50,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """List them, newest first."""
    answer = ask(data, url, key, lambda server: server.get(_PATH, search=search, domain=domain, limit=limit))
    shown = table("id", "short_url", "target", "title", "tags", "expires")
    for link in answer["data"]:
        expires = link["expires_at"] or _NEVER
        add(shown, link["id"], link["short_url"], link["url"], link["title"], link["tags"], expires)
    terminal().print(shown)
    terminal().print(f"{len(answer['data']):,} of {answer['meta']['total']:,}", highlight=False)


@app.command
def new(
    target: Annotated[str, Parameter(help="Where it leads: http or https.")],
    /,
    *,
    code: Annotated[str | None, Parameter(help="Its code. [default: a random one]")] = None,
    domain: Annotated[str | None, Parameter(help="A short domain of your own.")] = None,
    title: Title = None,
    tag: Tags = None,
    expires_at: ExpiresAt = None,
    pass_query: PassQuery = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make one, and print its short URL."""
    body = _given(url=target, code=code, domain=domain, title=title, tags=tag, pass_query=pass_query)
    if expires_at is not None:
        body["expires_at"] = moment(expires_at)
    say(ask(data, url, key, lambda server: server.post(_PATH, body))["short_url"])


@app.command
def change(
    link: Which,
    /,
    *,
    target: Annotated[str | None, Parameter(help="Where it leads from now on.")] = None,
    title: Title = None,
    tag: Tags = None,
    expires_at: Annotated[str | None, Parameter(help="As for new; or never.")] = None,
    pass_query: PassQuery = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change one; what is left out stays."""
    body = _given(url=target, title=title, tags=tag, pass_query=pass_query)
    if expires_at is not None:
        body["expires_at"] = None if expires_at == _NEVER else moment(expires_at)
    if not body:
        raise Invalid("give --target, --title, --tag, --expires-at or --pass-query", field="change")

    async def work(server: Console) -> Any:
        return await server.patch(f"{_PATH}/{await _link_id(server, link)}", body)

    say(f"{ask(data, url, key, work)['short_url']} is changed")


@app.command
def delete(link: Which, /, *, data: Data = None, url: Url = None, key: Key = None) -> None:
    """Delete one. Its clicks stay; its code is free again."""

    async def work(server: Console) -> str:
        found = await _link_id(server, link)
        await server.delete(f"{_PATH}/{found}")
        return found

    say(f"{ask(data, url, key, work)} is deleted; its clicks stay")


async def _link_id(server: Console, link: str) -> str:
    """The id of the link that has this id, this short URL or, alone, this code. Raises Invalid."""
    code = link.rstrip("/").rpartition("/")[2]
    page = await server.get(_PATH, search=code, limit=1000)
    found = [each["id"] for each in page["data"] if link in (each["id"], each["short_url"])]
    found = found or [each["id"] for each in page["data"] if each["short_code"] == link]
    if not found and link.startswith("link_"):
        return link
    if len(found) != 1:
        raise Invalid("no link has this id or short URL, or not exactly one this code", field=link)
    return found[0]


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
