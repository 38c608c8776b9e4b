"""What every request needs of the metadata: links, sites, keys, workspaces and domains, from memory.

Each process has its own. It asks the database for the number of the last change a few times
a second, or once it is told of one, and forgets what has changed, so that all of them see a change within a
second. When the database does not answer, what is cached stays good.
"""

import asyncio
import hmac
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.errors import Invalid, Retryable
from footfall.runtime.background import Loop
from footfall.settings import Settings
from footfall.tenants import rows, tables
from footfall.tenants.cache import UNKNOWN, Cache, Unknown
from footfall.tenants.keys import hash_of, with_expiry
from footfall.tenants.links import links
from footfall.tenants.links.targets import check_target, names_of
from footfall.tenants.model import DEFAULT_WORKSPACE, Key, Link, Site, Workspace
from footfall.tenants.site_hosts import (
    Place,
    SiteHosts,
    claimants,
    is_page_of,
    owners_of,
    read_hosts,
    sites_at,
)
from footfall.tenants.tables import changes, current_version, domains
from footfall.tenants.tenants import Tenants

__all__ = ["UNKNOWN", "Directory", "Unknown"]

POLL_SECONDS = 0.25
_LOOK_SECONDS = 0.75  # where changes are told: between looks, for what nobody told
_AT_ONCE = 0.01
_HOSTS = 4096  # of referrers, of which it is remembered whether they are a site's
_SMALL = 10_000  # sites, keys and workspaces kept in memory
_MOST_CHANGES = 20_000  # more at once: everything is forgotten instead
_LONGEST_TOKEN = 1000
_LONGEST_NAME = 200  # longer ones exist nowhere, and are not remembered

# What commands on this machine may do (see `is_local`).
LOCAL_KEY = Key("local", DEFAULT_WORKSPACE, "This machine", ("admin",))


class _StoredKey(Key, frozen=True):
    """A key with its hash, for the comparison."""

    hash: str = ""


class _News(NamedTuple):
    """What happened since some version. `domains` and `hosts` are None where they are still the same."""

    version: int
    changes: list[tuple[str, str]]
    everything: bool = False
    domains: dict[str, str] | None = None
    hosts: SiteHosts | None = None


class Directory:
    """The bounded cache in front of Tenants. Use it on one event loop."""

    def __init__(
        self, tenants: Tenants, settings: Settings, is_local: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`is_local` knows the token of commands on this machine, which is worth an admin key."""
        self._is_local = is_local
        database = tenants.database
        self._own = tenants.own
        self._database = database
        self._version = 0  # the last change that was applied here
        self._domains: dict[str, str] = {}
        self._hosts: SiteHosts = {}
        self._owners: Mapping[str, str] = {}  # of the sites in there
        self._is_of = lru_cache(_HOSTS)(self._look_whose)
        self._notifications = database.notifications()
        self._following = Loop("directory", _AT_ONCE if self._notifications else POLL_SECONDS, self._follow)
        self._applying = asyncio.Lock()
        self._known_at = 0.0
        self._links: Cache[tuple[str, str], Link] = Cache(
            database, links.find, settings.cache_links, self._applied, settings.cache_memory
        )
        # The place of a link never changes, and its id never comes again.
        self._places: Cache[str, tuple[str, str]] = Cache(database, links.places, _SMALL, self._applied)
        self._sites: Cache[str, Site] = Cache(database, _find_sites, _SMALL, self._applied)
        self._keys: Cache[str, _StoredKey] = Cache(database, _find_keys, _SMALL, self._applied)
        self._workspaces: Cache[str, Workspace] = Cache(database, _find_workspaces, _SMALL, self._applied)

    async def start(self) -> None:
        """Load the domains and begin to follow changes. Raises Retryable."""
        news = await self._database.read(lambda connection: _read_news(connection, -1))
        self._version, self._domains, self._hosts = news.version, news.domains or {}, news.hosts or {}
        self._owners = owners_of(self._hosts)
        self._following.start()

    async def stop(self) -> None:
        """Stop following changes."""
        await self._following.stop()
        if self._notifications:
            await self._notifications.close()

    async def catch_up(self) -> None:
        """Know every change that was made before this call; what is cached stays good where that cannot be.

        However many ask at once, the database is asked by one of them at a time, and answers all that wait.
        """
        now = time.monotonic()
        async with self._applying:
            if self._known_at < now:
                with suppress(Retryable):
                    await self._read_changes()

    def cached_link(self, domain: str, code: str) -> Link | Unknown | None:
        """The link, None if there is none, UNKNOWN if the database must be asked. No I/O."""
        return self._links.cached((domain, code))

    async def link(self, domain: str, code: str) -> Link | None:
        """The link at that place (domain "" for the installation's own). Raises Retryable."""
        return await self._links.get((domain, code)) if len(code) <= _LONGEST_NAME else None

    async def links(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Link]:
        """Those links that exist, by domain and code, with one look-up. Raises Retryable."""
        return await self._links.get_all(place for place in places if len(place[1]) <= _LONGEST_NAME)

    async def links_by_id(self, link_ids: Iterable[str]) -> dict[str, Link]:
        """Those links that exist, of whatever workspace, by id, with two look-ups. Raises Retryable."""
        places = await self._places.get_all(name for name in link_ids if len(name) <= _LONGEST_NAME)
        found = await self._links.get_all(places.values())
        return {name: link for name, at in places.items() if (link := found.get(at)) and link.id == name}

    async def site(self, site_id: str) -> Site | None:
        """The site with that public id. Raises Retryable."""
        return await self._sites.get(site_id) if len(site_id) <= _LONGEST_NAME else None

    async def sites(self, site_ids: Iterable[str]) -> dict[str, Site]:
        """Those sites that exist, by id, with one look-up. Raises Retryable."""
        return await self._sites.get_all(name for name in site_ids if len(name) <= _LONGEST_NAME)

    def sites_at(self, host: str, workspace_id: str) -> Sequence[Place]:
        """A workspace's sites that list this host (or a URL's) or are named so, oldest first. No I/O."""
        return sites_at(self._hosts, host, workspace_id)

    def claimants(self, host: str) -> Sequence[Place]:
        """The sites, of whatever workspace, that a host (or a URL's) may mean. No I/O."""
        return claimants(self._hosts, host)

    def site_ids(self, name: str, workspace_id: str) -> Sequence[str]:
        """The sites of a workspace that a question means by `name`: an id, or a domain. No I/O."""
        places = self.sites_at(name, workspace_id) if "." in name else ()
        return [place.site_id for place in places] or [name]

    def is_page_of(self, url: str, site_id: str) -> bool:
        """Whether a page is one of the site's, by its hosts and those below them. No I/O."""
        if not (site_id and url and self._hosts):
            return False
        # Asked for every event: only the host matters, and few differ.
        return self._is_of(url.partition("://")[2].partition("/")[0][:300], site_id)

    def _look_whose(self, host: str, site_id: str) -> bool:
        owner = self._owners.get(site_id)
        return owner is not None and is_page_of(self._hosts, host, site_id, owner)

    async def key(self, token: str) -> Key | None:
        """The key whose secret is `token`, unless it has expired. Raises Retryable.

        It is looked up by its hash, whose bytes tell nothing about the secret; the hashes are
        compared in constant time all the same.
        """
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        digest = hash_of(token)
        key = await self._keys.get(digest)
        if key is None:
            return LOCAL_KEY if self._is_local(token) else None
        if key.expires_at and key.expires_at <= time.time() * 1000:
            return None
        return key if hmac.compare_digest(key.hash, digest) else None

    async def workspace(self, workspace_id: str) -> Workspace | None:
        """The workspace with that id. Raises Retryable."""
        return await self._workspaces.get(workspace_id)

    def domain_workspace(self, host: str) -> str | None:
        """The workspace whose short domain `host` (as in a Host header, lower case) is. No I/O."""
        return self._domains.get(host)

    def short_domain(self, host: str) -> str:
        """The short domain that `host` (lower case) names, with or without a port and a dot at its end.

        "" for the installation's own. No I/O.
        """
        if host in self._domains or not self._domains:
            return host if self._domains else ""
        name, colon, port = host.rpartition(":")
        if not colon or (port and not port.isdigit()):
            name, port = host, ""
        name = name.removesuffix(".")
        for domain in (f"{name}:{port}", name):
            if domain in self._domains:
                return domain
        return ""

    def link_domain(self, host: str) -> str | None:
        """The domain whose links have `host` (lower case, as in a URL): "" for the installation's own.

        None for a host that has no links here. No I/O.
        """
        with suppress(Invalid):
            names = names_of(check_target(f"http://{host}/", ()))
            if not self._own.isdisjoint(names):
                return ""
            return next((name for name in names[::-1] if name in self._domains), None)
        return None

    def leads_back(self, link: Link) -> bool:
        """Whether a link leads to this door again: browsers would come round until they give up. No I/O.

        Such a link cannot be made; but its host may have become the workspace's short domain since.
        """
        names = names_of(link.url)
        return not self._own.isdisjoint(names) or (
            bool(self._domains) and any(self._domains.get(name) == link.workspace_id for name in names)
        )

    def _applied(self) -> int:
        return self._version

    async def _follow(self) -> None:
        if self._notifications:
            await self._notifications.wait(_LOOK_SECONDS)
        await self._apply_changes()

    async def _apply_changes(self) -> None:
        async with self._applying:
            await self._read_changes()

    async def _read_changes(self) -> None:
        seen, at = self._version, time.monotonic()
        news = await self._database.read(lambda connection: _read_news(connection, seen))
        # From here on without a pause: who loads something meanwhile compares versions.
        self._version, self._known_at = news.version, at
        if news.domains is not None:
            self._domains = news.domains
        if news.hosts is not None:
            self._hosts, self._owners = news.hosts, owners_of(news.hosts)
            self._is_of.cache_clear()
        if news.everything:
            for cache in (self._links, self._places, self._sites, self._keys, self._workspaces):
                cache.clear()
        for kind, name in news.changes:
            self._forget(kind, name)

    def _forget(self, kind: str, name: str) -> None:
        match kind:
            case "link":
                domain, _, code = name.rpartition("/")
                self._links.forget((domain, code))
            case "site":
                self._sites.forget(name)
            case "key":
                self._keys.forget(name)
            case "workspace":
                self._workspaces.forget(name)
            case _:
                pass


def _read_news(connection: Connection, seen: int) -> _News:
    version = current_version(connection)
    if version == seen:
        return _News(version, [])
    query = sa.select(changes).where(changes.c.version > seen).order_by(changes.c.version)
    found = connection.execute(query.limit(_MOST_CHANGES + 1)).all()
    # Where the next number is missing, changes were dropped before they were seen here.
    complete = bool(found) and found[0].version == seen + 1 and len(found) <= _MOST_CHANGES
    kinds = {row.kind for row in found}
    everything = not complete or "all" in kinds
    whose = None
    if everything or "domain" in kinds:
        whose = {row.host: row.workspace_id for row in connection.execute(sa.select(domains))}
    hosts = read_hosts(connection) if everything or "site" in kinds else None
    what = [] if everything else [(row.kind, row.name) for row in found]
    return _News(version, what, everything, whose, hosts)


def _find_sites(connection: Connection, names: Sequence[str]) -> dict[str, Site]:
    return rows.find(connection, tables.sites.c.id, names, Site)


def _find_keys(connection: Connection, hashes: Sequence[str]) -> dict[str, _StoredKey]:
    found = rows.find(connection, tables.keys.c.hash, hashes, _StoredKey)
    return {key.hash: key for key in with_expiry(connection, list(found.values()))}


def _find_workspaces(connection: Connection, names: Sequence[str]) -> dict[str, Workspace]:
    return rows.find(connection, tables.workspaces.c.id, names, Workspace)
