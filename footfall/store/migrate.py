"""Brings a store's schema up to date: numbered SQL files, applied once, in order.

A file is `NNNN_name.sql`; a semicolon at the end of a line ends a statement. ClickHouse has
no transactions over schema changes, so two rules keep the old schema usable when one fails:
every statement can be run again (`IF NOT EXISTS`), so that a migration that failed half-way
is resumed, and a migration only adds; what is dropped, is dropped by a later one.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from footfall.errors import FootfallError, Misconfigured, Retryable
from footfall.store.schema import differences

SQL = Path(__file__).with_name("sql")

_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_END = re.compile(r";[ \t]*$", re.MULTILINE)

_APPLIED = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY name
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
_RECORD = "INSERT INTO schema_migrations (name, checksum) SELECT {name:String}, {checksum:String}"


class MigrationTarget(Protocol):
    """What a migration needs of a store. Both block, and raise FootfallError."""

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run one statement that answers nothing."""
        ...

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
        """The rows of one SELECT."""
        ...


class Migration(NamedTuple):
    """One file. The checksum is that of its statements; comments may be improved later."""

    name: str
    statements: tuple[str, ...]
    checksum: str


def migrations(directory: Path = SQL) -> list[Migration]:
    """The migrations of a directory, in order. Raises Misconfigured for a wrong or doubled name."""
    found: dict[str, Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None or match[1] in found:
            raise Misconfigured(f"migration {path.name}: the name must be NNNN_name.sql, each number once")
        text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
        statements = tuple(part.strip() for part in _END.split(text) if part.strip())
        normal = "\n".join(" ".join(statement.split()) for statement in statements)
        found[match[1]] = Migration(path.stem, statements, hashlib.sha256(normal.encode()).hexdigest())
    return list(found.values())


def migrate(engine: MigrationTarget, directory: Path = SQL) -> list[str]:
    """Apply what is missing, then check the columns. Returns the names of those applied now.

    Raises Misconfigured, naming the file and the engine's error, when one fails; when one
    that was applied has changed since, or is unknown to this version of Footfall; and when the
    columns differ from `model.columns` in the end. Retryable passes through.
    """
    known = migrations(directory)
    engine.command(_APPLIED)
    applied: dict[str, str] = {
        str(name): str(checksum)
        for name, checksum in engine.rows("SELECT name, any(checksum) FROM schema_migrations GROUP BY name")
    }
    if newer := applied.keys() - {migration.name for migration in known}:
        raise Misconfigured(
            f"the store was written by a newer version of Footfall (migration {max(newer)}); upgrade to it"
        )
    done: list[str] = []
    for migration in known:
        if migration.name not in applied:
            _apply(engine, migration)
            done.append(migration.name)
        elif applied[migration.name] != migration.checksum:
            raise Misconfigured(
                f"migration {migration.name} has changed since it was applied; add a new one instead"
            )
    check(engine)
    return done


def check(engine: MigrationTarget) -> None:
    """Raises Misconfigured when the columns of `events` are not those of `model.columns`."""
    rows = engine.rows(
        "SELECT name, type, default_kind FROM system.columns"
        " WHERE database = currentDatabase() AND table = 'events' ORDER BY position"
    )
    if wrong := differences([(str(name), str(kind), str(default)) for name, kind, default in rows]):
        raise Misconfigured("the table events is not what this version expects:\n  " + "\n  ".join(wrong))


def _apply(engine: MigrationTarget, migration: Migration) -> None:
    for statement in migration.statements:
        try:
            engine.command(statement)
        except Retryable:
            raise
        except FootfallError as error:
            raise Misconfigured(
                f"migration {migration.name}.sql failed, the schema before it stays in use: {error}"
            ) from error
    engine.command(_RECORD, {"name": migration.name, "checksum": migration.checksum})
