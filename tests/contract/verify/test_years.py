"""`verify` over years: it looks where there is something, and answers for what was done when stopped."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.cli import verify
from footfall.cli.console_client import Console
from footfall.errors import Retryable
from footfall.state.ledger import HOUR
from footfall.state.ranges import iso
from footfall.state.tables import positions, rollups_deleted
from footfall.verify import busy, log_records
from footfall.verify.busy import cut
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


async def three_days(world, acme, monkeypatch):
    """Each has something, and is compared on its own."""
    monkeypatch.setattr(busy, "_MOST_HOURS", HOUR)
    for hours_ago in (48, 24, 0):
        await world.append(event(), event(), workspace=acme, at=NOW - hours_ago * HOUR)
    await world.take()


async def test_a_command_that_is_stopped_says_what_it_has_found(world, api, acme, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    await three_days(world, acme, monkeypatch)
    real, compared = Console.get, []

    async def get(self, path, **parameters):
        if path == "/api/v1/verify":
            compared.append(parameters)
            if len(compared) == 2:
                asyncio.current_task().cancel()  # as Ctrl-C does
                await asyncio.sleep(0)
        return await real(self, path, **parameters)

    monkeypatch.setattr(Console, "get", get)
    assert await api.command(verify.verify, start="2012-01-01", workspace=acme) == 130
    shown = capsys.readouterr().out
    assert len(compared) == 2
    assert f"to {compared[0]['end']} only" in shown
    assert shown.rstrip().endswith("what was compared adds up")


async def test_a_server_that_is_stopped_answers_for_what_is_done(world, api, acme, monkeypatch):
    await three_days(world, acme, monkeypatch)
    stop, real, pieces = asyncio.Event(), world.verifier._piece, []

    async def piece(*range_):
        pieces.append(range_)
        if len(pieces) == 3:
            stop.set()
            await asyncio.Event().wait()  # as a large piece: it is cut short
        return await real(*range_)

    monkeypatch.setattr(world.verifier, "_piece", piece)
    result = await world.verifier.run(THIS_HOUR - 72 * HOUR, END, acme, stop)
    assert (result.start, result.end) == (THIS_HOUR - 72 * HOUR, pieces[1][1])
    assert sum(site.received for site in result.sites) >= 2
    assert any("on was not compared" in note for note in result.notes)
    with pytest.raises(Retryable, match="stopped"):  # with nothing to tell it is no answer
        await world.verifier.run(THIS_HOUR - 72 * HOUR, END, acme, stop)


async def test_a_command_whose_server_goes_says_what_it_has_found(world, api, acme, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    await three_days(world, acme, monkeypatch)
    real, compared = Console.get, []

    async def get(self, path, **parameters):
        if path == "/api/v1/verify":
            compared.append(parameters)
            if len(compared) == 2:
                raise Retryable("no answer")
        return await real(self, path, **parameters)

    monkeypatch.setattr(Console, "get", get)
    assert await api.command(verify.verify, start="2012-01-01", workspace=acme) == 1
    shown = capsys.readouterr().out
    assert f"to {compared[0]['end']} only" in shown
    assert "no answer" in shown


async def test_an_empty_answer_of_the_log_below_what_is_closed_is_not_its_end(world, monkeypatch):
    for _ in range(6):
        await world.append(event(), event())
    await world.take()
    monkeypatch.setattr(log_records, "_CHUNK_RECORDS", 2)
    real = world.log.read

    async def read(shard, after, limit, most):
        return [] if limit == 2 and after == 3 else await real(shard, after, limit, most)

    monkeypatch.setattr(world.log, "read", read)
    with pytest.raises(Retryable, match="cannot be read now"):
        await world.verify()


async def test_records_that_are_gone_from_the_end_of_the_log_are_found(world, monkeypatch):
    for _ in range(6):
        await world.append(event(), event())
    await world.take()
    real = world.log.read

    async def read(shard, after, limit, most):
        return [each for each in await real(shard, after, limit, most) if each.offset < 4]

    monkeypatch.setattr(world.log, "read", read)
    found = await world.found()
    assert ("error", "log_end", "", 5, 3) in found
    assert len([each for each in found if each[1] == "log_end"]) == 1


async def test_a_shard_that_retention_took_is_nothing_wrong(world, monkeypatch):
    await world.append(event(), event())
    await world.take()
    real = world.log.read

    async def nothing(*_):
        return []

    monkeypatch.setattr(world.log, "read", nothing)
    assert not [each for each in await world.found() if each[1] == "log_end"]
    monkeypatch.setattr(world.log, "read", real)


async def test_days_whose_rollups_are_deleted_are_said_not_to_be_compared(world):
    await world.append(event(), event())
    await world.take()

    def deleted(connection):
        connection.execute(rollups_deleted.insert().values(id=1, at=THIS_HOUR))

    await world.database.run(deleted)
    (note,) = (await world.verify()).notes
    assert note == f"rollups of before {iso(THIS_HOUR)} were deleted by age: not compared"
    assert (await world.verify(start=THIS_HOUR)).notes == []
