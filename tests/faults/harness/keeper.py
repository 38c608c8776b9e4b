"""A process that keeps the rollups of a data directory step by step, to be hurt.

    python -m tests.faults.harness.keeper DATA

A line on stdin is a step, see `Keeper`; the line on stdout that answers it is `done`, `failed` with
the reason, or what the step found. No server may run.
"""

import asyncio
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from footfall.components import with_state, with_store
from footfall.database import Database
from footfall.errors import FootfallError
from footfall.retention.policy import Retention
from footfall.rollups.compaction import Compactor, Merge
from footfall.rollups.maintenance import RollupMaintainer
from footfall.rollups.slicing import Slicer
from footfall.runtime import logs
from footfall.settings import Settings, load
from footfall.state import closings
from footfall.state.batches import Batches
from footfall.state.rollups.builds import Builds
from footfall.store.port import Store
from footfall.units import DAY
from tests.faults.harness.audit import Audit

_LATER = 3600.0  # seconds: retired builds may go
_MUCH_LATER = 200.0 * DAY  # raw events may go


class Keeper:
    """The steps. The time is noon today, so that no day begins."""

    def __init__(self, store: Store, state: Database, settings: Settings) -> None:
        self.now = datetime.now(UTC).replace(hour=12).timestamp()
        self._store, self._state = store, state
        # What is due is what is asked for.
        self._settings = settings.model_copy(update={"slice_rows": 1 << 40})
        self._builds = Builds(state)
        self._slicer = Slicer(store, Batches(state), self._builds, _zones, lambda: self.now)
        memory = settings.store_memory // 8
        self._compactor = Compactor(store, self._builds, self._slicer, lambda: self.now, memory)
        self._audit = Audit(store, state, settings)

    async def slice(self) -> None:
        """One slice of the next record or two."""
        parts, rows = await self._slicer.waiting()
        assert rows, "there is nothing left to slice"
        await self._slicer.slice(parts, rows, 1)

    async def merge(self) -> None:
        """One compaction of the two oldest builds of the first month."""
        entries = (await self._builds.manifest()).entries
        pair = [entry for entry in entries if entry.month == entries[0].month][:2]
        assert len(pair) == 2, "there are no two builds to merge"
        await self._compactor.merge(Merge(pair[0].month, tuple(pair), pair[0].level + 1))

    async def recover(self) -> None:
        """What a new process does first; nothing more is due."""
        await self._rollups().tick()

    async def drop(self) -> None:
        """The removal of retired builds."""
        await self._rollups(_LATER).tick()

    async def slice_all(self) -> None:
        """Slice what there is."""
        await self._rollups().slice_all()

    async def retain(self) -> None:
        """The nightly deletion, when all events are old enough for it."""
        rollups = self._rollups(_MUCH_LATER)
        # The worker's first look of the next day: without it nobody knows since when they are stored.
        await closings.mark(self._state, None, self.now + DAY)
        for night in (0, 1):  # the first announces
            at = self.now + _MUCH_LATER + night * DAY

            async def now(at: float = at) -> float:
                return at

            await Retention(self._store, self._state, self._settings, rollups, None, now, 0).apply()

    async def check(self) -> list[str]:
        """What is wrong with the rollups."""
        return [*await self._audit.counts(), *await self._audit.partitions()]

    async def check_retained(self) -> list[str]:
        """The same where retention was at work; how many events there are, by the rollups too, and visits."""
        found = [*await self._audit.partitions(), *await self._audit.verified()]
        ((left,),) = await self._store.query("SELECT count() FROM events")
        counted, visits = await self._audit.counted(), await self._audit.visits()
        return [*found, f"{left} left of {counted}, {visits} visits"]

    def _rollups(self, later: float = 0.0) -> RollupMaintainer:
        return RollupMaintainer(
            self._store, self._state, None, _zones, self._settings, lambda: self.now + later
        )


async def _zones(_: Collection[str]) -> Mapping[str, str]:
    return {}


async def main(data: Path) -> None:
    settings = load(data=data)
    logs.configure(settings.log_level)  # to stderr
    async with with_store(settings) as store, with_state(settings) as state:
        keeper = Keeper(store, state, settings)
        print("ready", flush=True)  # noqa: T201 - the answer on stdout is the protocol
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                found = await getattr(keeper, line)()
                answer = "; ".join(found).replace("\n", " ") if found else "done"
            except FootfallError as error:
                answer = f"failed: {error}".replace("\n", " ")
            print(answer, flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
