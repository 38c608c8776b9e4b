"""`footfall keys`: the keys of the workspace, also where nobody has one any more."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from footfall.cli.console_client import Console, ask
from footfall.cli.options import Data, ExpiresAt, Key, Url, moment
from footfall.cli.tables import add, table, terminal
from footfall.cli.terminal import say, warn
from footfall.errors import Invalid
from footfall.tenants.model import SCOPES

_PATH = "/api/v1/keys"

app = App(name="keys", help="The keys of the workspace: list them, make and revoke them.")


@app.command(name="list")
def list_keys(*, data: Data = None, url: Url = None, key: Key = None) -> None:
    """List them, newest first. Secrets are kept nowhere: who has lost one makes a new key."""
    shown = table("id", "name", "scopes", "expires", "made")
    for each in ask(data, url, key, lambda server: server.every(_PATH)):
        expires = each["expires_at"] or "never"
        add(shown, each["id"], each["name"], each["scopes"], expires, each["created_at"][:10])
    terminal().print(shown)


@app.command
def new(
    name: Annotated[str, Parameter(help="Whose it is, or what for.")],
    /,
    *,
    scope: Annotated[
        list[str],
        Parameter(
            negative=(),
            help=f"What it may do: {', '.join(SCOPES)}; admin includes all others. Give it once for each.",
        ),
    ],
    expires_at: ExpiresAt = None,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make one, and print its secret, which is shown only now."""
    body: dict[str, Any] = {"name": name, "scopes": scope}
    if expires_at is not None:
        body["expires_at"] = moment(expires_at)
    made = ask(data, url, key, lambda server: server.post(_PATH, body))
    warn(f"{made['id']} may {', '.join(made['scopes'])}. Its secret is shown only now, keep it:")
    say(made["key"])


@app.command
def revoke(
    which: Annotated[str, Parameter(help="Its id, or its name.")],
    /,
    *,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Revoke one: nobody gets in with it any more, at once."""

    async def work(server: Console) -> dict[str, Any]:
        keys = await server.every(_PATH)
        found = [each for each in keys if each["id"] == which] or [
            each for each in keys if each["name"] == which
        ]
        if len(found) != 1:
            raise Invalid("no key has this id, or not exactly one this name: footfall keys list", field=which)
        await server.delete(f"{_PATH}/{found[0]['id']}")
        return found[0]

    revoked = ask(data, url, key, work)
    say(f"{revoked['id']} ({revoked['name']}) is revoked")
