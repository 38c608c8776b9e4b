"""The SQL of workspaces and sites. The functions run inside one transaction."""

import secrets
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.errors import Conflict
from footfall.model.ids import short_id
from footfall.model.times import now_ms
from footfall.tenants import keys, rows
from footfall.tenants.fields import check_origins, check_text, check_timezone
from footfall.tenants.model import DEFAULT_WORKSPACE, Site, Workspace
from footfall.tenants.tables import goals, record_changes, segments, sites, workspaces


def bootstrap(connection: Connection, admin_key: str) -> str | None:
    """Give an empty database its workspace, site and admin key; the key's secret, or None."""
    if connection.scalar(sa.select(workspaces.c.id).limit(1)) is not None:
        return None
    create(connection, "Default", workspace_id=DEFAULT_WORKSPACE)
    create_site(connection, DEFAULT_WORKSPACE, "My site", (), "UTC")
    return keys.create(connection, DEFAULT_WORKSPACE, "First admin key", ("admin",), admin_key)[1]


def create(connection: Connection, name: str, workspace_id: str = "") -> Workspace:
    """Raises Invalid."""
    made = Workspace(
        workspace_id or short_id("ws"), check_text(name, "name"), secrets.token_bytes(32), _now()
    )
    rows.insert(connection, workspaces, made)
    record_changes(connection, "workspace", [made.id])
    return made


def every(connection: Connection) -> list[Workspace]:
    """All workspaces, oldest first."""
    query = sa.select(workspaces).order_by(workspaces.c.created_at, workspaces.c.id)
    return [rows.make(Workspace, row) for row in connection.execute(query).mappings()]


def rename(connection: Connection, workspace_id: str, name: str) -> None:
    """Raises NotFound, Invalid."""
    new = workspaces.update().where(workspaces.c.id == workspace_id).values(name=check_text(name, "name"))
    if connection.execute(new).rowcount == 0:
        raise rows.not_found(workspaces)
    record_changes(connection, "workspace", [workspace_id])


def delete(connection: Connection, workspace_id: str) -> None:
    """With all that belongs to it. Raises NotFound, Conflict."""
    if workspace_id == DEFAULT_WORKSPACE:
        raise Conflict("the default workspace cannot be deleted: orphan clicks belong to it")
    if connection.execute(workspaces.delete().where(workspaces.c.id == workspace_id)).rowcount == 0:
        raise rows.not_found(workspaces)
    record_changes(connection, "all", [""])


def create_site(
    connection: Connection, workspace_id: str, name: str, origins: Iterable[str], timezone: str
) -> Site:
    """Raises Invalid."""
    checked, hosts, zone = check_text(name, "name"), check_origins(origins), check_timezone(timezone)
    site = Site(short_id("site"), workspace_id, checked, hosts, zone, _now())
    rows.insert(connection, sites, site)
    record_changes(connection, "site", [site.id])
    return site


def update_site(
    connection: Connection,
    workspace_id: str,
    site_id: str,
    name: str | None,
    origins: Iterable[str] | None,
    timezone: str | None,
) -> Site:
    """Change what is not None. Raises NotFound, Invalid."""
    new = {
        "name": None if name is None else check_text(name, "name"),
        "origins": None if origins is None else check_origins(origins),
        "timezone": None if timezone is None else check_timezone(timezone),
    }
    site = rows.update(connection, sites, Site, workspace_id, site_id, new)
    record_changes(connection, "site", [site_id])
    return site


def delete_site(connection: Connection, workspace_id: str, site_id: str) -> None:
    """Raises NotFound."""
    rows.delete(connection, sites, workspace_id, site_id)
    for table in (goals, segments):
        mine = (table.c.workspace_id == workspace_id, table.c.site_id == site_id)
        connection.execute(table.delete().where(*mine))
    record_changes(connection, "site", [site_id])


def _now() -> int:
    return now_ms()
