"""Clicks that other services write to a topic: a real broker, a real installation that reads it."""

import json
import os
import re
import signal
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition

from tests.e2e.serving import footfall, serving, until
from tests.servers.kafka import kafka

ADDRESS = "81.2.69.142"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
FILLED = {
    "event_id": "0197f0aa-7e3b-7c1e-9d2a-5f0b6c7d8e9f",
    "link_id": "lnk_81",
    "short_code": "spring",
    "workspace_id": "default",
    "timestamp": "2026-03-01T10:00:00Z",
    "ip_address": ADDRESS,
    "user_agent": SAFARI,
    "referer": "https://news.example/item?id=1",
    "referer_host": "news.example",
    "country": "Germany",
    "country_code": "DE",
    "region": "Bavaria",
    "city": "Munich",
    "latitude": 48.14,
    "longitude": 11.58,
    "timezone": "Europe/Berlin",
    "device_type": "tablet",
    "browser": "Firefox",
    "browser_version": "127.0",
    "os": "Android",
    "os_version": "14",
    "is_bot": False,
    "bot_name": "",
    "is_unique": True,
    "utm_source": "letter",
    "utm_medium": "email",
    "utm_campaign": "spring",
    "utm_term": "",
    "utm_content": "",
}
# As a service in Go writes what it does not know.
EMPTY = {name: {str: "", bool: False, float: 0}.get(type(value)) for name, value in FILLED.items()}
ENRICHED = EMPTY | {
    "link_id": "lnk_82",
    "timestamp": "2026-03-01T10:01:00Z",
    "ip_address": ADDRESS,
    "user_agent": SAFARI,
    "is_bot": None,
}


@pytest.fixture(scope="module")
def broker():
    with kafka() as running:
        yield running


@pytest.fixture
def topic(broker):
    name = broker.topic()
    broker.make(name, 3)
    return name


def settings_of(broker, topic):
    return {
        "FOOTFALL_READ_CLICKS": "true",
        "FOOTFALL_KAFKA_BROKERS": broker.brokers,
        "FOOTFALL_CLICKS_TOPIC": topic,
    }


@contextmanager
def reading(tmp_path, broker, topic):
    with serving(tmp_path / "data", **settings_of(broker, topic)) as server:
        yield server


def write(broker, topic, *messages):
    """Returns the partition and offset of each."""
    producer = Producer({"bootstrap.servers": broker.brokers, "acks": "all"})
    places = []
    for message in messages:
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        key = message.get("link_id") if isinstance(message, dict) else None
        producer.produce(topic, value, key, on_delivery=lambda error, it: places.append((error, it)))
        producer.poll(0)
    producer.flush(30)
    assert all(error is None for error, _ in places)
    return [(it.partition(), it.offset()) for _, it in places]


def place_in(detail):
    return tuple(map(int, re.search(r"partition (\d+) offset (\d+)", detail).groups()))


def clicks(server, **parameters):
    answer = server.console.get(
        "/api/v1/analytics/clicks",
        params={"start_date": "2026-03-01", "end_date": "2026-03-01", "include_bots": "true"} | parameters,
    )
    assert answer.status_code == 200, answer.text
    return {row["link_id"]: row for row in answer.json()["data"]}


def test_what_is_filled_is_kept_what_is_empty_is_enriched_and_addresses_are_dropped(tmp_path, broker, topic):
    write(broker, topic, FILLED, ENRICHED)
    with reading(tmp_path, broker, topic) as server:
        found = until(lambda: len(rows := clicks(server)) == 2 and rows)
    filled, enriched = found["lnk_81"], found["lnk_82"]
    same = ("event_id", "short_code", "country_code", "region", "city", "device_type", "browser", "os")
    assert {name: filled[name] for name in same} == {name: FILLED[name] for name in same}
    assert filled["referer_host"] == "news.example"
    assert filled["timestamp"].startswith("2026-03-01T10:00:00")
    assert (filled["utm_source"], filled["utm_campaign"]) == ("letter", "spring")
    assert (enriched["country_code"], enriched["device_type"], enriched["os"]) == ("GB", "mobile", "iOS")
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or ADDRESS.encode() not in path.read_bytes(), path


def test_a_message_that_is_no_event_is_a_letter_that_says_where_it_is(tmp_path, broker, topic):
    wrong = [
        b"{",
        b"[]",
        b"",
        b'{"nothing": "of ours"}',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(FILLED | {"latitude": "north", "ip_address": "10.1.2.3"}).encode(),
        json.dumps(FILLED | {"workspace_id": "nobodys"}).encode(),
        json.dumps(FILLED | {"workspace_id": {"id": "default"}}).encode(),
        json.dumps(FILLED | {"ip_address": "not-an-address-81.2.69.160"}).encode(),
        json.dumps(FILLED | {"properties": {"text": "x" * 200_000}}).encode(),
    ]
    places = write(broker, topic, *wrong)
    write(broker, topic, FILLED)
    with reading(tmp_path, broker, topic) as server:
        until(lambda: clicks(server))

        def letters():
            page = server.console.get("/api/v1/dead-letters").json()
            return page["data"] if len(page["data"]) == len(wrong) else None

        found = until(letters)
        told = {
            tuple(map(int, re.search(r"partition (\d+) offset (\d+)", each["detail"]).groups()))
            for each in found
        }
        assert told == set(places)
        assert {each["reason"] for each in found} == {"malformed"}
        assert all(each["detail"].startswith(topic) for each in found)
        assert any("latitude" in each["detail"] for each in found)
        assert not any("81.2.69" in str(each) or "10.1.2.3" in str(each) for each in found)
        again = server.console.post(f"/api/v1/dead-letters/{found[0]['position']}/retry")
        assert again.status_code == 409
    verified = footfall("verify", "--data", tmp_path / "data", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_nothing_is_lost_or_doubled_when_all_are_killed_or_all_is_read_again(tmp_path, broker, topic):
    count, at = 3000, "2026-03-01T10:00:00Z"
    messages = [{"link_id": f"lnk_{number % 7}", "timestamp": at} for number in range(count)]
    with reading(tmp_path, broker, topic) as server:
        write(broker, topic, *messages)
        until(lambda: total(server), 60)
        signal.pidfd_send_signal(os.pidfd_open(server.children()["door"]), signal.SIGKILL)
        broker.end()
        broker.start()
        until(lambda: total(server) >= count, 60)
    group = ConsumerGroupTopicPartitions(
        f"footfall.{topic}.door", [TopicPartition(topic, partition, 0) for partition in range(3)]
    )
    admin = broker.admin()
    until(lambda: is_set(admin, group))
    with reading(tmp_path, broker, topic) as server:
        write(broker, topic, {"link_id": "last", "timestamp": at})
        until(lambda: "last" in clicks(server, link_id="last"), 60)
        assert total(server) == count + 1
        books = server.console.get("/api/v1/ledger").json()["data"]
        assert books["balanced"]
        assert books["duplicate"] >= count
    verified = footfall("verify", "--data", tmp_path / "data", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def is_set(admin, group):
    """Set the offsets of a group; whether that went: not while it has members."""
    future = admin.alter_consumer_group_offsets([group])[group.group_id]
    try:
        return all(place.error is None for place in future.result(10).topic_partitions)
    except KafkaException:
        return False


def total(server):
    answer = server.console.get(
        "/api/v1/analytics/overview",
        params={"start_date": "2026-03-01", "end_date": "2026-03-01", "include_bots": "true"},
    )
    return answer.json()["data"]["clicks"]


def read(broker, topic, least):
    """The messages of a topic, as soon as there are so many."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.brokers,
            "group.id": f"{topic}.tests",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    found = []
    try:
        until(lambda: found.extend(consumer.consume(1000, timeout=0.2)) or len(found) >= least, 60)
    finally:
        consumer.close()
    return [(message.key(), json.loads(message.value())) for message in found]


def test_stored_events_go_out_as_services_write_them_whoever_is_killed(tmp_path, broker, topic):
    out = broker.topic()
    broker.make(out, 2)
    settings = settings_of(broker, topic) | {"FOOTFALL_EVENTS_TOPIC": out}
    with serving(tmp_path / "data", **settings) as server:
        write(broker, topic, ENRICHED, FILLED | {"properties": {"plan": "pro", "n": 1}})
        first = dict(read(broker, out, 2))
        broker.end()
        server.send(50)
        until(lambda: server.count() == 50)
        signal.pidfd_send_signal(os.pidfd_open(server.children()["worker"]), signal.SIGKILL)
        broker.start()
        found = read(broker, out, 52)
    assert len({event["event_id"] for _, event in found}) == 52
    filled, enriched = first[b"lnk_81"], first[b"lnk_82"]
    changed = ("ip_address", "timestamp", "bot_name", "is_unique", "latitude", "longitude", "user_agent")
    same = FILLED.keys() - changed
    assert {name: filled[name] for name in same} == {name: FILLED[name] for name in same}
    assert filled["timestamp"] == "2026-03-01T10:00:00.000Z"
    assert filled["properties"] == {"plan": "pro", "n": 1}
    assert (enriched["country"], enriched["device_type"], enriched["os"]) == (
        "United Kingdom",
        "mobile",
        "iOS",
    )
    assert ADDRESS not in str(found)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"FOOTFALL_CLICKS_TOPIC": "nobody.made.it"}, "clicks_topic: there is no topic nobody.made.it"),
        ({"FOOTFALL_KAFKA_BROKERS": ""}, "read_clicks needs kafka_brokers"),
        ({"FOOTFALL_EVENTS_TOPIC": "same", "FOOTFALL_CLICKS_TOPIC": "same"}, "clicks_topic is events_topic"),
    ],
    ids=["topic", "brokers", "circle"],
)
def test_a_start_without_the_topic_says_so(tmp_path, broker, topic, more, said):
    ended = footfall("door", "--data", tmp_path / "data", cwd=tmp_path, **settings_of(broker, topic) | more)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    ill = footfall("doctor", "--data", tmp_path / "data", cwd=tmp_path, **settings_of(broker, topic) | more)
    assert said in ill.stdout
    well = footfall("doctor", "--data", tmp_path / "data", cwd=tmp_path, **settings_of(broker, topic))
    assert f"the topic {topic} is there" in well.stdout
