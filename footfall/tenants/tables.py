"""The tables of the metadata database."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database, Migration, Place, notify

METADATA = sa.MetaData()
MIGRATIONS: Sequence[Migration] = ()

# Ids are short random words; times are ms since 1970 UTC, 0 for never.
_ID = sa.String(64)


def _workspace_id() -> sa.Column[str]:
    owner = sa.ForeignKey("workspaces.id", ondelete="CASCADE")
    return sa.Column("workspace_id", _ID, owner, nullable=False, index=True)


def _created_at() -> sa.Column[int]:
    return sa.Column("created_at", sa.BigInteger, nullable=False)


workspaces = sa.Table(
    "workspaces",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    _created_at(),
)

sites = sa.Table(
    "sites",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    _workspace_id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("origins", sa.JSON, nullable=False),
    sa.Column("timezone", sa.String(64), nullable=False),
    _created_at(),
)

# Who may make links on a domain of their own. The first to use a domain has it.
domains = sa.Table(
    "domains",
    METADATA,
    sa.Column("host", sa.String(260), primary_key=True),
    _workspace_id(),
    _created_at(),
)

links = sa.Table(
    "links",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    _workspace_id(),
    sa.Column("domain", sa.String(260), nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    _created_at(),
    # The code first: links are looked up by many codes at once.
    sa.UniqueConstraint("code", "domain"),
)

# `hash` is the SHA-256 of the secret. A plain hash is enough, and a slow one would cost every
# request: what it protects is no password but 190 random bits, which nobody guesses.
keys = sa.Table(
    "keys",
    METADATA,
    sa.Column("id", _ID, primary_key=True),
    _workspace_id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    _created_at(),
)

# Only of keys that expire. A table of its own: databases of older versions have the one above as it is.
key_expiries = sa.Table(
    "key_expiries",
    METADATA,
    sa.Column("key_id", _ID, sa.ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)


# Only of links with an option that is not the default. A table of its own, for the same reason.
link_options = sa.Table(
    "link_options",
    METADATA,
    sa.Column("link_id", _ID, sa.ForeignKey("links.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("pass_query", sa.Boolean, nullable=False),
)


def _saved(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """Something that questions name; site_id "" is all of the workspace."""
    return sa.Table(
        name,
        METADATA,
        sa.Column("id", _ID, primary_key=True),
        _workspace_id(),
        sa.Column("site_id", _ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        *columns,
        _created_at(),
        sa.UniqueConstraint("workspace_id", "site_id", "name"),
    )


goals = _saved(
    "goals",
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("page", sa.Text, nullable=False),
    sa.Column("scroll_depth", sa.Float, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
)

segments = _saved("segments", sa.Column("filters", sa.JSON, nullable=False))

# How the processes hear of changes: every transaction that changes something adds one to the
# counter and writes what it changed under the new number. The counter's row is locked until
# the commit, so the numbers become visible in order.
change_counter = sa.Table(
    "change_counter",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)

changes = sa.Table(
    "changes",
    METADATA,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(330), primary_key=True),
)

# Who heard of nothing for this many changes starts over with empty caches.
KEPT_CHANGES = 10_000


def open_metadata(place: Place) -> Database:
    """Open or create the metadata database (`DATA/meta.db`). Raises as `Database.open`."""
    return Database.open(place, METADATA, MIGRATIONS)


def record_changes(connection: Connection, kind: str, names: Iterable[str]) -> None:
    """Tell every process that these things were made, changed or deleted. Part of the transaction.

    `kind` is `link` (named by `link_name`), `site`, `workspace` (by id), `key` (by hash),
    `domain` (by host), or `all`.
    """
    bumped = connection.execute(change_counter.update().values(version=change_counter.c.version + 1))
    if bumped.rowcount == 0:
        connection.execute(change_counter.insert().values(id=1, version=1))
    version = current_version(connection)
    rows = [{"version": version, "kind": kind, "name": name} for name in sorted(set(names))]
    connection.execute(changes.insert(), rows)
    connection.execute(changes.delete().where(changes.c.version <= version - KEPT_CHANGES))
    notify(connection)


def current_version(connection: Connection) -> int:
    """The number of the last change; 0 when there was none."""
    return connection.scalar(sa.select(change_counter.c.version)) or 0


def link_name(domain: str, code: str) -> str:
    """The name under which changes of a link are told."""
    return f"{domain}/{code}"
