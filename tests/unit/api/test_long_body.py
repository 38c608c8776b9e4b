"""A body read piece by piece says what it says when it is read in one go."""

import random

import pytest

from footfall.api import long_body
from footfall.api.problems import decode_strictly
from footfall.api.routes.imports import ChunkOfAccessLog, ChunkOfLines
from footfall.errors import Invalid, TooLarge

PIECES = [
    b'"a"', b'"bb"', b"1", b" 22", b",", b",", b"[", b"]", b"{", b"}", b" ", b'"\\"]"', b'"\\u00e9"', b'"',
    b"\\", b"null", b"1.0",
]  # fmt: skip


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(long_body, "_PART", 8)


def in_one_go(body):
    try:
        return decode_strictly(body, ChunkOfLines)
    except Invalid as error:
        return error.field


def piece_by_piece(body):
    try:
        return long_body.read(body, ChunkOfLines)
    except (Invalid, TooLarge) as error:
        return error.field


def some(choices, most):
    return b"".join(choices.choices(PIECES, k=choices.randint(0, most)))


@pytest.mark.usefixtures("small_parts")
def test_any_body_says_the_same():
    choices = random.Random(1)
    read = 0
    for number in range(20_000):
        if number % 2:
            numbers = b",".join(
                choices.choices([b"1", b" 2", b"333333333333", b"x"], k=choices.randint(0, 5))
            )
            body = b'{"lines":[%b],"format" : "b","occurrences":[%b]}' % (some(choices, 6), numbers)
        else:
            body = b'{"format":"b",%b}%b' % (some(choices, 8), some(choices, 1))
        expected, found = in_one_go(body), piece_by_piece(body)
        if isinstance(expected, str):
            assert isinstance(found, str), body
        else:
            assert found == expected, body
            read += 1
    assert read > 500


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"format":"b","lines":["a","b","c","d",5,"e"],"occurrences":[]}', "lines[4]"),
        (b'{"format":"b","lines":["a","b","c",["d"]],"occurrences":[]}', "lines[3]"),
        (b'{"format":"b","lines":[],"occurrences":[1,2,3,4,5,6,7.5]}', "occurrences[6]"),
        (b'{"format":"b","lines":5,"occurrences":[]}', "lines"),
        (b'{"format":5,"lines":[],"occurrences":[]}', "format"),
        (b'{"lines":[],"occurrences":[]}', "format"),
        (b'{"format":"b","lines":[],"occurrences":[],"agian":true}', "agian"),
        (b'{"format":"b","lines":[%b""],"occurrences":[]}' % (b'"",' * 20_000), "lines"),
        (b"{}", "format"),
        (b"[]", ""),
        (b"", ""),
    ],
)
def test_what_is_wrong_is_named(body, field):
    assert in_one_go(body) == piece_by_piece(body) == field


def test_other_lists_may_stand_beside_the_lines():
    body = b'{"pages":["/a[1]","pdf"],"site_id":"s","lines":["x"],"occurrences":[1],"dry_run":true}'
    assert long_body.read(body, ChunkOfAccessLog) == decode_strictly(body, ChunkOfAccessLog)


def test_what_is_long_beside_the_lines_is_too_large():
    pages = b",".join([b'"/%b"' % (b"a" * 1000)] * 100)
    with pytest.raises(TooLarge, match="other than its lines"):
        long_body.read(b'{"pages":[%b],"site_id":"s","lines":[],"occurrences":[]}' % pages, ChunkOfAccessLog)
