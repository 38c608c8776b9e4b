"""Which runs of lines of files were imported, so that a repeat is known even when its events are gone.

A run is named by a digest of its first line and holds a digest of all of them, both under the
workspace's key: whoever reads this table learns nothing of the lines. It is kept for ever.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.state.tables import imported_runs

_AT_ONCE = 500  # digests in one statement


class LineRun(NamedTuple):
    """`lines` lines, the first of which has the digest `start`, all together `digest` (16 bytes each)."""

    start: bytes
    lines: int
    digest: bytes


class ImportedFiles:
    """The registry. `scope` says what a run was imported as: the same file may be so for another site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, workspace_id: str, scope: str, starts: Sequence[bytes]
    ) -> Mapping[bytes, Sequence[LineRun]]:
        """The runs that begin with one of `starts`, by it. Raises Retryable."""

        def read(connection: Connection) -> Mapping[bytes, Sequence[LineRun]]:
            found: defaultdict[bytes, list[LineRun]] = defaultdict(list)
            for first in range(0, len(starts), _AT_ONCE):
                rows = connection.execute(
                    sa.select(imported_runs.c.start, imported_runs.c.lines, imported_runs.c.digest).where(
                        imported_runs.c.workspace_id == workspace_id,
                        imported_runs.c.scope == scope,
                        imported_runs.c.start.in_(starts[first : first + _AT_ONCE]),
                    )
                )
                for row in rows:
                    found[row.start].append(LineRun(row.start, row.lines, row.digest))
            return found

        return await self._database.read(read) if starts else {}

    async def add(self, workspace_id: str, scope: str, runs: Sequence[LineRun], imported_at: int) -> None:
        """Remember runs; durable on return. `imported_at` in ms. Raises Retryable."""
        if not runs:
            return
        common = {"workspace_id": workspace_id, "scope": scope, "imported_at": imported_at}

        def write(connection: Connection) -> None:
            connection.execute(
                insert(connection, imported_runs).on_conflict_do_nothing(),
                [common | run._asdict() for run in runs],
            )

        await self._database.run(write)
