"""One life of a worker: what it reaches the parts through, until it is killed, wherever it is."""

import asyncio
from typing import Any

import numpy as np
import pyarrow as pa

from footfall.errors import Retryable, StoreDown


class Crash(BaseException):
    """The death of a process: no part of it does anything any more."""


class Life:
    """One life of a worker: its calls to the parts go through here, until it is killed at one of them."""

    def __init__(self) -> None:
        self.left: int | None = None  # calls until it dies
        self.dead = False
        self.failing: dict[str, int] = {}  # calls that are to fail, by the beginning of their names
        self.torn = False  # it died within an insert

    def passing(self, name: str) -> None:
        """Raises Crash when the time has come, or Retryable for a call that is to fail."""
        if self.left is not None:
            self.left -= 1
            self.dead = self.dead or self.left <= 0
        if self.dead:
            raise Crash
        for prefix, count in self.failing.items():
            if count and name.startswith(prefix):
                self.failing[prefix] -= 1
                raise StoreDown("asked to fail") if "store" in name else Retryable("asked to fail")


class Through:
    """A part, reached through a life."""

    def __init__(self, real: Any, name: str, life: Life) -> None:
        self._real, self._name, self._life = real, name, life

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._real, method)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            self._life.passing(f"before {self._name}.{method}")
            if method == "insert":
                return await self._insert(*arguments)
            result = await found(*arguments, **named)
            self._life.passing(f"after {self._name}.{method}")
            return result

        return call

    async def _insert(self, rows: pa.Table, query_id: str) -> None:
        """An insert may end half-way: the engine writes a part for each month."""
        try:
            self._life.passing("within store.insert")
        except (Crash, Retryable):
            months = np.asarray(rows["occurred_at"].cast("timestamp[ms]")).astype("datetime64[M]").astype(int)
            some = rows.filter(pa.array(months % 2 == 0))
            if some.num_rows:
                await self._real.insert(some, f"{query_id}-torn")
            raise
        await self._real.insert(rows, query_id)
        self._life.passing("after store.insert")
