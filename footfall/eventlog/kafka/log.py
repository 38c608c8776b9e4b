"""The log in a Kafka topic: what the in-sync replicas have is safe; a position is an offset."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar, TypeVarTuple, Unpack

from footfall.errors import Invalid, Misconfigured
from footfall.eventlog.kafka.groups import Groups
from footfall.eventlog.kafka.producer import Appender
from footfall.eventlog.kafka.reader import PartitionReader
from footfall.eventlog.kafka.topic import Topic
from footfall.eventlog.port import Backlog, Entry, GoneRecords, StoredRecord
from footfall.kafka import not_now, place_of
from footfall.settings import Settings

_LOOK_EVERY = 5.0  # seconds between looks at the topic, which may get partitions
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def open_log(settings: Settings, *, shard: Literal["claim", "none"]) -> "KafkaLog":
    """Open the log in `settings.kafka_topic`. See `footfall.eventlog.open_log`.

    Raises Misconfigured also without usable settings, Retryable when the brokers do not answer.
    """
    place = place_of(settings, settings.kafka_topic, "log = kafka")
    if settings.overflow == "drop_oldest":
        raise Misconfigured("overflow = drop_oldest is of the log in the data directory; this one refuses")
    topic = Topic(place)

    def make() -> None:
        with not_now():
            topic.make(settings.kafka_partitions)

    await asyncio.to_thread(make)
    return KafkaLog(topic, Appender(place) if shard == "claim" else None)


class KafkaLog:
    """An EventLog; see the port. The reading side has one thread, and a consumer for each partition."""

    def __init__(self, topic: Topic, appender: Appender | None) -> None:
        """`appender`: None for a log that only reads."""
        self._topic = topic
        self._appender = appender
        self._groups = Groups(topic)
        self._readers: dict[int, PartitionReader] = {}
        self._times: dict[tuple[int, int], float] = {}  # of the ends of the last backlog, by shard and offset
        self._looked = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="footfall-log-read")
        self._closed = False

    async def append(self, entry: Entry) -> None:
        """See the port."""
        if self._appender is None:
            raise Misconfigured("this log was opened for reading only")
        await self._appender.append(entry)

    async def shards(self) -> Sequence[int]:
        """See the port."""
        return await self._do(self._shards)

    async def read(self, shard: int, after: int, limit: int, max_bytes: int) -> Sequence[StoredRecord]:
        """See the port."""
        return await self._do(self._read, shard, after, limit, max_bytes)

    async def begin(self, shard: int, first: int, last: int) -> bool:  # noqa: ARG002 -- as in the port
        """See the port. Nothing is ever changed here."""
        return True

    async def commit(self, consumer: str, shard: int, upto: int) -> None:
        """See the port. The offsets of the consumer's group follow, for the tools that show them."""
        if not _NAME.fullmatch(consumer):
            raise Invalid("a consumer has a name of a-z, 0-9, _ and -", field="consumer")
        await self._do(self._groups.commit, consumer, shard, upto)

    async def gone(self, after: Mapping[int, int]) -> Sequence[GoneRecords]:
        """See the port. How many events they had is not known: at least one a record."""
        return await self._do(self._gone, after)

    async def drop_consumer(self, consumer: str) -> None:
        """See the port."""
        await self._do(self._groups.drop, consumer)

    async def backlog(self, consumer: str) -> Backlog:
        """See the port."""
        return await self._do(self._backlog, consumer)

    async def retain(self, older_than: float) -> int:
        """See the port. While no consumer is known nothing is deleted."""
        return await self._do(self._retain, older_than)

    async def close(self) -> None:
        """See the port."""
        if self._closed:
            return
        self._closed = True
        if self._appender is not None:
            await self._appender.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_readers)
        self._thread.shutdown()

    async def _do(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        def guarded() -> T:
            with not_now():
                return function(*args)

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _shards(self) -> list[int]:
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._topic.find()
            self._looked = time.monotonic()
        return [shard for shard in self._topic.shards if self._reader(shard).borders()[1] > 0]

    def _reader(self, shard: int) -> PartitionReader:
        reader = self._readers.get(shard)
        if reader is None:
            reader = self._readers[shard] = self._new_reader(shard)
        return reader

    def _new_reader(self, shard: int) -> PartitionReader:
        return PartitionReader(self._topic.place, self._topic.shards[shard], self._topic.asking)

    def _read(self, shard: int, after: int, limit: int, max_bytes: int) -> list[StoredRecord]:
        if shard not in self._topic.shards:
            return []
        return self._reader(shard).read(after, limit, max_bytes)

    def _backlog(self, consumer: str) -> Backlog:
        committed = self._groups.committed(consumer)
        records = 0
        ends: list[tuple[int, int]] = []
        for shard in self._topic.shards:
            low, high = self._reader(shard).borders()
            first = max(low, committed.get(shard, -1) + 1)
            if first < high:
                records += high - first
                ends += [(shard, first), (shard, high - 1)]
        self._times = {end: self._times.get(end) or self._time(*end) for end in ends}
        times = self._times.values()
        return Backlog(records, min(times), max(times)) if records else Backlog(0)

    def _time(self, shard: int, offset: int) -> float:
        """When a record was appended. The reader of the worker is left where it is."""
        peeking = self._new_reader(shard)
        try:
            return peeking.time_of(offset)
        finally:
            peeking.close()

    def _gone(self, after: Mapping[int, int]) -> list[GoneRecords]:
        released = self._groups.released()
        found: list[GoneRecords] = []
        for shard in self._topic.shards:
            first = after.get(shard, released.get(shard, -1)) + 1
            low = self._reader(shard).borders()[0]
            if first < low:
                found.append(GoneRecords(shard, first, low - 1, low - first, time.time()))
        return found

    def _retain(self, older_than: float) -> int:
        released = self._groups.released()
        deleted = 0
        for shard, partition in self._topic.shards.items():
            low, high = self._reader(shard).borders()
            upto = min(released.get(shard, -1) + 1, self._groups.first_since(partition, older_than), high)
            if upto > low:
                self._groups.delete_below(partition, upto)
                deleted += upto - low
        return deleted

    def _close_readers(self) -> None:
        for reader in self._readers.values():
            reader.close()
        self._topic.asking.close()
