"""Ids of events: they differ, sort by time, and nobody who has seen some knows others."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from footfall.model.ids import uuid7

# Bits that count up instead of random ones, from before the first id is made.
ORDERED = """
import itertools, os
words = itertools.count()
os.urandom = lambda size: b"".join(next(words).to_bytes(8, "big") for _ in range(size // 8))
from footfall.model.ids import uuid7
print(*(uuid7(0)[6:].hex() for _ in range(3000)))
"""


def test_all_of_their_random_bits_are_the_operating_systems():
    done = subprocess.run([sys.executable, "-c", ORDERED], capture_output=True, text=True, check=True)
    expected = [
        (0x7 << 76 | 0x2 << 62 | (n & 0xFFF) << 64 | (n + 1) >> 2).to_bytes(10, "big").hex()
        for n in range(0, 6000, 2)
    ]
    assert done.stdout.split() == expected


def test_those_of_several_threads_differ_and_have_their_form():
    with ThreadPoolExecutor(8) as threads:
        made = [
            each
            for ids in threads.map(lambda at: [uuid7(at) for _ in range(20_000)], range(8))
            for each in ids
        ]
    assert len({each[6:] for each in made}) == len(made)
    assert {(each[6] >> 4, each[8] >> 6) for each in made} == {(7, 2)}
    assert [int.from_bytes(each[:6], "big") for each in made[::20_000]] == list(range(8))
