"""What only the log in Kafka meets: brokers that die or stand still, partitions, topics made again."""

import asyncio

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from footfall.errors import LogFull, Misconfigured, Retryable
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry, GoneRecords
from footfall.settings import load
from tests.contract.log_load import ALL, Load, body, contents, opened
from tests.servers.kafka import kafka as running

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def mortal():
    """A broker that tests may kill."""
    with running() as broker:
        yield broker


@pytest.fixture
def own(mortal):
    """It runs when a test begins."""
    mortal.revive()
    return mortal


def settings_of(broker, tmp_path, **more):
    named = {"kafka_brokers": broker.brokers, "kafka_topic": broker.topic(), "kafka_partitions": 1}
    return load(data=tmp_path / "data", log="kafka", **named | more)


@pytest.fixture
def settings(kafka, tmp_path):
    return settings_of(kafka, tmp_path)


async def test_a_broker_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing(own, tmp_path):
    settings = settings_of(own, tmp_path, kafka_partitions=3)
    async with opened(settings) as log:
        appends = Load(log)
        for _ in range(2):
            await appends.until(500)
            await asyncio.to_thread(own.end)
            await asyncio.to_thread(own.start)
        await appends.until(500)
        await appends.end()
        await appends.check(log)


async def test_while_a_broker_stands_still_appends_wait_and_then_others_are_refused(own, tmp_path):
    settings = settings_of(own, tmp_path)
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        own.pause()
        first = asyncio.create_task(log.append(Entry("key", body(1))))
        async with asyncio.timeout(60):
            while True:
                other = asyncio.create_task(log.append(Entry("key", body(2))))
                done, _ = await asyncio.wait([other], timeout=0.2)
                if done and isinstance(other.exception(), LogFull):
                    break
        assert not first.done()
        own.go_on()
        await first
        assert (await contents(log)).count(1) == 1


async def test_one_key_goes_to_one_partition_and_each_partition_is_a_shard(kafka, tmp_path):
    settings = settings_of(kafka, tmp_path, kafka_partitions=4)
    async with opened(settings) as log, opened(settings) as other:
        for number in range(100):
            await (log, other)[number % 2].append(Entry(f"key {number % 10}", body(number)))
        places = {}
        for shard in await log.shards():
            for stored in await log.read(shard, -1, ALL, ALL):
                places.setdefault(int.from_bytes(stored.data[:8], "big") % 10, set()).add(shard)
    assert len(places) == 10
    assert all(len(shards) == 1 for shards in places.values())
    assert len(set.union(*places.values())) > 1


async def test_a_topic_that_was_deleted_and_made_again_is_another_log(kafka, settings):
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        (before,) = await log.shards()
    admin = kafka.admin()
    admin.delete_topics([settings.kafka_topic])[settings.kafka_topic].result(30)
    async with asyncio.timeout(30):
        while settings.kafka_topic in admin.list_topics().topics:
            await asyncio.sleep(0.05)
    async with opened(settings) as log:
        await log.append(Entry("key", body(1)))
        (after,) = await log.shards()
        assert before != after
        assert list(await log.read(before, -1, ALL, ALL)) == []


async def test_records_that_were_deleted_before_they_were_stored_are_named(kafka, settings):
    async with opened(settings) as log:
        for number in range(10):
            await log.append(Entry("key", body(number)))
        (shard,) = await log.shards()
        await log.commit(WORKER, shard, 3)
        admin = kafka.admin()
        place = TopicPartition(settings.kafka_topic, 0, 7)
        admin.delete_records([place])[place].result(30)
        (gone,) = await log.gone({shard: 3})
        assert gone == GoneRecords(shard, 4, 6, 3, gone.at)
        assert [stored.offset for stored in await log.read(shard, 3, ALL, ALL)] == [7, 8, 9]


async def test_the_tools_of_kafka_see_how_far_the_worker_is(kafka, settings):
    async with opened(settings) as log:
        for number in range(10):
            await log.append(Entry("key", body(number)))
        (shard,) = await log.shards()
        await log.commit(WORKER, shard, 6)
        group = f"footfall.{settings.kafka_topic}.{WORKER}"
        admin = kafka.admin()
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        (place,) = asked[group].result(30).topic_partitions
        assert (place.topic, place.partition, place.offset) == (settings.kafka_topic, 0, 7)


async def test_a_topic_that_an_operator_made_is_taken_as_it_is(kafka, settings):
    kafka.make(settings.kafka_topic, 2, **{"retention.ms": "3600000"})
    async with opened(settings) as log:
        for number in range(50):
            await log.append(Entry(f"key {number}", body(number)))
        assert len(await log.shards()) == 2
        assert sorted(await contents(log)) == list(range(50))


async def test_brokers_that_are_away_are_not_now_and_then_as_before(own, tmp_path, monkeypatch):
    for module in ("kafka", "eventlog.kafka.reader", "eventlog.kafka.groups", "eventlog.kafka.topic"):
        monkeypatch.setattr(f"footfall.{module}.SECONDS", 1.0)
    settings = settings_of(own, tmp_path)
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        (shard,) = await log.shards()
        await log.commit(WORKER, shard, -1)
        await asyncio.to_thread(own.end)
        for call in (
            log.shards(),
            log.read(shard, -1, ALL, ALL),
            log.commit(WORKER, shard, 0),
            log.backlog(WORKER),
            log.gone({}),
            log.retain(ALL),
        ):
            with pytest.raises(Retryable):
                await call
        with pytest.raises(Retryable):
            await open_log(settings)
        await asyncio.to_thread(own.start)
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await contents(log) == [0]
                    break
                except Retryable:
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kafka_brokers": ""}, "needs kafka_brokers"),
        ({"kafka_options": "{"}, "JSON object"),
        ({"kafka_options": '{"acks": "1"}'}, "acks"),
        ({"kafka_topic": "a topic"}, "kafka_topic"),
        ({"overflow": "drop_oldest"}, "drop_oldest"),
    ],
)
async def test_what_cannot_work_is_said_at_the_start(kafka, tmp_path, change, words):
    with pytest.raises(Misconfigured, match=words):
        await open_log(settings_of(kafka, tmp_path, **change))
