"""Appending: an idempotent producer, which goes on until the in-sync replicas have it.

A record that the library has taken is never given up: whoever gave up could not know whether it was
written. While the brokers are away the callers of what is on its way wait, and others are refused.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from footfall.errors import Invalid, LogFull
from footfall.eventlog.block import MAX_RECORD
from footfall.eventlog.port import Entry
from footfall.kafka import LOGGER, Place, error_of
from footfall.metrics import LOG_BYTES, LOG_COMMIT_SECONDS, LOG_RECORDS
from footfall.runtime.background import thread

_PATIENCE = 2.0  # seconds that a record may be on its way until others are refused
_CLOSING = 30.0  # seconds to wait for what is on its way at the end
_POLL = 0.1
_OPTIONS = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 2,
    "message.timeout.ms": 0,  # never
    "request.timeout.ms": 10_000,
    "message.max.bytes": MAX_RECORD + (1 << 20),
    # What waits in memory while the brokers are slow; beyond it appends are refused.
    "queue.buffering.max.messages": 50_000,
    "queue.buffering.max.kbytes": 32 << 10,
    "partitioner": "murmur2_random",  # as Java's clients: others can find a key's partition
}


class Appender:
    """For the event loop that made it."""

    def __init__(self, place: Place) -> None:
        self._topic = place.topic
        self._producer = Producer(place.options | _OPTIONS, logger=LOGGER)
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[asyncio.Future[None], float] = {}  # since when, the oldest first
        self._closed = False
        self._ended = False
        self._thread = thread("log_writer", self._poll)

    async def append(self, entry: Entry) -> None:
        """See the port. A caller that is cancelled leaves its record on its way."""
        if len(entry.data) > MAX_RECORD:
            raise Invalid(f"a log record has at most {MAX_RECORD} bytes", field="")
        if self._closed:
            raise LogFull("the log is closing")
        if self._oldest() > _PATIENCE:
            raise LogFull("the log's brokers do not answer")
        done: asyncio.Future[None] = self._loop.create_future()
        start = time.monotonic()

        def delivered(error: KafkaError | None, _message: Any) -> None:
            with suppress(RuntimeError):  # the loop is gone, and everybody who waited with it
                self._loop.call_soon_threadsafe(self._settle, done, error)

        try:
            self._producer.produce(self._topic, entry.data, entry.key, on_delivery=delivered)
        except BufferError:
            raise LogFull("the queue of the log is full") from None
        except KafkaException as error:
            if error_of(error).code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise Invalid("a record of the log is too large for its topic", field="") from error
            raise LogFull(f"the log does not take it: {error_of(error).str()}") from error
        self._waiting[done] = start
        await asyncio.shield(done)
        LOG_COMMIT_SECONDS.observe(time.monotonic() - start)
        LOG_RECORDS.inc()
        LOG_BYTES.inc(len(entry.data))

    async def close(self) -> None:
        """Wait for what is on its way, but not for ever: the brokers may be gone."""
        if self._closed:
            return
        self._closed = True
        if self._waiting:
            await asyncio.wait(list(self._waiting), timeout=_CLOSING)
        self._ended = True
        await asyncio.to_thread(self._thread.join)

    def _oldest(self) -> float:
        """How long the oldest record has been on its way, in seconds."""
        return time.monotonic() - next(iter(self._waiting.values()), float("inf"))

    def _settle(self, done: "asyncio.Future[None]", error: KafkaError | None) -> None:
        self._waiting.pop(done, None)
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(LogFull(f"the log did not take it: {error.str()}"))
            done.exception()  # its caller may have gone

    def _poll(self) -> bool:
        """Deliver what the brokers have answered, until the end."""
        self._producer.poll(_POLL)
        return not self._ended
