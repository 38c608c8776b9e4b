"""`footfall goals`: what counts as success, saved by a name that questions use."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

from footfall.cli.console_client import Console, ask
from footfall.cli.options import Data, Key, Url
from footfall.cli.saved import saved_id
from footfall.cli.sites import named, site_id, site_names
from footfall.cli.tables import add, table, terminal
from footfall.cli.terminal import say
from footfall.errors import Invalid

_PATH = "/api/v1/goals"

GoalName = Annotated[str, Parameter(help="Its id, or its name.")]
OptionalName = Annotated[str | None, Parameter(help="How questions name it.")]
EventType = Annotated[str | None, Parameter(help="The type of the events that reach it, as in Signup.")]
Page = Annotated[
    str | None,
    Parameter(help="The pages that reach it, as in /thanks or /blog/**: * is all but a slash, ** anything."),
]
Scroll = Annotated[float | None, Parameter(help="Percent of the page that must have been seen.")]
Property = Annotated[
    list[str] | None,
    Parameter(
        name="--property",
        negative=(),
        help="What a property of the event must be, as in plan=pro; give it once for each.",
    ),
]
Site = Annotated[str | None, Parameter(help="The id or name of its site. [default: all of the workspace]")]

app = App(name="goals", help="The goals of the workspace: list them, make, change and delete them.")


@app.command(name="list")
def list_goals(*, data: Data = None, url: Url = None, key: Key = None) -> None:
    """List them, newest first."""

    async def work(server: Console) -> Any:
        return await server.every(_PATH), await site_names(server)

    goals, names = ask(data, url, key, work)
    shown = table("id", "name", "reached by", "site")
    for goal in goals:
        add(shown, goal["id"], goal["name"], _reached_by(goal), named(goal["site_id"] or "", names))
    terminal().print(shown)


@app.command
def new(
    *,
    name: OptionalName = None,
    event_type: EventType = None,
    page: Page = None,
    scroll_depth: Scroll = None,
    property_: Property = None,
    site: Site = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make one, and print its id. Give an event's type, a page, a depth, or more than one of these."""
    given = _given(name, event_type, page, scroll_depth, property_)

    async def work(server: Console) -> Any:
        of_site = {} if site is None else {"site_id": await site_id(server, site)}
        return await server.post(_PATH, given | of_site)

    say(ask(data, url, key, work)["id"])


@app.command
def change(
    goal: GoalName,
    /,
    *,
    name: OptionalName = None,
    event_type: EventType = None,
    page: Page = None,
    scroll_depth: Scroll = None,
    property_: Property = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change one; what is left out stays. Answers about the past change with it."""
    given = _given(name, event_type, page, scroll_depth, property_)
    if not given:
        raise Invalid("give --name, --event-type, --page, --scroll-depth or --property", field="change")

    async def work(server: Console) -> Any:
        return await server.patch(f"{_PATH}/{await saved_id(server, _PATH, goal)}", given)

    say(f"{ask(data, url, key, work)['id']} is changed")


@app.command
def delete(goal: GoalName, /, *, data: Data = None, url: Url = None, key: Key = None) -> None:
    """Delete one. Its events stay."""

    async def work(server: Console) -> str:
        found = await saved_id(server, _PATH, goal)
        await server.delete(f"{_PATH}/{found}")
        return found

    say(f"{ask(data, url, key, work)} is deleted; its events stay")


def _given(
    name: str | None,
    event_type: str | None,
    page: str | None,
    scroll_depth: float | None,
    properties: Sequence[str] | None,
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": name,
        "event_type": event_type,
        "page": page,
        "scroll_depth": scroll_depth,
    }
    if properties is not None:
        pairs = [each.partition("=") for each in properties]
        if not all(sign for _, sign, _ in pairs):
            raise Invalid("must be NAME=VALUE, as in plan=pro", field="--property")
        given["properties"] = {name: value for name, _, value in pairs}
    return {name: value for name, value in given.items() if value is not None}


def _reached_by(goal: dict[str, Any]) -> str:
    kind = goal["event_type"] or ("engagement" if goal["scroll_depth"] else "page_view")
    said = [kind]
    if goal["page"]:
        said.append(f"on {goal['page']}")
    if goal["scroll_depth"]:
        said.append(f"down to {goal['scroll_depth']:g}%")
    return " ".join([*said, *(f"{name}={value}" for name, value in goal["properties"].items())])
