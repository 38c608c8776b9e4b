"""How Kafka is reached, and what of its errors means what."""

import logging
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection

from footfall.errors import Misconfigured, Retryable
from footfall.settings import Settings

SECONDS = 10.0
"""How long an answer of the brokers is waited for."""

# The library tells of every attempt to connect, many a second; what fails is told by who needed it.
LOGGER = logging.getLogger("kafka")
LOGGER.setLevel(logging.CRITICAL)

_NOT_OURS = ("enable.idempotence", "acks", "enable.auto.commit", "group.id", "message.timeout.ms")


class Place(NamedTuple):
    """A topic, and how its brokers are reached; `options` are librdkafka's."""

    topic: str
    options: dict[str, Any]

    def group(self, consumer: str) -> str:
        """The consumer group in which standard tools see a consumer."""
        return f"footfall.{self.topic}.{consumer}"


def place_of(settings: Settings, topic: str, needed_by: str) -> Place:
    """A topic of the brokers that the settings name, for what is `needed_by`. Raises Misconfigured."""
    if not settings.kafka_brokers:
        raise Misconfigured(f"{needed_by} needs kafka_brokers: host:9092,host:9092")
    try:
        more = msgspec.json.decode(settings.kafka_options.get_secret_value() or "{}", type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise Misconfigured('kafka_options is a JSON object of texts: {"security.protocol":"SSL"}') from error
    if wrong := [name for name in _NOT_OURS if name in more]:
        raise Misconfigured(f"kafka_options must leave {wrong[0]} to Footfall: its promises rest on that")
    own = {
        "bootstrap.servers": settings.kafka_brokers,
        "client.id": "footfall",
        "socket.keepalive.enable": True,
    }
    return Place(topic, own | more)


@contextmanager
def not_now(what: str = "the log") -> Generator[None]:
    """What the brokers do not answer is "not now"."""
    try:
        yield
    except KafkaException as error:
        raise Retryable(f"{what} does not answer now: {said(error)}") from error


def answering(consumer: Consumer, topic: str) -> None:
    """Raises KafkaException unless the brokers answer; `consumer` reads nothing meanwhile.

    To be called before requests of the admin client: where those run out of time the library may end the
    whole process (librdkafka issue 4605).
    """
    consumer.list_topics(topic, timeout=SECONDS)


def describe(asking: Consumer, admin: Any, topic: str) -> tuple[bytes, list[int]]:
    """The id that a topic was born with, and its partitions. Raises KafkaException.

    `asking` reads nothing meanwhile, as for `answering`.
    """
    answering(asking, topic)
    found = result(admin.describe_topics(TopicCollection([topic]), request_timeout=SECONDS)[topic])
    uuid = found.topic_id
    name = b"".join(
        part.to_bytes(8, "big", signed=True)
        for part in (uuid.get_most_significant_bits(), uuid.get_least_significant_bits())
    )
    return name, [partition.id for partition in found.partitions]


def result(future: "Future[Any]") -> Any:
    """What the brokers answer. Raises KafkaException, also when they do not."""
    try:
        return future.result(2 * SECONDS)
    except TimeoutError as error:
        raise no_answer() from error


def said(error: KafkaException) -> str:
    """What the client library says, without its decoration."""
    return error_of(error).str()


def error_of(error: KafkaException) -> KafkaError:
    """The error in an exception."""
    return error.args[0]


def no_answer() -> KafkaException:
    """The error of brokers that do not answer in time."""
    return KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 -- the library's own name of it
