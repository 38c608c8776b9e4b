"""Writing messages to a topic of others: safe once the in-sync replicas have them, and maybe twice."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from footfall.errors import Misconfigured, Retryable
from footfall.kafka import LOGGER, no_answer, not_now, place_of
from footfall.model.times import to_millis
from footfall.settings import Settings

_SECONDS = 30.0  # for what was given to the library at once
_OPTIONS: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "message.timeout.ms": to_millis(_SECONDS),
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 << 10,
    "partitioner": "murmur2_random",  # as Java's clients: others can find a key's partition
}


class Outgone(NamedTuple):
    """A message. Those with one key stay in their order."""

    key: str
    value: bytes


class Outbox:
    """The one writer of `events_topic`."""

    def __init__(self, settings: Settings) -> None:
        """Raises Misconfigured without usable settings."""
        taken = [settings.kafka_topic] if settings.log == "kafka" else []
        if settings.events_topic in (*taken, *([settings.clicks_topic] if settings.read_clicks else [])):
            raise Misconfigured("events_topic is read by Footfall itself: what goes out would come in again")
        self._place = place_of(settings, settings.events_topic, "events_topic")
        self._producer = Producer(self._place.options | _OPTIONS, logger=LOGGER)

    async def write(self, messages: Sequence[Outgone]) -> None:
        """Returns when the brokers have all of them.

        Raises Retryable when they do not take one; others may be there then.
        """
        await asyncio.to_thread(self._write, messages)

    async def close(self) -> None:
        """Give up what is on its way: whoever gave it has not heard that it is safe."""
        await asyncio.to_thread(self._producer.purge)

    def _write(self, messages: Sequence[Outgone]) -> None:
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Any) -> None:
            if error is not None:
                failed.append(error)

        with not_now(f"the topic {self._place.topic}"):
            deadline = time.monotonic() + _SECONDS
            for key, value in messages:
                self._produce(key, value, delivered, deadline)
            if self._producer.flush(max(deadline - time.monotonic(), 1.0)):
                self._producer.purge()
                self._producer.flush(1.0)
                raise KafkaException(no_answer().args[0])
        if failed:
            raise Retryable(f"the topic {self._place.topic} does not take events now: {failed[0].str()}")

    def _produce(self, key: str, value: bytes, delivered: Any, deadline: float) -> None:
        while True:
            try:
                self._producer.produce(self._place.topic, value, key or None, on_delivery=delivered)
            except BufferError:
                if time.monotonic() > deadline:
                    raise no_answer() from None
                self._producer.poll(0.05)
            else:
                return
