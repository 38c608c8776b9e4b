"""Workspaces and what belongs to them: sites, links, keys, domains.

Everything carries its workspace; a look-up by id always takes the workspace too, so that
what belongs to another looks as if it did not exist.
"""

from typing import Literal

from msgspec import Struct

Scope = Literal["ingest", "read", "links", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = ("ingest", "read", "links", "metrics", "admin")

DEFAULT_WORKSPACE = "default"


class Workspace(Struct, frozen=True):
    """`secret` is the permanent key under which visitor ids and import ids are hashed."""

    id: str
    name: str
    secret: bytes
    created_at: int


SITE_ID = "site_"
"""So begin the ids of sites."""


class Site(Struct, frozen=True):
    """A web site (or app). Its id is public: it may only send events for this site.

    `origins`: hosts whose pages may send ("example.com", "*.example.com"); empty for any.
    """

    id: str
    workspace_id: str
    name: str
    origins: tuple[str, ...] = ()
    timezone: str = "UTC"
    created_at: int = 0


LINK_ID = "link_"
"""So begin the ids of links."""


class Link(Struct, frozen=True):
    """A short link. `domain` is "" for the installation's own. Times in ms since 1970 UTC."""

    id: str
    workspace_id: str
    domain: str
    code: str
    url: str
    title: str = ""
    tags: tuple[str, ...] = ()
    expires_at: int = 0  # 0 = never
    created_at: int = 0


class Key(Struct, frozen=True):
    """An API key as it is stored: the secret itself is shown once and kept only as a hash.

    The scope `admin` includes all others. From `expires_at` on it opens nothing (ms; 0 for never).
    """

    id: str
    workspace_id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: int = 0
    expires_at: int = 0

    def may(self, scope: Scope) -> bool:
        """Whether the key carries `scope`."""
        return scope in self.scopes or "admin" in self.scopes
