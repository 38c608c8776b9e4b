"""What is in the store, read from its files while no server runs: a process of its own, as the engine
lives in the process that opened it, for ever.

    python -m tests.faults.harness.rows DATA > ROWS

One line a row of `events` that carries an oracle's token: token, event id, shard, seq. Then a line
that begins with `!` for each thing that is wrong with the rollups, or that `verify` finds: as they
were left, and after the next slice, which is made here.
"""

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from footfall.components import with_state, with_tenants
from footfall.rollups.maintenance import RollupMaintainer
from footfall.runtime import logs
from footfall.settings import Settings, load
from footfall.store import open_store
from footfall.store.port import Store
from tests.faults.harness.audit import Audit

_ROWS = r"""
    SELECT toUInt64OrZero(extract(page_url, 'n=(\d+)$')) AS token, event_id, shard, seq
    FROM events ORDER BY token, shard, seq
"""


class Row(NamedTuple):
    """One stored event."""

    token: int  # 0: of no oracle
    event_id: str
    shard: int
    seq: int


def parse(text: str) -> tuple[list[Row], list[str]]:
    """The rows as this module's process wrote them, and what is wrong."""
    rows: list[Row] = []
    problems: list[str] = []
    for line in text.splitlines():
        if line.startswith("!"):
            problems.append(line[1:])
            continue
        token, name, shard, seq = line.split()
        rows.append(Row(int(token), name, int(shard), int(seq)))
    return rows, problems


async def problems_of(store: Store, settings: Settings) -> list[str]:
    """What is wrong with the rollups, and what `verify` finds."""
    async with with_state(settings) as state, with_tenants(settings) as tenants:
        audit = Audit(store, state, settings)
        found = [*await audit.counts(), *await audit.verified()]
        await RollupMaintainer(store, state, None, tenants.timezones, settings).slice_all()
        found += [*await audit.counts(), *await audit.partitions(), *await audit.unsliced()]
        return found + await audit.all_verified()


async def main(data: Path) -> None:
    logs.configure("warning")  # to stderr
    settings = load(data=data)
    store = await open_store(settings)
    try:
        sys.stdout.writelines(f"{' '.join(map(str, row))}\n" for row in await store.query(_ROWS))
        sys.stdout.writelines(f"!{problem}\n" for problem in await problems_of(store, settings))
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
