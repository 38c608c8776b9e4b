"""Reading partitions. By offset alone: positions are the worker's own knowledge, no group hands them out."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from footfall.eventlog.block import MAX_RECORD
from footfall.eventlog.port import StoredRecord
from footfall.kafka import LOGGER, SECONDS, Place, no_answer

_CHUNK = 500  # messages taken from the library at once
_OPTIONS: dict[str, Any] = {
    "group.id": "footfall.reader",  # never joined: partitions are assigned by hand
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "check.crcs": True,
    "fetch.wait.max.ms": 100,  # who reads from elsewhere waits for the fetch that is under way
    "queued.max.messages.kbytes": 16 << 10,
    "fetch.message.max.bytes": 1 << 20,
    "message.max.bytes": MAX_RECORD + (1 << 20),
}


def consumer_of(place: Place, **more: Any) -> Consumer:
    """A consumer of the library, for one thread."""
    return Consumer(place.options | _OPTIONS | more, logger=LOGGER)


class PartitionReader:
    """Reads one partition from where it was read last, or from anywhere. All methods raise KafkaException."""

    def __init__(self, place: Place, partition: int, asking: Consumer) -> None:
        """`asking`: a consumer that reads nothing. Where records are waited for, answers wait, too."""
        self._place = place
        self._partition = partition
        self._asking = asking
        self._consumer = consumer_of(place)
        self._next: int | None = None  # offset of the next message to come from the library
        self._ready: deque[StoredRecord] = deque()  # came, and was not asked for yet

    def borders(self) -> tuple[int, int]:
        """The offset of the first record that is there, and that of the next one to come."""
        low, high = self._asking.get_watermark_offsets(self._at(), SECONDS)
        return low, high

    def read(self, after: int, limit: int, max_bytes: int) -> list[StoredRecord]:
        """See the port."""
        wanted = after + 1
        while self._ready and self._ready[0].offset < wanted:
            self._ready.popleft()
        begin = self._ready[0].offset if self._ready else self._next
        low, high = self.borders()
        if begin is None or begin > max(wanted, low) or (not self._ready and begin < low):
            self._ready.clear()
            self._seek(max(wanted, low))
        found: list[StoredRecord] = []
        size = 0
        deadline = time.monotonic() + SECONDS
        while len(found) < limit and (size < max_bytes or not found):
            if not self._ready and not self._fill(high, deadline):
                break
            record = self._ready.popleft()
            if record.offset < wanted:
                continue
            found.append(record)
            size += len(record.data or b"")
        return found

    def time_of(self, offset: int) -> float:
        """When the record at an offset was appended."""
        found = self.read(offset - 1, 1, 1)
        return found[0].appended_at if found else time.time()

    def close(self) -> None:
        """Let go of it."""
        self._consumer.close()

    def _at(self, offset: int = 0) -> TopicPartition:
        return TopicPartition(self._place.topic, self._partition, offset)

    def _seek(self, offset: int) -> None:
        if self._next is None:
            self._consumer.assign([self._at(offset)])
        else:
            self._consumer.seek(self._at(offset))
        self._next = offset

    def _fill(self, high: int, deadline: float) -> bool:
        """Take what came; False when all up to `high` has been taken."""
        while self._next is not None and self._next < high:
            first = self._consumer.poll(0.05)
            # `consume` waits for as many as it is asked for.
            messages: Sequence[Message] = (
                [first, *self._consumer.consume(_CHUNK, timeout=0)] if first is not None else []
            )
            for message in messages:
                if (error := message.error()) is not None:
                    self._next = None  # begin anew
                    raise KafkaException(error)
                self._next = (message.offset() or 0) + 1
                self._ready.append(_record(message))
            if messages:
                return True
            if time.monotonic() > deadline:
                raise no_answer()
        return False


def _record(message: Message) -> StoredRecord:
    _, milliseconds = message.timestamp()
    return StoredRecord(message.offset() or 0, milliseconds / 1000, message.value() or b"")
