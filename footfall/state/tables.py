"""The tables of the state database."""

from pathlib import Path

import sqlalchemy as sa

from footfall.database import Database

METADATA = sa.MetaData()
VERSION = 1

# A shard's id is an unsigned 64-bit number, which SQL has no type for: 16 hex digits, as in
# the name of its directory.
positions = sa.Table(
    "positions",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("offset", sa.BigInteger, nullable=False),
)

# A plan is written whole and read whole, so it is one JSON document.
plans = sa.Table(
    "plans",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

totals = sa.Table(
    "totals",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

salts = sa.Table(
    "salts",
    METADATA,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
)


def open_state(path: Path) -> Database:
    """Open or create the state database (`DATA/state.db`). Raises Misconfigured."""
    return Database.open(path, METADATA, VERSION)
