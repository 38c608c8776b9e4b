"""Who sends a request: a secret key of a workspace, or the public id of one of its sites."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from footfall.collect.asgi import Scope, header
from footfall.collect.body.incoming import Incoming
from footfall.collect.body.read import DecodedEvents
from footfall.collect.client import read_caller, without_library
from footfall.collect.door import Door
from footfall.collect.reasons import NoKey, WrongOrigin
from footfall.collect.validate import RefusedEvent, Sender
from footfall.errors import Denied, Invalid
from footfall.model.reasons import Reason
from footfall.tenants.model import LINK_ID, Key, Link, Site, Workspace


async def find_sender(
    door: Door, scope: Scope, batch: DecodedEvents, key: Key | None, site: Site | None, received_at: int
) -> Sender:
    """Who sends this. `site` is that of the query, if there is no key and the query names one.

    Raises Denied when it is neither a key nor a site, or the page it comes from is not one of the site's.
    """
    caller = read_caller(scope, door.proxies)
    if key is None:
        if site is None:
            named = (event.site_id for event in batch.events if not isinstance(event, Invalid))
            site = await _site_of_page(door, scope, batch.site_id or next(named, "") or "")
        workspace = await workspace_of(door, site.workspace_id)
        return Sender(workspace, None, site.id, caller, received_at, {}, {})
    site_id = _query_site(scope) or batch.site_id
    workspace = await workspace_of(door, key.workspace_id)
    events = [event for event in batch.events if not isinstance(event, Invalid)]
    sites = await _sites(door, workspace, {event.site_id for event in events if event.site_id} | {site_id})
    if site_id and not sites.get(site_id):
        raise RefusedEvent(Reason.UNKNOWN_SITE, "site_id: no site of this workspace has this id", "site_id")
    codes = {event.short_code for event in events if event.short_code and not event.link_id}
    return Sender(
        workspace=workspace,
        key=key,
        site_id=site_id,
        caller=without_library(caller),
        received_at=received_at,
        sites=sites,
        links=await _links(door, workspace, codes),
        own_links=await _own_links(door, workspace, events),
    )


async def site_of_query(door: Door, scope: Scope) -> Site | None:
    """The site that the query names, None if it names none. Raises as `public_site`."""
    site_id = _query_site(scope)
    return await _site_of_page(door, scope, site_id) if site_id else None


async def _site_of_page(door: Door, scope: Scope, site_id: str) -> Site:
    return await public_site(door, site_id, header(scope, b"origin").decode("latin-1"), required=True)


async def _sites(door: Door, workspace: Workspace, named: set[str]) -> Mapping[str, bool]:
    """Which of these sites are the workspace's. One look-up, however many they are."""
    named.discard("")
    if not named:
        return {}
    found = await door.directory.sites(named)
    return {name: site.workspace_id == workspace.id for name, site in found.items()}


async def _links(door: Door, workspace: Workspace, codes: set[str]) -> Mapping[str, Link]:
    """The workspace's links by short code, of the default domain. One look-up, too."""
    if not codes:
        return {}
    found = await door.directory.links("", codes)
    return {code: link for code, link in found.items() if link.workspace_id == workspace.id}


async def _own_links(door: Door, workspace: Workspace, events: Sequence[Incoming]) -> Mapping[str, Link]:
    """The workspace's links that the events name by id. Ids of another system's links are not looked up."""
    named = {event.link_id for event in events if event.link_id and event.link_id.startswith(LINK_ID)}
    if not named:
        return {}
    found = await door.directory.links_by_id(named)
    return {name: link for name, link in found.items() if link.workspace_id == workspace.id}


async def public_site(door: Door, site_id: str, page: str, *, required: bool) -> Site:
    """The site with that public id, if `page` (Origin or Referer) may send for it.

    `required`: a site with a list of origins insists on being told the page.
    """
    if not site_id:
        raise NoKey("who is this? Send a key (Authorization: Bearer ...), or a site's public id as site_id")
    site = await door.directory.site(site_id)
    if site is None:
        raise RefusedEvent(Reason.UNKNOWN_SITE, "site_id: there is no such site", "site_id")
    if site.origins and (page or required) and not _allowed(page, site.origins):
        raise WrongOrigin(
            f"this page may not send for the site; allowed are {', '.join(site.origins)}", known=True
        )
    return site


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
