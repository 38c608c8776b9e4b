"""Workspaces and what belongs to them: sites, links, keys, domains, goals, segments.

Everything carries its workspace; a look-up by id always takes the workspace too, so that
what belongs to another looks as if it did not exist.
"""

from typing import Any, Literal

from msgspec import Struct

from footfall.model.times import Millis

Scope = Literal["ingest", "read", "links", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = ("ingest", "read", "links", "metrics", "admin")

DEFAULT_WORKSPACE = "default"


class Workspace(Struct, frozen=True):
    """`secret` is the permanent key under which visitor ids and import ids are hashed."""

    id: str
    name: str
    secret: bytes
    created_at: Millis


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
    created_at: Millis = 0


LINK_ID = "link_"
"""So begin the ids of links."""


class Link(Struct, frozen=True):
    """A short link. `domain` is "" for the installation's own. Times in ms since 1970 UTC.

    `pass_query`: its target gets the query of each visit.
    """

    id: str
    workspace_id: str
    domain: str
    code: str
    url: str
    title: str = ""
    tags: tuple[str, ...] = ()
    expires_at: Millis = 0  # 0 = never
    created_at: Millis = 0
    pass_query: bool = False


class Goal(Struct, frozen=True):
    """What an event must be to reach a goal; all that is said here must hold of it.

    `site_id` is "" where the goal is the whole workspace's. `event_type`: its type; "" for a page view, or
    for an `engagement` event where `scroll_depth` is given. `page`: the pattern of its `page_path`, in which
    `*` is all but a slash and `**` is anything; "" for any. `scroll_depth`: percent of the page that were
    seen, at least; 0 for any. `properties`: their values.
    """

    id: str
    workspace_id: str
    site_id: str
    name: str
    event_type: str = ""
    page: str = ""
    scroll_depth: float = 0.0
    properties: dict[str, str] = {}
    created_at: Millis = 0


class Segment(Struct, frozen=True):
    """Filters of the query language under a name. `site_id` is "" where it is the whole workspace's."""

    id: str
    workspace_id: str
    site_id: str
    name: str
    filters: list[Any]
    created_at: Millis = 0


class Key(Struct, frozen=True):
    """An API key as it is stored: the secret itself is shown once and kept only as a hash.

    The scope `admin` includes all others. From `expires_at` on it opens nothing (ms; 0 for never).
    """

    id: str
    workspace_id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: Millis = 0
    expires_at: Millis = 0

    def may(self, scope: Scope) -> bool:
        """Whether the key carries `scope`."""
        return scope in self.scopes or "admin" in self.scopes
