"""What is gone from the log before it was stored: told, and booked."""

import time
from collections.abc import Mapping

import structlog

from footfall.eventlog.port import EventLog
from footfall.metrics import LOG_LOST
from footfall.model.times import DAY
from footfall.state.batches import Batches
from footfall.state.lost import Lost
from footfall.tenants.model import DEFAULT_WORKSPACE

log = structlog.get_logger(__name__)


async def book_gone(eventlog: EventLog, batches: Batches, positions: Mapping[int, int]) -> None:
    """Book what lies above `positions` and can never be read. Nobody knows whose it was.

    Raises Retryable, Conflict.
    """
    gone = await eventlog.gone(positions)
    lost = [Lost(each.shard, each.first, each.last, each.events, each.at) for each in gone]
    booked = await batches.book_lost(DEFAULT_WORKSPACE, lost) if lost else 0
    # A restart within the day must not end the alert: somebody is still to see it.
    LOG_LOST.set(await batches.lost_since(time.time() - DAY))
    if not booked:
        return
    for shard in sorted({each.shard for each in gone}):
        mine = [each for each in gone if each.shard == shard]
        log.error(
            "acknowledged records are gone from the log; they are lost",
            shard=f"{shard:016x}",
            first=min(each.first for each in mine),
            last=max(each.last for each in mine),
            events=sum(each.events for each in mine),
        )
