"""The topic: made or found at the start, and the ids of its partitions as shards."""

import time
from hashlib import blake2b
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from footfall.errors import Misconfigured
from footfall.eventlog.block import MAX_RECORD
from footfall.eventlog.kafka.reader import consumer_of
from footfall.kafka import LOGGER, SECONDS, Place, answering, describe, error_of, result

_BROKERS_DEFAULT = -1
# Records are deleted by `retain`, when they are stored: no age alone may do that.
_SETTINGS = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "max.message.bytes": str(MAX_RECORD + (1 << 20)),
    "message.timestamp.type": "LogAppendTime",
}


class Topic:
    """A topic of which the partitions are known. All methods raise KafkaException."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.asking = consumer_of(place)
        """For questions to the brokers; of no group, and it reads nothing."""
        self._admin = AdminClient(place.options, logger=LOGGER)
        self.shards: dict[int, int] = {}
        """The partition of each shard."""

    @property
    def admin(self) -> Any:  # the types of its futures are unknown
        """For one request, now that the brokers answer."""
        answering(self.asking, self.place.topic)
        return self._admin

    def find(self) -> None:
        """Learn the partitions. A topic that was deleted and made again has other shards."""
        name, partitions = describe(self.asking, self._admin, self.place.topic)
        self.shards = {shard_of(name, partition): partition for partition in partitions}

    def make(self, partitions: int) -> None:
        """Make the topic, if it is not there, and learn its partitions. Raises Misconfigured."""
        try:
            self._find_or_create(partitions)
        except KafkaException as error:
            if error_of(error).code() in (KafkaError.TOPIC_EXCEPTION, KafkaError.TOPIC_AUTHORIZATION_FAILED):
                raise Misconfigured(f"kafka_topic cannot be used: {error_of(error).str()}") from error
            raise

    def _find_or_create(self, partitions: int) -> None:
        try:
            self.find()
        except KafkaException as error:
            if error_of(error).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            self._create(partitions)
        deadline = time.monotonic() + SECONDS
        while not self.shards:  # brokers hear of a new topic one after the other
            try:
                self.find()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _create(self, partitions: int) -> None:
        wanted = NewTopic(self.place.topic, partitions, _BROKERS_DEFAULT, config=_SETTINGS)
        try:
            result(self.admin.create_topics([wanted], request_timeout=SECONDS)[self.place.topic])
        except KafkaException as error:
            if error_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another door was faster
                raise


def shard_of(topic_id: bytes, partition: int) -> int:
    """The id of a partition as a shard: of this topic, and of no other of the same name."""
    digest = blake2b(topic_id, digest_size=8, person=b"footfall shard")
    digest.update(partition.to_bytes(4, "big"))
    return int.from_bytes(digest.digest(), "big") or 1
