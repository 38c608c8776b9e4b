"""Sites by their hosts, for pages that name no site.

A site is found by the hosts that it lists as origins, and by its name where that is one. The most
exact entry counts: `shop.example.com` before `*.example.com`, that before `*.com`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.errors import Invalid
from footfall.tenants.links.targets import check_host
from footfall.tenants.tables import sites


class Place(NamedTuple):
    """A site, whose it is, and the how-manieth of all it was."""

    workspace_id: str
    site_id: str
    number: int


SiteHosts = Mapping[str, Sequence[Place]]
"""By host, or by `*.` and what is above it: the sites that list it, oldest first."""


def read_hosts(connection: Connection) -> SiteHosts:
    """Those of all sites."""
    found: dict[str, list[Place]] = {}
    columns = (sites.c.id, sites.c.workspace_id, sites.c.name, sites.c.origins)
    rows = connection.execute(sa.select(*columns).order_by(sites.c.created_at, sites.c.id))
    for number, row in enumerate(rows):
        named = _host(row.name)
        origins: list[str] = row.origins
        hosts = [*origins, named] if "." in named else origins
        for host in dict.fromkeys(hosts):
            found.setdefault(host, []).append(Place(row.workspace_id, row.id, number))
    return found


def sites_at(hosts: SiteHosts, text: str, workspace_id: str) -> Sequence[Place]:
    """The sites of a host (or of a URL's host) in a workspace, oldest first."""
    for name in _names(text):
        found = [each for each in hosts.get(name, ()) if each.workspace_id == workspace_id]
        if found:
            return found
    return ()


def claimants(hosts: SiteHosts, text: str) -> Sequence[Place]:
    """The sites that a host may mean, of whatever workspace: those that list it most exactly come first.

    Older ones that list all below a domain it belongs to are among them: who lists `www.example.com` later
    takes nothing from `*.example.com`. (`*.com` claims nothing that others list.)
    """
    found: list[Place] = []
    for name in _names(text):
        places = hosts.get(name, ())
        if not found:
            found.extend(places)
        elif name.count(".") > 1:
            oldest = found[0].number
            found.extend(each for each in places if each.number < oldest)
    return found


def _names(text: str) -> Sequence[str]:
    """How sites may list the host that a text names, the most exact first."""
    host = _host(text)
    above = host.split(".")
    return (host, *(f"*.{'.'.join(above[cut:])}" for cut in range(1, len(above))))


def owners_of(hosts: SiteHosts) -> Mapping[str, str]:
    """The workspace of each site that lists a host."""
    return {place.site_id: place.workspace_id for places in hosts.values() for place in places}


def is_page_of(hosts: SiteHosts, url: str, site_id: str, workspace_id: str) -> bool:
    """Whether a page is one of the site's: on a host that it lists, or below one, and none of another's.

    What other workspaces list says nothing: anybody may list any host.
    """
    if found := sites_at(hosts, url, workspace_id):
        return any(each.site_id == site_id for each in found)
    labels = _host(url).split(".")
    above = [".".join(labels[cut:]) for cut in range(1, len(labels) - 1)]
    return any(
        each.site_id == site_id
        for host in above
        for name in (host, f"www.{host}")
        for each in hosts.get(name, ())
    )


def _host(text: str) -> str:
    """The host that a text names; "" for none."""
    _, scheme, rest = text.strip().partition("://")
    authority = (rest if scheme else text.strip()).split("/", 1)[0]
    name = authority if authority.startswith("[") else authority.partition(":")[0]
    if not name or len(name) > 300 or any(each.isspace() for each in name):
        return ""
    return _checked(name)


@lru_cache(4096)
def _checked(name: str) -> str:
    try:
        return check_host(name, field="site_id")
    except Invalid:
        return ""
