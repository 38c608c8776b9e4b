"""The four shapes of a body, and everything that is no body."""

import gzip
import json
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect.body.incoming import Incoming
from footfall.collect.body.inflate import inflate
from footfall.collect.body.read import decode
from footfall.errors import Invalid, TooLarge

EVENT = {"event_type": "page_view", "page_url": "https://example.com/a"}
JSON = "application/json"


def types(body, content_type=JSON):
    batch = decode(body if isinstance(body, bytes) else json.dumps(body).encode(), content_type, 1000)
    return [event.event_type if isinstance(event, Incoming) else event for event in batch.events]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps({"events": [EVENT, EVENT]}).encode(), JSON),
        (json.dumps([EVENT, EVENT]).encode(), JSON),
        (json.dumps([EVENT, EVENT]).encode(), "text/plain;charset=utf-8"),
        (b"\n".join([json.dumps(EVENT).encode()] * 2), "application/x-ndjson"),
        (b"\r\n".join([json.dumps(EVENT).encode()] * 2) + b"\r\n\r\n", "application/x-ndjson"),
        (b"\n".join([json.dumps(EVENT).encode()] * 2), JSON),
        (b"  \n [" + json.dumps(EVENT).encode() + b" , " + json.dumps(EVENT).encode() + b"]", ""),
    ],
)
def test_every_shape_gives_the_events_in_order(body, content_type):
    assert types(body, content_type) == ["page_view", "page_view"]


def test_a_single_event_is_a_body_too():
    assert types(EVENT) == ["page_view"]


def test_what_stands_beside_the_events_is_read():
    batch = decode(json.dumps({"site": "site_x", "queue_id": "q1", "events": [EVENT]}).encode(), JSON, 10)
    assert (batch.site_id, batch.queue_id) == ("site_x", "q1")


@pytest.mark.parametrize("shape", ["array", "envelope", "lines"])
def test_a_bad_event_leaves_its_neighbours_alone(shape):
    good, bad = json.dumps(EVENT), '{"event_type": 7}'
    body = {
        "array": f"[{good},{bad},{good}]",
        "envelope": f'{{"events":[{good},{bad},{good}]}}',
        "lines": f"{good}\n{bad}\n{good}",
    }[shape]
    first, second, third = types(body.encode(), "application/x-ndjson" if shape == "lines" else JSON)
    assert (first, third) == ("page_view", "page_view")
    assert isinstance(second, Invalid)
    assert second.field == "event_type"


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"page_url": "https://example.com"}, "event_type"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": "a", "occurred_at": "yesterday"}, "occurred_at"),
        ({"event_type": "a", "occurred_at": "99999-01-01"}, "occurred_at"),
        ({"event_type": "a", "page_url": 5}, "page_url"),
        ({"event_type": "a", "properties": []}, "properties"),
        ({"event_type": "a", "sample_weight": -1}, "sample_weight"),
        ({"event_type": "a", "latitude": 91}, "latitude"),
        ({"event_type": "a" * 101}, "event_type"),
        ({"event_type": "a", "country_code": "Germany"}, "country_code"),
    ],
)
def test_the_refusal_names_the_field(event, field):
    [refusal] = types([event])
    assert isinstance(refusal, Invalid)
    assert refusal.field == field
    assert field in str(refusal)


@pytest.mark.parametrize("event", [[], "text", 1, None, [[EVENT]]])
def test_what_is_no_object_is_no_event(event):
    [refusal] = types([event])
    assert "object" in str(refusal)


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"hello", b"[", b"[{", b'{"events":[', b"5", b'"x"', b"\xff\xfe", b"[" * 100_000, b"[1,]"],
)
def test_a_body_that_cannot_be_read_is_refused_whole(body):
    with pytest.raises(Invalid):
        decode(body, JSON, 1000)


@pytest.mark.parametrize(
    "event",
    [
        b'{"event_type":"a","page_url":"\xff"}',
        b'{"event_type":"a","properties":{"n":1e400}}',
    ],
)
def test_poison_is_refused_alone(event):
    good = json.dumps(EVENT).encode()
    first, second, third = types(b"[" + good + b"," + event + b"," + good + b"]")
    assert (first, third) == ("page_view", "page_view")
    assert isinstance(second, Invalid)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\uDE00!", "\ufffd!"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\\ud83d", r"\ud83d"),
        (rb"\\\ud83d", "\\\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud7ff\ue000", "\ud7ff\ue000"),
    ],
)
@pytest.mark.parametrize(
    "shape", [b'[%s,{"event_type":"b"}]', b'{"events":[%s,{"event_type":"b"}]}', b'%s\n{"event_type":"b"}']
)
def test_half_an_emoji_costs_neither_its_event_nor_the_neighbours(sent, kept, shape):
    first, second = decode(shape % (b'{"event_type":"a","page_url":"' + sent + b'"}'), JSON, 10).events
    assert isinstance(first, Incoming)
    assert isinstance(second, Incoming)
    assert first.page_url == kept


@pytest.mark.parametrize(
    "shape", ["[%s,%s,%s]", '{"meta":[[%s]],"events":[%s,%s]}', '{"events":[%s,%s,%s]}', "%s\n%s\n%s"]
)
@pytest.mark.parametrize("depth", [900, 1100, 20_000])
def test_an_event_that_is_nested_too_deeply_costs_itself_alone(shape, depth):
    good = json.dumps(EVENT)
    deep = '{"event_type":"a","properties":{"a":' + "[" * depth + "]" * depth + "}}"
    kinds = types((shape % (deep, good, good)).encode())
    assert kinds[-2:] == ["page_view", "page_view"]
    assert len(kinds) == shape.count("%s") - shape.count("meta")


def test_other_spellings_are_understood():
    body = {
        "type": "click",
        "click_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "timestamp": "2026-11-21T10:00:00Z",
        "original_url": "https://example.com/x",
        "short_url": "https://go.example/abc",
        "referer": "https://news.example",
        "referrer_domain": "news.example",
        "geo_location": {"country": "DE", "city": "Berlin", "lat": 52.5, "lon": 13.4},
    }
    [event] = decode(json.dumps(body).encode(), JSON, 10).events
    assert isinstance(event, Incoming)
    assert event.event_id == body["click_id"]
    assert (event.short_code, event.destination_url, event.referrer) == (
        "abc",
        "https://example.com/x",
        "https://news.example",
    )
    assert (event.country_code, event.city, event.latitude, event.longitude) == ("DE", "Berlin", 52.5, 13.4)


def test_our_own_spelling_wins_over_another():
    [event] = decode(b'[{"event_type":"conversion","name":"signup","value_minor":5}]', JSON, 10).events
    assert isinstance(event, Incoming)
    assert (event.event_type, event.properties) == ("conversion", {"name": "signup", "value_minor": 5})


def test_unknown_fields_are_kept_for_custom_events_and_ignored_for_known_ones():
    custom, known, widget = decode(
        json.dumps(
            [
                {"event_type": "signup", "plan": "pro", "properties": {"seats": 3}},
                {"event_type": "page_view", "plan": "pro", "properties": {"seats": 3}},
                {"event_type": "widget_click", "mapping_id": "m1", "plan": "pro"},
            ]
        ).encode(),
        JSON,
        10,
    ).events
    assert isinstance(custom, Incoming)
    assert isinstance(known, Incoming)
    assert isinstance(widget, Incoming)
    assert custom.properties == {"plan": "pro", "seats": 3}
    assert known.properties == {"seats": 3}
    assert widget.properties == {"mapping_id": "m1"}


@pytest.mark.parametrize(
    "body", [b"[" + b"{}," * 1000 + b"{}]", b"{}\n" * 1001, b'{"events":[' + b"1," * 1000 + b"1]}"]
)
def test_too_many_events_are_refused_with_the_limit(body):
    with pytest.raises(TooLarge, match="1000"):
        decode(body, JSON, 1000)


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * 5_000_000 + b"0]",
        b'[{"event_type":"a"}' + b',{"event_type":"a"}' * 500_000 + b"]",
        b"{}\n" * 3_000_000,
        b'{"events":[' + b"[]," * 3_000_000 + b"[]]}",
    ],
    ids=["numbers", "events", "lines", "arrays"],
)
def test_a_bomb_does_not_fill_the_memory(body):
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decode(body, JSON, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 << 20


def test_gzip_is_inflated_up_to_the_limit():
    assert inflate(gzip.compress(b"x" * 5000), "gzip", 5000) == b"x" * 5000
    with pytest.raises(TooLarge, match="5000"):
        inflate(gzip.compress(b"x" * 5001), "gzip", 5000)


@given(st.lists(st.binary(max_size=9000), min_size=1, max_size=6), st.integers(0, 9000))
def test_a_gzip_body_is_all_of_its_members(texts, zeros):
    """As `cat a.gz b.gz` makes them, with padding behind each."""
    body = b"".join(gzip.compress(text) + bytes(zeros) for text in texts)
    whole = b"".join(texts)
    assert inflate(body, "gzip", len(whole)) == whole
    if whole:
        with pytest.raises(TooLarge):
            inflate(body, "gzip", len(whole) - 1)


@pytest.mark.parametrize(
    "behind",
    [b"rubbish" * 100, b"x", b"\0\0x", gzip.compress(b"y" * 5000)[:-1], b"\x1f", b"\n"],
    ids=["rubbish", "a byte", "padding and a byte", "half a member", "a start", "a line end"],
)
def test_what_follows_a_gzip_member_and_is_none_makes_the_body_broken(behind):
    with pytest.raises(Invalid) as refusal:
        inflate(gzip.compress(b"x" * 5000) + behind, "gzip", 100_000)
    assert refusal.value.field == "Content-Encoding"


def test_long_members_are_taken_one_after_the_other():
    texts = [bytes(1 << 20), random.Random(1).randbytes(300_000), b"x" * 700_000, b""]
    whole = b"".join(texts)
    assert inflate(b"".join(map(gzip.compress, texts)), "gzip", len(whole)) == whole


def test_a_gzip_bomb_of_many_members_stops_at_the_limit():
    with pytest.raises(TooLarge):
        inflate(gzip.compress(bytes(1 << 20)) * 100, "gzip", 10 << 20)


def test_a_gzip_bomb_stops_at_the_limit():
    bomb = gzip.compress(b"\0" * (200 << 20), 1)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        inflate(bomb, "gzip", 10 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 << 20


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"plain", "gzip"), (gzip.compress(b"x" * 5000)[:-9], "gzip"), (b"x", "br"), (b"", "gzip")],
)
def test_a_broken_encoding_is_named(body, encoding):
    with pytest.raises(Invalid) as refusal:
        inflate(body, encoding, 10_000)
    assert refusal.value.field == "Content-Encoding"


@given(st.binary(max_size=200), st.sampled_from([JSON, "text/plain", "application/x-ndjson"]))
def test_no_bytes_cause_anything_but_a_clear_answer(body, content_type):
    try:
        events = decode(body, content_type, 100).events
    except Invalid as error:
        events = [error]
    assert all(isinstance(event, Incoming) or str(event) for event in events)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
FIELD_NAMES = [*Incoming.__struct_fields__, "id", "type", "name", "ip", "geo_location", "url", "x"]


@given(
    st.lists(st.dictionaries(st.sampled_from(FIELD_NAMES), json_values, max_size=6) | json_values, max_size=5)
)
def test_each_event_of_any_json_gets_its_own_verdict(events):
    batch = decode(json.dumps(events).encode(), JSON, 100)
    assert len(batch.events) == len(events)
