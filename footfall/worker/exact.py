"""Every row of a batch into the store exactly once, whatever happens to an attempt.

An insert that returned is certain. After any other outcome (an error, a time-out, a process
that died) nobody knows which rows are there. The port promises that no attempt goes on behind
our back, so the store can be asked: rows carry their position, and what is missing is inserted.
"""

from collections.abc import Awaitable, Callable

import numpy as np
import pyarrow as pa

from footfall.errors import Invalid, RowRefused, StoreDown
from footfall.metrics import INSERT_SECONDS, STORE_ERRORS
from footfall.state.batches import Plan
from footfall.store.port import Store
from footfall.worker.patience import Breaker

_PRESENT = (
    "SELECT seq FROM events WHERE shard = {shard:UInt64} AND seq BETWEEN {first:UInt64} AND {last:UInt64}"
    " AND occurred_at BETWEEN fromUnixTimestamp64Milli({oldest:Int64}, 'UTC')"
    " AND fromUnixTimestamp64Milli({newest:Int64}, 'UTC')"
)

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
    again. Raises Stopped, Conflict.
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
    if not rows.num_rows:
        return rows
    await store.settle()
    shards, seqs = np.asarray(rows["shard"]), np.asarray(rows["seq"])
    occurred_at = np.asarray(rows["occurred_at"].cast(pa.int64()))
    there = np.zeros(rows.num_rows, np.bool_)
    for shard in np.unique(shards):
        mine = shards == shard
        found = await _present(
            store,
            shard=int(shard),
            first=int(seqs[mine].min()),
            last=int(seqs[mine].max()),
            oldest=int(occurred_at[mine].min()),
            newest=int(occurred_at[mine].max()),
        )
        there |= mine & np.isin(seqs, np.array(found, np.uint64))
    return rows.filter(pa.array(~there))


async def present(store: Store, plan: Plan) -> set[tuple[int, int]]:
    """Shard and seq of what is in the store of a plan. Raises StoreDown."""
    await store.settle()
    return {
        (part.shard, seq)
        for part in plan.ranges
        for seq in await _present(
            store,
            shard=part.shard,
            first=part.first_seq,
            last=part.last_seq,
            oldest=plan.min_occurred,
            newest=plan.max_occurred,
        )
    }


async def _present(store: Store, **bounds: int) -> list[int]:
    try:
        return [seq for (seq,) in await store.query(_PRESENT, bounds)]
    except Invalid as error:  # it takes too long now: a matter of the store, not of the question
        raise StoreDown(f"the store could not say which rows it has: {error}") from error
