"""Messages of a topic, for one member of its consumer group; `done` commits what is safe elsewhere."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, Unpack

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from footfall.errors import Misconfigured
from footfall.kafka import LOGGER, describe, error_of, not_now, place_of
from footfall.settings import Settings

_MOST = 1000  # messages taken at once
_WAIT = 0.2  # seconds for the first of them
_OPTIONS: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # What was written before anybody read: all of it is somebody's clicks.
    "auto.offset.reset": "earliest",
    "check.crcs": True,
    "queued.max.messages.kbytes": 16 << 10,
    # While the log is full nothing is taken; another member may have the partitions then.
    "max.poll.interval.ms": 600_000,
    # Who was killed is missed after so long, and the others read what it had.
    "session.timeout.ms": 8000,
    "heartbeat.interval.ms": 2000,
    "partition.assignment.strategy": "cooperative-sticky",
}

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Received(NamedTuple):
    """A message and its place. `id`: 16 bytes of both, the same whenever it is read again."""

    partition: int
    offset: int
    written_at: int  # ms, by its producer or broker
    id: bytes
    value: bytes


class Inbox:
    """One reader of `clicks_topic`. Use it on one event loop; the library waits in a thread."""

    def __init__(self, settings: Settings) -> None:
        """Join the group, as soon as the brokers answer. Raises Misconfigured without usable settings."""
        if settings.log == "kafka" and settings.clicks_topic == settings.kafka_topic:
            raise Misconfigured("clicks_topic is the topic of the log: name another one")
        if settings.clicks_topic == settings.events_topic:
            raise Misconfigured("clicks_topic is events_topic: what goes out would come in again")
        self._place = place_of(settings, settings.clicks_topic, "read_clicks")
        self._topic_id = b""
        group = {"group.id": self._place.group("door")}
        self._consumer = Consumer(self._place.options | _OPTIONS | group, logger=LOGGER)
        self._consumer.subscribe([self.topic])
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="footfall-topic-read")

    @property
    def topic(self) -> str:
        """Its name."""
        return self._place.topic

    async def find(self) -> None:
        """Raises Misconfigured when there is no such topic, Retryable when nobody knows."""
        await self._do(self._find)

    async def take(self) -> Sequence[Received]:
        """The next messages, of each partition in order; empty when none came soon.

        Raises as `find`.
        """
        return await self._do(self._take)

    async def done(self, messages: Sequence[Received]) -> None:
        """These are safe: who reads on begins behind them. Raises Retryable, and then may have happened."""
        ends: dict[int, int] = {}
        for message in messages:
            ends[message.partition] = message.offset + 1
        places = [TopicPartition(self.topic, partition, offset) for partition, offset in ends.items()]
        await self._do(self._commit, places)

    async def close(self) -> None:
        """Leave the group: others get the partitions at once."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._consumer.close)
        self._thread.shutdown()

    def _find(self) -> None:
        try:
            admin = AdminClient(self._place.options, logger=LOGGER)
            self._topic_id, _ = describe(self._consumer, admin, self.topic)
        except KafkaException as error:
            if error_of(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Misconfigured(
                    f"clicks_topic: there is no topic {self.topic}; make it or clear read_clicks"
                ) from error
            raise

    def _take(self) -> list[Received]:
        if not self._topic_id:
            self._find()
        first = self._consumer.poll(_WAIT)
        # `consume` waits for as many as it is asked for. (A message without a value is falsy.)
        messages = [first, *self._consumer.consume(_MOST - 1, timeout=0)] if first is not None else []
        taken = [self._received(message) for message in messages if message.error() is None]
        # What came beside an error is delivered first, for it does not come again; the error does.
        error = next((error for message in messages if (error := message.error()) is not None), None)
        if error is not None and not taken:
            raise KafkaException(error)
        return taken

    def _commit(self, places: list[TopicPartition]) -> None:
        try:
            for place in self._consumer.commit(offsets=places, asynchronous=False) or []:
                if place.error is not None:
                    raise KafkaException(place.error)
        except KafkaException as error:
            # The partition is another member's by now: it reads these again, and their ids are known.
            if error_of(error).code() not in (
                KafkaError.ILLEGAL_GENERATION,
                KafkaError.UNKNOWN_MEMBER_ID,
                KafkaError.REBALANCE_IN_PROGRESS,
                KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001 -- the library's own name of it
            ):
                raise

    def _received(self, message: Message) -> Received:
        partition, offset = message.partition() or 0, message.offset() or 0
        _, milliseconds = message.timestamp()
        digest = blake2b(self._topic_id, digest_size=16, person=b"footfall message")
        value = message.value() or b""
        # With its time and content, so that what takes its place in a topic that was made again is another.
        for number in (partition, offset, max(milliseconds, 0)):
            digest.update(number.to_bytes(8, "big"))
        digest.update(value)
        return Received(partition, offset, milliseconds, digest.digest(), value)

    async def _do(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        def guarded() -> T:
            with not_now(f"the topic {self.topic}"):
                return function(*args)

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)
