"""Reading files of lines: chunks, numbers, occurrences, and files that are not what they should be."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.imports.reader import UNREADABLE, open_input, read_chunks


def chunks(data, most_lines=5000):
    return list(read_chunks(io.BufferedReader(io.BytesIO(data)), most_lines))


def flat(data, most_lines=5000):
    """(number, line, occurrence) of each line."""
    return [
        entry
        for c in chunks(data, most_lines)
        for entry in zip(c.numbers, c.lines, c.occurrences, strict=True)
    ]


def test_lines_have_their_number_and_say_which_of_the_identical_ones_they_are():
    assert flat(b"a\nb\na\n\na\n") == [(1, "a", 1), (2, "b", 1), (3, "a", 2), (5, "a", 3)]


def test_line_ends_and_blanks_do_not_make_a_line_another():
    assert flat(b"a\r\n \r\na \na") == [(1, "a", 1), (3, "a", 2), (4, "a", 3)]


def test_occurrences_count_through_the_whole_file_not_the_chunk():
    assert flat(b"a\na\na\n", most_lines=2) == flat(b"a\na\na\n")
    assert [len(c.lines) for c in chunks(b"a\na\na\n", most_lines=2)] == [2, 1]


def test_bytes_that_are_no_text_are_one_unreadable_line():
    assert flat(b"a\n\xff\xfe\nb\n") == [(1, "a", 1), (2, UNREADABLE, 1), (3, "b", 1)]


def test_an_endless_line_is_one_unreadable_line_and_memory_stays_small():
    data = b"a\n" + b"x" * 1_000_000 + b"\nb\n"
    assert flat(data) == [(1, "a", 1), (2, UNREADABLE, 1), (3, "b", 1)]


def test_long_lines_make_smaller_chunks():
    line = b"x" * 60_000 + b"\n"
    assert max(len(c.lines) for c in chunks(line * 200)) < 100


def test_gzip_is_known_by_its_content():
    assert flat(gzip.compress(b"a\nb\n")) == flat(b"a\nb\n")


def test_a_broken_gzip_gives_what_is_there_and_then_says_so():
    data = gzip.compress(b"".join(b"line %d\n" % n for n in range(5000)), mtime=0)
    found = []

    def read():
        for chunk in read_chunks(io.BufferedReader(io.BytesIO(data[: len(data) // 2])), 100):
            found.extend(chunk.lines)

    with pytest.raises(Invalid, match="cannot be read further than line"):
        read()
    assert found[:2] == ["line 0", "line 1"]
    assert len(found) > 100


def test_an_empty_file_has_no_chunks():
    assert chunks(b"") == []
    assert chunks(b"\n\r\n  \n") == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(Invalid, match="No such file"):
        open_input(str(tmp_path / "nothing"), io.BufferedReader(io.BytesIO()))
    with pytest.raises(Invalid, match="directory"):
        open_input(str(tmp_path), io.BufferedReader(io.BytesIO()))


@given(st.binary(max_size=300), st.integers(1, 5))
def test_any_bytes_can_be_read_and_the_size_of_chunks_changes_nothing(data, most_lines):
    if not data.startswith(b"\x1f\x8b"):
        assert flat(data, most_lines) == flat(data)
