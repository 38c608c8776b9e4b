"""The metadata store: workspaces and what they have. The only door to its tables.

Everything takes the workspace: what belongs to another does not exist for it. A write is
durable on return, and every process's Directory knows of it within 1 s.
"""

import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from footfall.database import Database
from footfall.errors import Invalid, Misconfigured
from footfall.model.ids import short_id
from footfall.model.times import Millis, now_ms
from footfall.settings import Settings
from footfall.tenants import keys, rows, tables, workspaces
from footfall.tenants.fields import ListPage
from footfall.tenants.links import links
from footfall.tenants.links.targets import check_target, host_of, names_of, own_name, with_port
from footfall.tenants.model import Goal, Key, Link, Segment, Site, Workspace
from footfall.tenants.saved import Saved, checked_goal, checked_segment

P = ParamSpec("P")
T = TypeVar("T")

MAX_TAGGED = 10_000  # links that one question by tags can be about
_TAGGED_PAGE = 10_000  # links that one transaction reads


class Tenants:
    """All reads and writes. Every method raises Retryable when the database is busy or its disk fails."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self._door_url = settings.door_url
        self.default_domain, self.own = _own_hosts(settings)
        self.goals = Saved(database, tables.goals, Goal, checked_goal)
        self.segments = Saved(database, tables.segments, Segment, checked_segment)

    async def bootstrap(self, admin_key: str = "") -> str | None:
        """Give an empty database the workspace `default`, a site and an admin key.

        Returns the key's secret (`admin_key`, if one is given), or None when there was a
        workspace already. Raises Invalid for an `admin_key` that no header can carry.
        """
        return await self._write(workspaces.bootstrap, admin_key)

    async def create_workspace(self, name: str) -> Workspace:
        """Raises Invalid."""
        return await self._write(workspaces.create, name)

    async def workspaces(self) -> list[Workspace]:
        """All of them, oldest first."""
        return await self._read(workspaces.every)

    async def workspace(self, workspace_id: str) -> Workspace | None:
        """The workspace, if there is one."""
        found = await self._read(rows.find, tables.workspaces.c.id, [workspace_id], Workspace)
        return found.get(workspace_id)

    async def rename_workspace(self, workspace_id: str, name: str) -> None:
        """Raises NotFound, Invalid."""
        await self._write(workspaces.rename, workspace_id, name)

    async def delete_workspace(self, workspace_id: str) -> None:
        """Delete it with its sites, links, keys and domains; its events stay where they are.

        Raises NotFound, and Conflict for the default workspace, which always exists.
        """
        await self._write(workspaces.delete, workspace_id)

    async def create_site(
        self, workspace_id: str, name: str, origins: Iterable[str] = (), timezone: str = "UTC"
    ) -> Site:
        """Raises Invalid."""
        return await self._write(workspaces.create_site, workspace_id, name, origins, timezone)

    async def sites(self, workspace_id: str, limit: int = 100, offset: int = 0) -> ListPage[Site]:
        """Newest first. Raises Invalid."""
        where = [tables.sites.c.workspace_id == workspace_id]
        return await self._read(rows.page, tables.sites, Site, where, limit, offset)

    async def site(self, workspace_id: str, site_id: str) -> Site | None:
        """The site, if the workspace has it."""
        return await self._read(rows.get, tables.sites, Site, workspace_id, site_id)

    async def timezones(self, site_ids: Collection[str]) -> Mapping[str, str]:
        """The time zone of each of these sites, of whatever workspace; those there are not are left out."""
        sites = await self._read(rows.find, tables.sites.c.id, site_ids, Site)
        return {site_id: site.timezone for site_id, site in sites.items()}

    async def update_site(
        self,
        workspace_id: str,
        site_id: str,
        *,
        name: str | None = None,
        origins: Iterable[str] | None = None,
        timezone: str | None = None,
    ) -> Site:
        """Change what is not None. Raises NotFound, Invalid."""
        return await self._write(workspaces.update_site, workspace_id, site_id, name, origins, timezone)

    async def delete_site(self, workspace_id: str, site_id: str) -> None:
        """Its events stay, its goals and segments go. Raises NotFound."""
        await self._write(workspaces.delete_site, workspace_id, site_id)

    async def create_link(
        self,
        workspace_id: str,
        url: str,
        code: str | None = None,
        domain: str | None = None,
        *,
        title: str = "",
        tags: Sequence[str] = (),
        expires_at: Millis = 0,
        pass_query: bool = False,
    ) -> Link:
        """Make a link: with a random code and on the installation's own domain, unless told otherwise.

        The first workspace to use a domain has it. `expires_at` in ms, 0 for never. Raises
        Invalid, and Conflict when the code is taken or the domain is another's.
        """
        if code is not None and not code:
            raise Invalid("code must not be empty; leave it out for a random one", field="code")
        now = now_ms()
        place = domain or "", code or ""
        wanted = Link(
            short_id("link"), workspace_id, *place, url, title, tuple(tags), expires_at, now, pass_query
        )
        return await self._write(links.create, wanted, self.own)

    async def ensure_links(
        self, workspace_id: str, wanted: Sequence[tuple[str, str, str]]
    ) -> tuple[Mapping[tuple[str, str], Link], int]:
        """The links of many (domain, code, url), by (domain, code) as given, and how many were made now.

        For imports: one transaction, thousands at once. Existing links stay as they are.
        What the rules refuse (a target that is no web address, a reserved code) is left out.
        Raises Conflict when a domain or a link belongs to another workspace; then none is made.
        """
        return await self._write(links.ensure, workspace_id, wanted, self.own)

    async def links(
        self,
        workspace_id: str,
        limit: int = 100,
        offset: int = 0,
        *,
        domain: str | None = None,
        search: str = "",
    ) -> ListPage[Link]:
        """Newest first; on `domain` only, with `search` in code, URL or title only. Raises Invalid."""
        return await self._read(links.page, workspace_id, self.own, domain, search, limit, offset)

    async def tagged_links(
        self, workspace_id: str, tags: Collection[str] | None = None
    ) -> dict[str, list[str]]:
        """For each of these tags (None: for each tag) the ids of all links that carry it.

        Raises Invalid when those are more than 10,000 links.
        """
        found: dict[str, list[str]] = {}
        carrying, after = 0, ""
        while page := await self._read(links.tagged, workspace_id, after, _TAGGED_PAGE):
            after = page[-1][0]
            for link_id, carried in page:
                asked_for = [tag for tag in carried if tags is None or tag in tags]
                carrying += bool(asked_for)
                for tag in asked_for:
                    found.setdefault(tag, []).append(link_id)
            if carrying > MAX_TAGGED:
                raise Invalid(
                    f"tag: a question is about the tags of at most {MAX_TAGGED:,} links, and more links carry"
                    " these; ask for tags that fewer carry, or by link_id or utm_campaign",
                    field="tag",
                )
        return found

    async def link(self, workspace_id: str, link_id: str) -> Link | None:
        """The link, if the workspace has it."""
        return await self._read(links.get, workspace_id, link_id)

    async def links_by_id(self, workspace_id: str, link_ids: Collection[str]) -> dict[str, Link]:
        """Those of these links that the workspace has, by id."""
        found = await self._read(links.by_id, link_ids)
        return {name: link for name, link in found.items() if link.workspace_id == workspace_id}

    async def update_link(
        self,
        workspace_id: str,
        link_id: str,
        *,
        url: str | None = None,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        expires_at: Millis | None = None,
        pass_query: bool | None = None,
    ) -> Link:
        """Change what is not None; domain and code never change. Raises NotFound, Invalid."""
        return await self._write(
            links.update,
            workspace_id,
            link_id,
            self.own,
            url,
            title,
            tags,
            expires_at,
            pass_query=pass_query,
        )

    async def delete_link(self, workspace_id: str, link_id: str) -> None:
        """Its clicks stay; its code is free again. Raises NotFound."""
        await self._write(links.delete, workspace_id, link_id)

    def short_url(self, link: Link) -> str:
        """Where the world finds the link."""
        base = f"https://{link.domain}" if link.domain else self._door_url
        return f"{base}/{link.code}"

    async def create_key(
        self, workspace_id: str, name: str, scopes: Iterable[str], *, expires_at: Millis = 0
    ) -> tuple[Key, str]:
        """The key and its secret, which is kept nowhere and can never be shown again.

        `expires_at` in ms, 0 for never. Raises Invalid.
        """
        return await self._write(keys.create, workspace_id, name, scopes, expires_at=expires_at)

    async def keys(self, workspace_id: str, limit: int = 100, offset: int = 0) -> ListPage[Key]:
        """Newest first, those that have expired among them. Raises Invalid."""
        return await self._read(keys.page, workspace_id, limit, offset)

    async def delete_key(self, workspace_id: str, key_id: str) -> None:
        """Revoke it. Raises NotFound, and Conflict for the last one that may manage keys for ever."""
        await self._write(keys.delete, workspace_id, key_id)

    async def _write(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.database.run(lambda connection: fn(connection, *args, **kwargs))

    async def _read(
        self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.database.read(lambda connection: fn(connection, *args, **kwargs))


def _own_hosts(settings: Settings) -> tuple[str, frozenset[str]]:
    """The default domain, and all hosts under which the door may be reached.

    No link may point there; a link "on" one of them is on the default domain.
    """
    try:
        location = check_target(settings.door_url, ())
    except Invalid as error:
        raise Misconfigured(f"public_url: {error}") from None
    local = ("localhost", settings.host, own_name(settings.host), socket.gethostname().lower())
    return host_of(location), frozenset(
        {*names_of(location)[1::2], *(with_port(host, settings.port) for host in local)}
    )
