"""Who sends a request: a secret key of a workspace, or the public id of one of its sites."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from footfall.collect.asgi import Scope, header
from footfall.collect.body.incoming import Incoming
from footfall.collect.body.read import DecodedEvents
from footfall.collect.client import Caller, read_caller, without_library
from footfall.collect.door import Door
from footfall.collect.reasons import NoKey, RefusedEvent, WrongOrigin
from footfall.collect.validate import Sender
from footfall.errors import Denied, Invalid
from footfall.model.reasons import Reason
from footfall.model.times import Millis
from footfall.tenants.model import LINK_ID, Key, Link, Site, Workspace

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


async def find_sender(
    door: Door, scope: Scope, batch: DecodedEvents, key: Key | None, site: Site | None, received_at: Millis
) -> Sender:
    """Who sends this. `site` is that of the query, if there is no key and the query names one.

    Raises Denied when it is neither a key nor a site, or the page it comes from is not one of the site's.
    """
    caller = read_caller(scope, door.proxies)
    events = [event for event in batch.events if not isinstance(event, Invalid)]
    named = {event.site_id for event in events if event.site_id}
    if key is None:
        if site is None:
            first = next((event.site_id for event in events if event.site_id), "")
            site = await _site_of_page(door, scope, batch.site_id or first)
        workspace = await workspace_of(door, site.workspace_id)
        sites = {name: site.id for name in named if _is_at(door, name, site)}
        own = door.directory.is_page_of
        return Sender(workspace, None, site.id, caller, received_at, sites, {}, is_page_of=own)
    workspace = await workspace_of(door, key.workspace_id)
    site_name = _query_site(scope) or batch.site_id
    sites = await _sites(door, workspace, named | {site_name})
    if site_name and site_name not in sites:
        raise RefusedEvent(Reason.UNKNOWN_SITE, "site_id: no site of this workspace has this id", "site_id")
    site_id = sites[site_name] if site_name else _site_of_origin(door, scope, workspace)
    return Sender(
        workspace=workspace,
        key=key,
        site_id=site_id,
        caller=without_library(caller),
        received_at=received_at,
        sites=sites,
        links=await _links(door, workspace, events),
        own_links=await _own_links(door, workspace, events),
        source=batch.source,
        is_page_of=door.directory.is_page_of,
    )


async def service_sender(
    door: Door, workspace: Workspace, key: Key, events: Sequence[Incoming], received_at: Millis
) -> Sender:
    """Who sends events of a workspace that came in no request: only they say whose visit it is."""
    return Sender(
        workspace=workspace,
        key=key,
        site_id="",
        caller=Caller("", "", "", "", "", ""),
        received_at=received_at,
        sites=await _sites(door, workspace, {event.site_id for event in events if event.site_id}),
        links=await _links(door, workspace, events),
        own_links=await _own_links(door, workspace, events),
        is_page_of=door.directory.is_page_of,
    )


async def site_of_query(door: Door, scope: Scope) -> Site | None:
    """The site that the query names, None if it names none. Raises as `public_site`."""
    site_id = _query_site(scope)
    return await _site_of_page(door, scope, site_id) if site_id else None


async def _site_of_page(door: Door, scope: Scope, site_name: str) -> Site:
    return await public_site(door, site_name, header(scope, b"origin").decode("latin-1"), required=True)


def _site_of_origin(door: Door, scope: Scope, workspace: Workspace) -> str:
    """The workspace's site whose page it is that sends with a key; "" for none."""
    origin = header(scope, b"origin").decode("latin-1")
    found = door.directory.sites_at(origin, workspace.id) if origin else ()
    return found[0].site_id if found else ""


def _is_at(door: Door, name: str, site: Site) -> bool:
    return any(each.site_id == site.id for each in door.directory.sites_at(name, site.workspace_id))


async def _sites(door: Door, workspace: Workspace, named: set[str]) -> Mapping[str, str]:
    """The ids of those sites that are the workspace's, by id or domain."""
    named.discard("")
    return await _found(door, named, lambda some: _sites_named(door, workspace, some))


async def _sites_named(door: Door, workspace: Workspace, named: AbstractSet[str]) -> dict[str, str]:
    found = await door.directory.sites(named)
    by_host = {
        name: places[0].site_id
        for name in named - found.keys()
        if (places := door.directory.sites_at(name, workspace.id))
    }
    return by_host | {name: name for name, site in found.items() if site.workspace_id == workspace.id}


async def _links(
    door: Door, workspace: Workspace, events: Sequence[Incoming]
) -> Mapping[tuple[str, str], Link]:
    """The workspace's links that events name by domain and code."""
    named = {
        (event.short_domain or "", event.short_code)
        for event in events
        if event.short_code and not event.link_id
    }
    return await _found(door, named, lambda some: _links_at(door, workspace, some))


async def _links_at(
    door: Door, workspace: Workspace, named: AbstractSet[tuple[str, str]]
) -> dict[tuple[str, str], Link]:
    places = {
        name: (domain, name[1])
        for name in named
        if (domain := door.directory.link_domain(name[0]) if name[0] else "") is not None
    }
    if not places:
        return {}
    found = await door.directory.links(set(places.values()))
    mine = {place: link for place, link in found.items() if link.workspace_id == workspace.id}
    return {name: mine[place] for name, place in places.items() if place in mine}


async def _own_links(door: Door, workspace: Workspace, events: Sequence[Incoming]) -> Mapping[str, Link]:
    """The workspace's links that the events name by id. Ids of another system's links are not looked up."""
    named = {event.link_id for event in events if event.link_id and event.link_id.startswith(LINK_ID)}
    found = await links_by_id(door, named)
    return {name: link for name, link in found.items() if link.workspace_id == workspace.id}


async def links_by_id(door: Door, named: AbstractSet[str]) -> dict[str, Link]:
    """Links of whatever workspace, by id; those that were made a moment ago, too. Raises Retryable."""
    return await _found(door, named, door.directory.links_by_id)


async def workspaces_by_id(door: Door, named: AbstractSet[str]) -> dict[str, Workspace]:
    """Those that there are, also those that were made a moment ago. Raises Retryable."""

    async def look(some: AbstractSet[str]) -> dict[str, Workspace]:
        return {name: found for name in some if (found := await door.directory.workspace(name))}

    return await _found(door, named, look)


async def _found(
    door: Door, named: AbstractSet[K], look: Callable[[AbstractSet[K]], Awaitable[dict[K, V]]]
) -> dict[K, V]:
    """What one look-up finds, and one more for what may have been made a moment ago.

    What is stored without its link or site stays so.
    """
    if not named:
        return {}
    found = await look(named)
    if missing := named - found.keys():
        await door.directory.catch_up()
        found |= await look(missing)
    return found


async def public_site(door: Door, site_name: str, page: str, *, required: bool) -> Site:
    """The site with that public id or domain, if `page` (Origin or Referer) may send for it.

    Without one it is the site that lists the page's host. `required`: a site with a list of origins
    insists on being told the page.
    """
    site = await door.directory.site(site_name) if site_name else None
    if site is None and (host := site_name or page):
        site = await _site_at(door, host)
    if site is None and not site_name:
        raise NoKey(
            "who is this? Send a key (Authorization: Bearer ...), or a site's public id as site_id, or "
            "list the page's host among the origins of its site"
        )
    if site is None:
        raise RefusedEvent(Reason.UNKNOWN_SITE, "site_id: there is no such site", "site_id")
    if site.origins and (page or required) and not _allowed(page, site.origins):
        raise WrongOrigin(
            f"this page may not send for the site; allowed are {', '.join(site.origins)}", known=True
        )
    return site


async def _site_at(door: Door, host: str) -> Site | None:
    """The one site at that host. Raises RefusedEvent where several workspaces say that it is theirs."""
    found = door.directory.claimants(host)
    if len({each.workspace_id for each in found}) > 1:
        raise RefusedEvent(
            Reason.UNKNOWN_SITE,
            "site_id: sites of several workspaces list this host; send the public id of one",
            "site_id",
        )
    return await door.directory.site(found[0].site_id) if found else None


def _allowed(page: str, origins: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(page)
        host = (parts.hostname or "").lower()
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    return any(
        host == origin or (origin.startswith("*.") and host.endswith(origin[1:]))
        for origin in origins
        if host
    )


def _query_site(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    if not query:
        return ""
    try:
        fields = parse_qs(query.decode("latin-1"), max_num_fields=50) if len(query) < 4096 else {}
    except ValueError:
        raise Invalid("the URL has more than 50 parameters; site_id is the only one that is read") from None
    return (fields.get("site_id") or fields.get("site") or [""])[0]


async def workspace_of(door: Door, workspace_id: str) -> Workspace:
    """The workspace itself. Raises Denied when it was deleted."""
    workspace = await door.directory.workspace(workspace_id)
    if workspace is None:
        raise Denied("the workspace of this key is gone")
    return workspace
