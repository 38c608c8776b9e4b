"""`verify` over years: it looks where there is something, and answers for what was done when stopped."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall import cli_verify
from footfall.cli_client import Console
from footfall.errors import Retryable
from footfall.jobs import busy
from footfall.jobs.busy import cut
from footfall.state.ledger import HOUR
from footfall.state.tables import positions
from tests.contract.verified import END, NOW, START, THIS_HOUR, event

pytestmark = pytest.mark.anyio

LONG_AGO = THIS_HOUR - 14 * 365 * 24 * HOUR


@given(st.dictionaries(st.integers(0, 2000).map(lambda n: n * HOUR), st.integers(0, 900_000), max_size=60))
def test_the_pieces_hold_every_busy_hour_once_and_are_bounded(hours):
    pieces = cut(hours)
    assert all(before.end <= after.start for before, after in itertools.pairwise(pieces))
    inside = [[hour for hour in hours if piece.start <= hour < piece.end] for piece in pieces]
    assert sorted(hour for each in inside for hour in each) == sorted(hours)
    for piece, held in zip(pieces, inside, strict=True):
        assert piece.end - piece.start <= busy._MOST_HOURS
        assert piece.rows == sum(hours[hour] for hour in held)
        assert len(held) == 1 or piece.rows <= busy._MOST_WEIGHT


async def asked(world, monkeypatch, start):
    """How many statements a comparison takes."""
    count = 0
    real = world.store.query

    async def query(*arguments, **options):
        nonlocal count
        count += 1
        return await real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "query", query)
        result = await world.verify(start=start)
    assert result.findings == []
    assert (result.start, result.end) == (start, END)
    return count


async def test_empty_years_cost_nothing(world, monkeypatch):
    await world.append(event())
    await world.take()
    assert await asked(world, monkeypatch, LONG_AGO) <= await asked(world, monkeypatch, START) + 2


async def test_what_was_received_long_ago_is_compared(world):
    await world.append(event(), event(), at=LONG_AGO + 5 * HOUR)
    await world.append(event())
    await world.take(unstored=[(0, 1)])
    found = await world.verify(start=LONG_AGO)
    assert {each.check for each in found.findings} >= {"stored", "missing"}
    assert {each.hour for each in found.findings} == {LONG_AGO + 5 * HOUR}


async def test_records_that_were_passed_over_are_found_though_no_book_knows_of_them(world):
    """As a worker left them that took a log it could not read for an empty one."""
    await world.append(event(), event(), event(), at=NOW - 900 * HOUR)

    def passed(connection):
        connection.execute(positions.insert().values(shard=f"{world.shard:016x}", offset=0))

    await world.database.run(passed)
    found = await world.found(start=LONG_AGO)
    assert ("error", "received", "shop", 0, 3) in found


async def test_a_log_that_cannot_be_read_now_is_an_error_and_not_nothing(world, monkeypatch):
    await world.append(event())
    await world.take()

    async def held(*_):
        raise Retryable("the segment is held")

    monkeypatch.setattr(world.log, "read", held)
    with pytest.raises(Retryable, match="held"):
        await world.verify()


async def test_events_that_are_stored_and_booked_as_dropped_are_found(world):
    await world.append(event(), event())
    await world.take()
    await world.count("acme", "shop", stored=-1, dropped=1)
    assert ("error", "stored", "shop", 1, 2) in await world.found()


async def test_events_that_are_stored_and_booked_as_lost_are_found(world):
    await world.append(event(), event())
    await world.take()
    await world.count("acme", "shop", stored=-1, lost=1)
    assert ("error", "stored", "shop", 1, 2) in await world.found()


async def test_a_command_that_is_stopped_says_what_it_has_found(world, api, acme, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(busy, "_MOST_HOURS", HOUR)
    for hours_ago in (48, 24, 0):
        await world.append(event(), event(), workspace=acme, at=NOW - hours_ago * HOUR)
    await world.take()
    real, compared = Console.get, []

    async def get(self, path, **parameters):
        if path == "/api/v1/verify":
            compared.append(parameters)
            if len(compared) == 2:
                asyncio.current_task().cancel()  # as Ctrl-C does
                await asyncio.sleep(0)
        return await real(self, path, **parameters)

    monkeypatch.setattr(Console, "get", get)
    assert await api.command(cli_verify.verify, start="2012-01-01", workspace=acme) == 130
    shown = capsys.readouterr().out
    assert len(compared) == 2
    assert f"to {compared[0]['end']} only" in shown
    assert shown.rstrip().endswith("what was compared adds up")
