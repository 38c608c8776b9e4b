"""When the first event of a workspace occurred, as ranges over everything ask for each time."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from footfall.query.sql.select import first_events
from footfall.store.statement import Statement

_SECONDS = 10.0

Ask = Callable[[Statement, float], Awaitable[Sequence[tuple[Any, ...]]]]
"""Asks the store; the seconds it may take. Raises Invalid, StoreDown."""


class _Known(NamedTuple):
    at: int | None
    version: int
    positions: Mapping[int, int]


class FirstEvents:
    """Looks once; then, while nothing is deleted or published, for earlier ones, which few parts have."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, _Known] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, workspace_id: str, version: int, positions: Mapping[int, int]) -> int | None:
        """When the first event that anything is known of occurred (ms), or its hour or day began.

        `version`: of the manifest; `positions`: how far the shards were stored when it was asked for.
        """
        async with self._asking[workspace_id]:  # who asks meanwhile gets the same
            known = self._known.get(workspace_id)
            if known and (known.version, known.positions) == (version, positions):
                return known.at
            before = known.at if known and known.version == version else None
            found = await self.look(workspace_id, before)
            at = before if found is None else found
            self._known[workspace_id] = _Known(at, version, positions)
            return at

    async def look(
        self, workspace_id: str, before: int | None = None, sites: Sequence[str] | None = None
    ) -> int | None:
        """The same, looked for: the first before a time (ms), or of all; of some sites, or of all."""
        found: list[tuple[Any, ...]] = []
        for statement in first_events(workspace_id, before, sites):
            found += await self._ask(statement, _SECONDS)
        return min((at for at, count in found if count), default=None)
