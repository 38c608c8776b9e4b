"""Work that may be long, in steps: whoever sends much waits for it, and nobody else.

The work is a generator that yields wherever others may go first. Between its steps the event loop
goes round every few milliseconds; and of all such requests the door reads one at a time (see `lane.py`):
a hundred of them hold up a redirect no longer than one, and only one has its
objects in memory.
"""

import asyncio
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]

_SLICE = 0.002  # seconds of work between two turns of the event loop


async def in_turns(work: Steps[T]) -> T:
    """Do `work`, with turns for everybody else. Returns or raises what it does."""
    while True:
        until = perf_counter() + _SLICE
        try:
            while perf_counter() < until:
                next(work)
        except StopIteration as end:
            return end.value
        await asyncio.sleep(0)


def at_once(work: Steps[T]) -> T:
    """Do all of `work` now, where nobody waits."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
