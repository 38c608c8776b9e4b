"""Every row of a batch into the store exactly once, whatever happens to an attempt.

An insert that returned is certain. After any other outcome (an error, a time-out, a process
that died) nobody knows which rows are there. The port promises that no attempt goes on behind
our back, so the store can be asked: rows carry their position, and what is missing is inserted.
"""

from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from footfall.errors import RowRefused, StoreDown
from footfall.metrics import INSERT_SECONDS, STORE_ERRORS
from footfall.state.batches import BatchPlan
from footfall.store.port import Store
from footfall.worker.backoff import Breaker

_PRESENT = (
    "SELECT seq FROM events WHERE shard = {shard:UInt64} AND seq BETWEEN {first:UInt64} AND {last:UInt64}"
    " AND (empty({named:Array(UInt64)}) OR seq IN {named:Array(UInt64)})"
    " AND occurred_at BETWEEN fromUnixTimestamp64Milli({oldest:Int64}, 'UTC')"
    " AND fromUnixTimestamp64Milli({newest:Int64}, 'UTC')"
)

# So few rows are asked for one by one: dead letters may lie far apart, and others between them.
_NAMED = 1000

Allowed = Callable[[], Awaitable[None]]
"""Raises Conflict when this worker may not insert any more."""

TooMany = Callable[[int], Awaitable[bool]]
"""Whether so many refused rows are too many to be set aside. Returns after a pause if they are."""


async def insert_exactly(
    store: Store,
    rows: pa.Table,
    query_id: str,
    breaker: Breaker,
    allowed: Allowed,
    too_many: TooMany,
    *,
    uncertain: bool,
) -> pa.Table:
    """Return when every row is in the store once; those that the store refuses are returned instead.

    `uncertain`: some of them may be there already. When too many are refused, all are tried
    again. Raises StopRequested, Conflict.
    """
    waiting = [rows]
    refused: list[pa.Table] = []
    attempt = 0
    while waiting:
        part = waiting.pop()
        try:
            if uncertain:
                part = await missing(store, part)
            if not part.num_rows:
                continue
            attempt += 1
            await allowed()
            with INSERT_SECONDS.time():
                await store.insert(part, f"{query_id}-{attempt}")
            breaker.succeeded()
        except RowRefused:
            uncertain = True
            if part.num_rows == 1:
                refused.append(part)
                if await too_many(len(refused)):
                    waiting, refused = [rows], []
            else:
                half = part.num_rows // 2
                waiting += [part.slice(half), part.slice(0, half)]
        except StoreDown as error:
            STORE_ERRORS.inc()
            uncertain = True
            waiting.append(part)
            await breaker.failed(error)
    return pa.concat_tables(refused) if refused else rows.slice(0, 0)


async def missing(store: Store, rows: pa.Table) -> pa.Table:
    """Those of `rows` whose position is not in the store. Raises StoreDown."""
    return rows.filter(pa.array(~await there(store, rows)))


async def there(store: Store, rows: pa.Table) -> NDArray[np.bool_]:
    """Of each of `rows` whether its position is in the store. Raises StoreDown."""
    found = np.zeros(rows.num_rows, np.bool_)
    if not rows.num_rows:
        return found
    await store.settle()
    shards, seqs = np.asarray(rows["shard"]), np.asarray(rows["seq"])
    occurred_at = np.asarray(rows["occurred_at"].cast(pa.int64()))
    for shard in np.unique(shards):
        mine = shards == shard
        named = seqs[mine].tolist() if np.count_nonzero(mine) <= _NAMED else ()
        stored = await _present(
            store,
            named,
            shard=int(shard),
            first=int(seqs[mine].min()),
            last=int(seqs[mine].max()),
            oldest=int(occurred_at[mine].min()),
            newest=int(occurred_at[mine].max()),
        )
        found |= mine & np.isin(seqs, np.array(stored, np.uint64))
    return found


async def present(store: Store, plan: BatchPlan) -> set[tuple[int, int]]:
    """Shard and seq of what is in the store of a plan. Raises StoreDown."""
    await store.settle()
    return {
        (part.shard, seq)
        for part in plan.ranges
        for seq in await _present(
            store,
            (),
            shard=part.shard,
            first=part.first_seq,
            last=part.last_seq,
            oldest=plan.min_occurred,
            newest=plan.max_occurred,
        )
    }


async def _present(store: Store, named: Sequence[int], **bounds: int) -> list[int]:
    found = await store.query(_PRESENT, {**bounds, "named": list(named)}, lane="worker")
    return [seq for (seq,) in found]
