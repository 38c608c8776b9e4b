"""The durable log: the port.

A log has shards. A shard has one writer and a random 64-bit id that is born with it and
never used again. A record has an offset in its shard: increasing, gaps allowed, never
changing. (shard, offset) names a record for ever.

"Nothing" and "not now" are different answers: every method below but `append` (which raises
LogFull) raises Retryable when it cannot answer at present, because something is held, slow,
unreadable for the moment, or full. An empty answer means that there is nothing.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

# The consumer that stores events; what it has not committed is the backlog.
WORKER = "worker"


class Entry(NamedTuple):
    """A record on its way in. Resends with the same routing `key` must meet in one partition."""

    key: str
    data: bytes


class StoredRecord(NamedTuple):
    """A record on its way out. `data` is None when it is damaged (its checksum does not match)."""

    offset: int
    appended_at: float  # Unix seconds
    data: bytes | None


class Backlog(NamedTuple):
    """What a consumer has not committed: how many records, and when those were appended (Unix seconds)."""

    records: int
    oldest: float = 0.0
    newest: float = 0.0

    @property
    def oldest_age(self) -> float:
        """The age of the oldest in seconds; 0 of none."""
        return max(time.time() - self.oldest, 0.0) if self.records else 0.0


class GoneRecords(NamedTuple):
    """Records `first` to `last` (offsets) of a shard, with so many events, were durable and are gone.

    `at`: when they were appended (Unix seconds).
    """

    shard: int
    first: int
    last: int
    events: int
    at: float


class EventLog(Protocol):
    """Where events are safe before they are stored."""

    async def append(self, entry: Entry) -> None:
        """Returns when the record is durable: fsynced, or acknowledged by the broker.

        Concurrent appends share a commit. Cancelling the wait does not cancel the append.
        Raises LogFull when the log cannot take the record; then nothing of it is kept. Raises
        Invalid for a record of more than 16 MiB, Misconfigured on a log opened to read.
        """
        ...

    async def shards(self) -> Sequence[int]:
        """All shards that may hold records, also those that no process writes any more. Raises Retryable."""
        ...

    async def read(self, shard: int, after: int, limit: int, max_bytes: int) -> Sequence[StoredRecord]:
        """The records of `shard` with an offset above `after` (-1 for all), in order.

        At most `limit` records and about `max_bytes` (at least one record, if there is any).
        Answers at once, empty when there is nothing new. A damaged record is returned
        without data; the ones around it are delivered. Raises Retryable when it cannot tell what
        comes next; what it read before that is delivered first.
        """
        ...

    async def begin(self, shard: int, first: int, last: int) -> bool:
        """The worker is about to store the records `first` to `last` (offsets), as it has read them.

        On return that is durable, and what they hold is never changed any more (as `overflow =
        "drop_oldest"` does with others). False where it may have changed since they were read: they are to
        be read again. Raises Retryable.
        """
        ...

    async def commit(self, consumer: str, shard: int, upto: int) -> None:
        """`consumer` needs nothing up to and including `upto` any more.

        It only releases records for retention: where to read on is the consumer's own
        knowledge, kept with what it did with them. A smaller `upto` than before changes nothing.
        `consumer` is a short name of a-z, 0-9, _ and -. Raises Retryable, and then may have
        happened or not.
        """
        ...

    async def gone(self, after: Mapping[int, int]) -> Sequence[GoneRecords]:
        """What was acknowledged, lies above the offset `after` of its shard, and can never be read.

        With its file, or the end of it, it has left the log without being damaged there: `read` passes
        over it. As far as the log can know; for the start of a consumer, and where it finds offsets
        left out. Nothing above an offset in `after` was released by the consumer. Raises Retryable.
        """
        ...

    async def drop_consumer(self, consumer: str) -> None:
        """Forget an abandoned consumer, so that it no longer holds records back. Raises Retryable."""
        ...

    async def backlog(self, consumer: str) -> Backlog:
        """Depth and oldest age over all shards. Raises Retryable if one of them cannot tell."""
        ...

    async def retain(self, older_than: float) -> int:
        """Delete what was appended before `older_than` (Unix seconds) and every consumer committed.

        May keep more: whole segments only, and everything while no consumer is known, because
        one may still come. To be called now and then by every process that appends. Returns
        the number of records deleted. (A log at its size limit deletes what every consumer
        committed without being asked, whatever its age, before it refuses a record.) Raises
        Retryable after it deleted what it could.
        """
        ...

    async def close(self) -> None:
        """Make everything accepted durable, then release the shard."""
        ...
