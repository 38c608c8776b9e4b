"""The end of the log as a start reads it: the records of all shards in the order of time."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence

from footfall.eventlog.port import EventLog, StoredRecord

# What is read ahead of a shard.
_CHUNK_RECORDS = 20_000


class Tail:
    """Closed records of one shard between two offsets.

    All behind `sure`; of those up to there the first that was appended at `oldest` (Unix seconds) or
    later, and all after that one. Each is as new as the newest before it, whatever the clock said
    when it was appended. What the log did not have lies within `missing`: offsets, the second one
    excluded. A full log deletes what is stored whatever its age.
    """

    def __init__(
        self,
        eventlog: EventLog,
        shard: int,
        between: tuple[int, int],
        sure: int,
        oldest: float,
        size: int,
    ) -> None:
        self._eventlog = eventlog
        self.shard = shard
        self.sure = sure
        self.missing = (0, 0)
        self._after, self._upto = between
        self._oldest = oldest
        self._size = size
        self._newest = 0.0
        self._waiting: Sequence[StoredRecord] = ()
        self._more = self._after < self._upto

    async def fill(self) -> None:
        """Read on until something waits, or all was read. Raises Retryable."""
        while self._more and not self._waiting:
            read = await self._eventlog.read(self.shard, self._after, _CHUNK_RECORDS, self._size)
            self._note_missing(read)
            self._more = bool(read) and read[-1].offset < self._upto
            self._after = read[-1].offset if read else self._upto
            self._waiting = [each for each in map(self._placed, read) if self._wanted(each)]

    def _placed(self, record: StoredRecord) -> StoredRecord:
        """It, appended no sooner than those before it."""
        self._newest = max(self._newest, record.appended_at)
        return record._replace(appended_at=self._newest)

    def _wanted(self, record: StoredRecord) -> bool:
        new = record.offset > self.sure or record.appended_at >= self._oldest
        return new and record.offset <= self._upto

    def _note_missing(self, read: Sequence[StoredRecord]) -> None:
        closed = sum(each.offset <= self._upto for each in read)  # behind them there may be many more
        first = self._after + 1
        end = min(read[-1].offset if read else self._upto, self._upto) + 1
        if end - first > closed:
            self.missing = (self.missing[0] if any(self.missing) else first, end)

    @property
    def known_until(self) -> float:
        """When the last record that waits was appended; nothing older is still to be read."""
        return self._waiting[-1].appended_at if self._more else float("inf")

    def take(self, until: float) -> list[tuple[int, StoredRecord]]:
        """What waits and was appended until then, with its shard."""
        taken = [(self.shard, each) for each in self._waiting if each.appended_at <= until]
        self._waiting = [each for each in self._waiting if each.appended_at > until]
        return taken


async def by_time(tails: Sequence[Tail]) -> AsyncGenerator[list[tuple[int, StoredRecord]]]:
    """The records of all shards in the order of time, a part of them at once.

    So the newest ids are remembered when there are too many, whichever door they came through.
    """
    while True:
        for tail in tails:
            await tail.fill()
        until = min((tail.known_until for tail in tails), default=float("inf"))
        records = [each for tail in tails for each in tail.take(until)]
        if not records:
            return
        yield sorted(records, key=lambda each: each[1].appended_at)


async def closed_through(eventlog: EventLog, closed: Mapping[int, int]) -> float:
    """When the oldest record that is not closed was appended, in Unix seconds; now, if there is none."""
    through = time.time()
    for shard in await eventlog.shards():
        for waiting in await eventlog.read(shard, closed.get(shard, -1), 1, 1):
            through = min(through, waiting.appended_at)
    return through


async def newest_closed(eventlog: EventLog, closed: Mapping[int, int], through: float) -> float:
    """When the newest closed record was appended (Unix seconds), `through` at most.

    From there the tail counts: after days of rest, or with a clock that stands days ahead, the last
    ids are remembered all the same.
    """
    times = [
        last.appended_at
        for shard, upto in closed.items()
        for last in await eventlog.read(shard, upto - 1, 1, 1)
        if last.offset <= upto
    ]
    return min(max(times, default=through), through)
