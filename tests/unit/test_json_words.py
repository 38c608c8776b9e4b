"""What does not fit is told without the words of the library that found it."""

import importlib
import inspect
import pkgutil
from typing import Annotated, get_args, get_type_hints

import msgspec
import pytest

import footfall
from footfall.collect.body.incoming import decode_event, explain
from footfall.errors import Invalid
from footfall.json_words import PATTERNS, in_words
from footfall.model.kinds import KINDS

CENTS = "Expected a whole number of cents (of the currency's minor unit), got "


def said_of(event):
    """Why the door refuses this event: field and message."""
    try:
        incoming = decode_event(msgspec.json.encode(event))
        msgspec.convert(incoming.properties or {}, KINDS[incoming.event_type].properties)
    except Invalid as error:
        return error.field, str(error)
    except msgspec.ValidationError as error:
        problem = explain(error, "properties.")
        return problem.field, str(problem)
    raise AssertionError("it was taken")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("country_code", "Germany", "Expected two letters, as in DE"),
        ("country_code", 5, "Expected a string, got an integer"),
        ("latitude", 100, "Expected a number, at most 90"),
        ("event_version", 0, "Expected an integer, at least 1"),
        ("sample_weight", 0, "Expected a number, more than 0"),
        ("sample_weight", "1", "Expected a number, got a string"),
        ("visitor_id", 1.5, "Expected an integer or a string, got a number with a fraction"),
        ("visitor_id", "x" * 300, "Expected at most 200 characters"),
        ("properties", [1], "Expected an object, got an array"),
        ("occurred_at", "yesterday", "Expected a time in ISO 8601 with offset, as in 2027-"),
        ("occurred_at", True, "Expected a time in ISO 8601"),
    ],
)  # fmt: skip
def test_a_field_says_what_it_wants(field, value, words):
    named, message = said_of({"event_type": "page_view", field: value})
    assert named == field
    assert message.startswith(f"{field}: {words}")


@pytest.mark.parametrize(
    ("properties", "field", "words"),
    [
        ({}, "name", "required, and missing"),
        ({"name": ""}, "name", "Expected at least 1 character"),
        ({"name": "x", "value_minor": 1.5}, "value_minor", CENTS + "a number with a fraction"),
        ({"name": "x", "value_minor": "5"}, "value_minor", CENTS + "a string"),
        ({"name": "x", "value_minor": 10**13}, "value_minor", CENTS.replace(" got ", f" at most {10**12}")),
        ({"name": "x", "currency": "eur"}, "currency", "Expected three capital letters, as in EUR"),
    ],
)  # fmt: skip
def test_a_property_says_what_it_wants(properties, field, words):
    assert said_of({"event_type": "conversion", "properties": properties}) == (
        f"properties.{field}",
        f"properties.{field}: {words}",
    )


def structs():
    """Every Struct of Footfall."""
    for module in pkgutil.walk_packages(footfall.__path__, "footfall."):
        if module.name.endswith("__main__"):
            continue
        for _, each in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(each, msgspec.Struct):
                yield each


def patterns(kind):
    if isinstance(kind, msgspec.Meta):
        yield kind.pattern
    for part in (*get_args(kind), *getattr(kind, "__metadata__", ())):
        yield from patterns(part)


def test_every_form_that_a_text_must_have_is_said_in_words():
    found = {
        pattern
        for each in structs()
        for hint in get_type_hints(each, include_extras=True).values()
        for pattern in patterns(hint)
        if pattern
    }
    assert found
    assert found <= PATTERNS.keys()
    for pattern, words in PATTERNS.items():
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.convert("?", Annotated[str, msgspec.Meta(pattern=pattern)])
        assert in_words(str(caught.value)) == f"Expected {words}"
