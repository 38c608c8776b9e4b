"""A chunk of lines: ids, measures, and the lines that are refused."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.imports.clicks.bitly import parse
from footfall.imports.clicks.chunk import checked_format, event_id, read, with_links

SECRET = b"s" * 32


def line(**changes):
    return json.dumps(
        {"h": "abc", "hh": "go.example", "u": "https://example.com/", "t": 1331923247} | changes
    )


@given(st.binary(), st.integers(1, 2**62))
def test_an_id_is_the_same_each_time_and_16_bytes(text, occurrence):
    made = event_id(SECRET, text, occurrence)
    assert made == event_id(SECRET, text, occurrence)
    assert len(made) == 16


def test_an_id_differs_by_line_occurrence_and_secret():
    ids = {
        event_id(SECRET, b"a", 1),
        event_id(SECRET, b"a", 2),
        event_id(SECRET, b"b", 1),
        event_id(b"t" * 32, b"a", 1),
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("csv", ["x"], [1]), "format"),
        (("bitly", ["x"] * 20_001, [1] * 20_001), "lines"),
        (("bitly", ["x"], []), "occurrences"),
        (("bitly", ["x"], [0]), "occurrences"),
        (("bitly", ["x"], [1 << 63]), "occurrences"),
    ],
)
def test_a_wrong_chunk_is_refused_and_the_field_named(arguments, field):
    with pytest.raises(Invalid) as raised:
        checked_format(*arguments)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (line(u="javascript:alert(1)"), "http"),
        (line(u="https://user:secret@example.com/"), "password"),
        (line(u="https://example.com/\n"), "control"),
        (line(t=time.time() + 90_000), "future"),
        (line(a="x" * 70_000), "longer"),
    ],
)
def test_a_refused_line_is_counted_and_explained_and_its_neighbours_are_read(text, said):
    clicks, refusals = read(parse, SECRET, [line(), text, line()], [1, 1, 2])
    assert [each.line for each in clicks] == [0, 2]
    assert refusals.counts == {"bad_line": 1}
    assert [(problem.index, said in problem.detail) for problem in refusals.problems] == [(1, True)]


def test_clicks_whose_link_cannot_be_are_refused_with_the_reason():
    texts = [line(), line(h="a b"), line(hh="nothost"), line(h="loop")]
    clicks, refusals = read(parse, SECRET, texts, [1] * 4)
    kept = with_links(clicks, {("go.example", "abc")}, refusals)
    assert [each.line for each in kept] == [0]
    assert [problem.detail.split()[0] for problem in refusals.problems] == ["code", "domain", "the"]


def test_heartbeats_are_counted_without_words_and_words_are_bounded():
    texts = ['{"_heartbeat_": 1}'] * 3 + ["?"] * 100
    _, refusals = read(parse, SECRET, texts, [1] * 103)
    assert refusals.counts == {"heartbeat": 3, "bad_line": 100}
    assert len(refusals.problems) == 20
