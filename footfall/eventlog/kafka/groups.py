"""What consumers have committed, kept as the offsets of consumer groups; and deleting what all have."""

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from footfall.eventlog.kafka.topic import Topic
from footfall.kafka import SECONDS, error_of, result
from footfall.model.times import Seconds

_FOREVER = 1 << 40  # seconds


class Groups:
    """Of one topic. All methods raise KafkaException. A group has no members: offsets are only written."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    def commit(self, consumer: str, shard: int, upto: int) -> None:
        """Remember `upto`; a smaller number than before changes nothing."""
        partition = self._topic.shards.get(shard)
        if partition is not None and upto > self.committed(consumer).get(shard, -2):
            group = self._topic.place.group(consumer)
            place = TopicPartition(self._topic.place.topic, partition, upto + 1)
            wanted = [ConsumerGroupTopicPartitions(group, [place])]
            answer = result(
                self._topic.admin.alter_consumer_group_offsets(wanted, request_timeout=SECONDS)[group]
            )
            _check(answer.topic_partitions)

    def committed(self, consumer: str) -> dict[int, int]:
        """By shard the offset up to which it needs nothing any more; of those for which it said so."""
        group = self._topic.place.group(consumer)
        asked = [ConsumerGroupTopicPartitions(group)]
        answer = result(self._topic.admin.list_consumer_group_offsets(asked, request_timeout=SECONDS)[group])
        _check(answer.topic_partitions)
        ours = self._topic.place.topic
        offsets = {each.partition: each.offset for each in answer.topic_partitions if each.topic == ours}
        return {
            shard: offsets[partition] - 1
            for shard, partition in self._topic.shards.items()
            if offsets.get(partition, -1) >= 0
        }

    def released(self) -> dict[int, int]:
        """By shard the offset up to which nobody needs anything; empty while no consumer is known."""
        prefix = self._topic.place.group("")
        listing = result(self._topic.admin.list_consumer_groups(request_timeout=SECONDS))
        if listing.errors:
            raise KafkaException(listing.errors[0])
        groups = [each.group_id for each in listing.valid if each.group_id.startswith(prefix)]
        offsets = [self.committed(group.removeprefix(prefix)) for group in groups]
        return {
            shard: min(each.get(shard, -1) for each in offsets) for shard in self._topic.shards if offsets
        }

    def drop(self, consumer: str) -> None:
        """Forget it."""
        group = self._topic.place.group(consumer)
        try:
            result(self._topic.admin.delete_consumer_groups([group], request_timeout=SECONDS)[group])
        except KafkaException as error:
            if error_of(error).code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise

    def first_since(self, partition: int, seconds: Seconds) -> int:
        """The offset of the first record that was appended since then, or of the next one to come."""
        at = int(min(seconds, _FOREVER) * 1000)
        asked = TopicPartition(self._topic.place.topic, partition, at)
        (found,) = self._topic.asking.offsets_for_times([asked], SECONDS)
        return found.offset if found.offset >= 0 else 1 << 62

    def delete_below(self, partition: int, offset: int) -> None:
        """Delete the records below an offset."""
        place = TopicPartition(self._topic.place.topic, partition, offset)
        (future,) = self._topic.admin.delete_records([place], request_timeout=SECONDS).values()
        result(future)


def _check(places: list[TopicPartition]) -> None:
    """Raises KafkaException with what is wrong with any of them."""
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
