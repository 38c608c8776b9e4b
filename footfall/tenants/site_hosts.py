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
    """A site, and whose it is."""

    workspace_id: str
    site_id: str


SiteHosts = Mapping[str, Sequence[Place]]
"""By host, or by `*.` and what is above it: the sites that list it, oldest first."""


def read_hosts(connection: Connection) -> SiteHosts:
    """Those of all sites."""
    found: dict[str, list[Place]] = {}
    columns = (sites.c.id, sites.c.workspace_id, sites.c.name, sites.c.origins)
    for row in connection.execute(sa.select(*columns).order_by(sites.c.created_at, sites.c.id)):
        named = _host(row.name)
        origins: list[str] = row.origins
        hosts = [*origins, named] if "." in named else origins
        for host in dict.fromkeys(hosts):
            found.setdefault(host, []).append(Place(row.workspace_id, row.id))
    return found


def sites_at(hosts: SiteHosts, text: str, workspace_id: str = "") -> Sequence[Place]:
    """The sites of a host (or of a URL's host), oldest first; of one workspace, if it is said."""
    host = _host(text)
    above = host.split(".")
    for name in (host, *(f"*.{'.'.join(above[cut:])}" for cut in range(1, len(above)))):
        found = [each for each in hosts.get(name, ()) if workspace_id in ("", each.workspace_id)]
        if found:
            return found
    return ()


def is_page_of(hosts: SiteHosts, url: str, site_id: str) -> bool:
    """Whether a page is one of the site's: on a host that it lists, or below one, and none of another's."""
    if found := sites_at(hosts, url):
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
