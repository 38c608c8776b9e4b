"""Losses that are found again and again, in other parts each time: every offset is booked once."""

import asyncio
import tempfile
from pathlib import Path

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.state.lost import Lost, book, mark_booked
from footfall.state.tables import ledger, lost_ranges, open_state

RANGES = st.tuples(st.integers(0, 60), st.integers(0, 15)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(RANGES, max_size=5)), max_size=8))
def test_every_offset_is_booked_once(steps):
    async def run():
        with tempfile.TemporaryDirectory() as directory:
            state = open_state(Path(directory) / "state.db")
            try:
                lost: set[int] = set()
                known: set[int] = set()
                for marks, ranges in steps:
                    offsets = {offset for first, last in ranges for offset in range(first, last + 1)}
                    if marks:
                        await state.run(lambda connection, ranges=ranges: mark_booked(connection, 7, ranges))
                    else:
                        found = [Lost(7, first, last, last - first + 1, 1000.0) for first, last in ranges]
                        new = await state.run(
                            lambda connection, found=found: book(connection, None, "a", found)
                        )
                        assert new == len(offsets - known)
                        lost |= offsets - known
                    known |= offsets
                booked = sa.select(sa.func.sum(ledger.c.count)).where(ledger.c.outcome == "lost")
                assert (await state.read(lambda connection: connection.scalar(booked)) or 0) == len(lost)
                rows = await state.read(lambda connection: list(connection.execute(sa.select(lost_ranges))))
                assert {offset for row in rows for offset in range(row.first, row.last + 1)} == known
            finally:
                await state.close()

    asyncio.run(run())
