"""What is in the store, read from its files while no server runs: a process of its own, as the engine
lives in the process that opened it, for ever.

    python -m tests.faults.harness.rows DATA > ROWS

One line a row of `events` that carries an oracle's token: token, event id, shard, seq.
"""

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from footfall.settings import load
from footfall.store import open_store

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


def parse(text: str) -> list[Row]:
    """The rows as this module's process wrote them."""
    rows: list[Row] = []
    for line in text.splitlines():
        token, name, shard, seq = line.split()
        rows.append(Row(int(token), name, int(shard), int(seq)))
    return rows


async def main(data: Path) -> None:
    store = await open_store(load(data=data))
    try:
        sys.stdout.writelines(f"{' '.join(map(str, row))}\n" for row in await store.query(_ROWS))
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
