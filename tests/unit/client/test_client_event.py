"""What `track` makes of its arguments, and what it refuses."""

import contextlib
import dataclasses
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.client.event import _TYPES, Envelope, make, make_from
from footfall.collect.body.incoming import FIELDS, Incoming
from footfall.collect.body.read import decode
from footfall.errors import Invalid
from footfall.model.ids import parse_event_id
from footfall.model.properties import check


def body(made):
    return json.loads(made.data)


def test_the_envelope_is_that_of_the_door():
    assert set(Envelope.__annotations__) == FIELDS - {"event_type", "properties"}
    for name, types in _TYPES.items():
        annotation = str(Incoming.__annotations__[name])
        assert ("str" in annotation) or str not in types or name == "occurred_at", name


def test_an_event_has_an_id_and_a_time_of_its_own():
    before = datetime.now(UTC).timestamp()
    first, second = make("signup", None, {}), make("signup", {}, {})
    assert first.id != second.id
    assert body(first)["event_id"] == first.id
    assert uuid.UUID(first.id).version == 7
    assert parse_event_id(first.id)
    assert before - 1 < body(first)["occurred_at"] / 1000 < before + 60
    assert set(body(second)) == {"event_type", "event_id", "occurred_at"}


def test_what_the_caller_says_wins():
    own = uuid.uuid4()
    at = datetime(2026, 11, 20, 18, 3, tzinfo=UTC)
    made = make(
        "signup", {"plan": "team"}, {"event_id": own, "occurred_at": at, "visitor_id": 7, "city": None}
    )
    assert made.id == str(own)
    assert body(made) == {
        "event_type": "signup",
        "event_id": str(own),
        "occurred_at": "2026-11-20T18:03:00Z",
        "visitor_id": 7,
        "properties": {"plan": "team"},
    }


def test_an_event_is_as_it_was_when_it_was_tracked():
    properties = {"cart": ["a"]}
    made = make("order", properties, {})
    properties["cart"].append("b")
    assert body(made)["properties"] == {"cart": ["a"]}


def test_a_mapping_is_an_event():
    made = make_from({"event_type": "signup", "properties": {"a": 1}, "page_url": "https://example.com/"})
    assert body(made)["page_url"] == "https://example.com/"


@dataclasses.dataclass
class Money:
    amount: Decimal


def test_python_values_become_json():
    made = make(
        "x", {"money": Money(Decimal("1.10")), "day": datetime(2026, 1, 1, tzinfo=UTC).date(), "s": {1}}, {}
    )
    assert body(made)["properties"] == {"money": {"amount": "1.10"}, "day": "2026-01-01", "s": [1]}


CIRCLE = {}
CIRCLE["self"] = CIRCLE


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: make(7, None, {}), TypeError, "event_type must be str"),
        (lambda: make("x", ["a"], {}), TypeError, "properties must be a mapping"),
        (lambda: make("x", {"a": object()}, {}), TypeError, "object"),
        (lambda: make("x", None, {"page_url": 7}), TypeError, "page_url must be str, not int"),
        (lambda: make("x", None, {"event_version": True}), TypeError, "event_version must be int"),
        (lambda: make("x", None, {"occurred_at": datetime(2026, 1, 1)}), ValueError, "time zone"),  # noqa: DTZ001 - is refused
        (lambda: make("x", CIRCLE, {}), ValueError, "circle"),
        (lambda: make_from("x"), TypeError, "an event must be a mapping"),
        (lambda: make_from({"properties": {}}), TypeError, "event_type"),
    ],
)
def test_wrong_types_are_the_programmers_to_mend(call, error, words):
    with pytest.raises(error, match=words):
        call()


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_an_event_that_would_spoil_its_batch_is_not_sent():
    assert make("x", deep(99), {}).data
    for levels in (101, 500, 800):
        made = make("x", deep(levels), {})
        assert made.data is None
        assert "100 levels" in made.problem
    assert make("x", {"wide": [[]] * 500, "braces": "{" * 500}, {}).data
    assert make("x", None, {"page_url": "[" * 500}).data


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=())), values, max_size=5), st.text())
def test_whatever_is_tracked_the_door_can_read(properties, kind):
    made = make(kind, properties, {})
    if made.data is None:
        return
    good = make("good", None, {}).data
    batch = decode(b'{"queue_id":"q","events":[' + made.data + b"," + good + b"]}", "application/json", 10)
    assert len(batch.events) == 2
    assert batch.events[1].event_type == "good"
    first = batch.events[0]
    if not isinstance(first, Invalid):  # and what it reads, it can keep, or says why not
        assert first.event_id == made.id
        with contextlib.suppress(Invalid):
            msgspec.json.decode(check(first.properties or {}))
