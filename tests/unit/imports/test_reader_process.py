"""A large file is read by another process: the same chunks, the same refusals, and no process left behind."""

import gzip
import io
import multiprocessing
import random

import pytest

from footfall.errors import Invalid
from footfall.imports.access_log.requests import line_identity
from footfall.imports.reader import read_chunks
from footfall.imports.reader_process import open_chunks

LINE = '192.0.2.{} - - [17/May/2015:10:05:{:02} +0000] "GET /{} HTTP/1.1" 200 1 "-" "{}"\n'
NO_STDIN = io.BufferedReader(io.BytesIO())


@pytest.fixture(scope="module")
def large():
    rng = random.Random(1)
    lines = (
        LINE.format(rng.randrange(250), rng.randrange(60), rng.randrange(99), rng.random())
        for _ in range(40_000)
    )
    return "".join(lines).encode() * 2


def test_the_chunks_are_those_of_reading_here(large, tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(large)
    here = list(read_chunks(io.BufferedReader(io.BytesIO(large)), 20_000, line_identity))
    with open_chunks(str(path), NO_STDIN, 20_000, line_identity) as (chunks, size):
        assert list(chunks) == here
    assert size == len(large)
    assert {chunk.occurrences[0] for chunk in here} == {1, 2}


def test_a_file_that_is_broken_is_read_as_far_as_it_goes(large, tmp_path):
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(large, 1)[:-1000])
    read = []

    def read_on():
        with open_chunks(str(path), NO_STDIN, 20_000, line_identity) as (chunks, _):
            read.extend(len(chunk.lines) for chunk in chunks)

    with pytest.raises(Invalid, match="cannot be read further than line") as told:
        read_on()
    assert told.value.field == "FILE"
    assert 70_000 < sum(read) < 80_000


def test_who_stops_half_way_leaves_no_process(large, tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(large)
    with open_chunks(str(path), NO_STDIN, 1000, line_identity) as (chunks, _):
        assert len(next(chunks).lines) <= 1000
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def test_a_small_file_and_standard_input_are_read_here(tmp_path):
    path = tmp_path / "access.log"
    path.write_text(LINE.format(1, 2, 3, "x"))
    for file, stdin in ((str(path), NO_STDIN), ("-", io.BufferedReader(io.BytesIO(path.read_bytes())))):
        with open_chunks(file, stdin, 1000, line_identity) as (chunks, _):
            assert [chunk.lines for chunk in chunks] == [[path.read_text().strip()]]
            assert not multiprocessing.active_children()


def test_a_file_that_is_not_there_is_said_at_once():
    with pytest.raises(Invalid, match="No such file"), open_chunks("nothing", NO_STDIN, 1000, line_identity):
        pass
