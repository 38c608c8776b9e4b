"""What state/ promises the worker and the doors, against real SQLite files and a real PostgreSQL."""

import asyncio
import sys
import uuid
from asyncio.subprocess import PIPE
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from footfall.database import Database, place_of
from footfall.errors import Conflict, Misconfigured, Retryable
from footfall.settings import Settings
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.dead_letters.letter import DeadLetter
from footfall.state.ledger import HOUR, Ledger, LedgerCount
from footfall.state.salts import Salts
from footfall.state.tables import METADATA, MIGRATIONS, dead_letters, leases, ledger, open_state
from tests.databases import variables

pytestmark = pytest.mark.anyio

# How a child process begins.
OPEN = """
import asyncio, os, sys, msgspec
from footfall.database import place_of
from footfall.settings import load
from footfall.state.batches import Batches, BatchPlan
from footfall.state.salts import Salts
from footfall.state.tables import open_state
database = open_state(place_of(load(), "state"))
"""
BIG = 2**64 - 1
DAY = 86400


@pytest.fixture
async def database(places: Settings):
    database = open_state(place_of(places, "state"))
    yield database
    await database.close()


def plan(*parts: tuple[int, int, int], created_at: int = 1) -> BatchPlan:
    """A plan of (shard, first offset, last offset)."""
    ranges = tuple(
        SeqRange(shard, first, last, first * 4096, last * 4096 + 19) for shard, first, last in parts
    )
    return BatchPlan(uuid.uuid4().hex, ranges, 20, 1_700_000_000_000, 1_700_000_060_000, created_at)


async def test_a_plan_survives_the_process_and_reads_back_whole(places: Settings):
    wanted = plan((BIG, 0, 6), (3, 2**50, 2**50 + 1))
    code = OPEN + (
        "plan = msgspec.json.decode(sys.argv[1], type=BatchPlan)\n"
        "asyncio.run(Batches(database).plan(plan))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    body, env = msgspec.json.encode(wanted), variables(places)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, body, env=env)
    assert await child.wait() == -9
    database = open_state(place_of(places, "state"))
    assert await Batches(database).open_plans() == [wanted]
    await database.close()


async def test_closing_advances_every_shard_and_forgets_the_plan(database: Database):
    batches = Batches(database)
    assert await batches.positions() == {}
    first, second = plan((BIG, 0, 6), (3, 10, 12), created_at=1), plan((BIG, 7, 7), created_at=2)
    await batches.plan(first)
    await batches.plan(second)
    assert await batches.open_plans() == [first, second]

    await batches.close(first, Closing())
    assert await batches.positions() == {BIG: 6, 3: 12}
    assert await batches.open_plans() == [second]
    await batches.close(second, Closing())
    assert await batches.positions() == {BIG: 7, 3: 12}


async def test_open_plans_come_in_the_order_they_were_planned_in_whatever_the_clock_did(database: Database):
    batches = Batches(database)
    planned = [plan((1, at, at), created_at=created) for at, created in enumerate((5, 5, 5, 1, 9, 2))]
    for one in planned:
        await batches.plan(one)
    assert await batches.open_plans() == planned


async def test_closing_out_of_order_never_moves_a_position_back(database: Database):
    batches = Batches(database)
    first, second = plan((1, 0, 6)), plan((1, 7, 9))
    await batches.plan(first)
    await batches.plan(second)
    await batches.close(second, Closing())
    await batches.close(first, Closing())
    assert await batches.positions() == {1: 9}


async def test_closing_twice_is_closing_once(database: Database):
    batches = Batches(database)
    one = plan((1, 0, 6))
    await batches.plan(one)
    closing = Closing(
        [LedgerCount("w", "s", HOUR, "received", 20), LedgerCount("w", "s", HOUR, "stored", 20)]
    )
    await batches.close(one, closing)
    await batches.close(one, closing)
    with pytest.raises(Conflict, match="never planned"):
        await batches.close(plan((1, 7, 8)), closing)
    assert await batches.positions() == {1: 6}
    books = await Ledger(database).books("w", 0, 2 * HOUR)
    assert {line.outcome: line.events for line in books.lines} == {"received": 20, "stored": 20}


async def test_planning_again_is_planning_once(database: Database):
    batches = Batches(database)
    one = plan((BIG, 0, 6), (3, 2, 5))
    await batches.plan(one)
    await batches.plan(one)
    assert await batches.open_plans() == [one]
    with pytest.raises(Conflict, match=one.id):
        await batches.plan(msgspec.structs.replace(one, rows=21))
    await batches.close(one, Closing())
    with pytest.raises(Conflict, match="closed up to record"):
        await batches.plan(one)


async def test_what_is_closed_or_planned_cannot_be_planned_again(database: Database):
    batches = Batches(database)
    done, waiting = plan((1, 0, 6)), plan((1, 10, 20))
    await batches.plan(done)
    await batches.close(done, Closing())
    await batches.plan(waiting)
    with pytest.raises(Conflict, match="closed up to record 6"):
        await batches.plan(plan((1, 6, 7)))
    with pytest.raises(Conflict, match=waiting.id):
        await batches.plan(plan((2, 0, 1), (1, 20, 30)))
    assert await batches.open_plans() == [waiting]
    await batches.plan(plan((1, 7, 9)))
    await batches.plan(plan((2, 6, 7)))


async def test_a_failing_transaction_leaves_nothing(database: Database):
    batches = Batches(database)
    one = plan((1, 0, 6))
    await batches.plan(one)
    with pytest.raises(Exception, match=r"(?i)not[ -]null"):
        await batches.close(one, Closing([LedgerCount("w", None, HOUR, "stored", 1)]))  # pyright: ignore[reportArgumentType] - a fault on purpose
    assert await batches.open_plans() == [one]
    assert await batches.positions() == {}


# ----------------------------------------------------------------------------------- ledger


async def test_closing_keeps_the_books_in_the_same_transaction(database: Database):
    batches, books = Batches(database), Ledger(database)
    counts = [LedgerCount("w", "s", HOUR, "received", 20), LedgerCount("w", "s", HOUR, "stored", 20)]
    for first in (0, 10):
        one = plan((1, first, first + 5))
        await batches.plan(one)
        for _ in range(2):  # repeated, as after an unknown outcome
            await batches.close(one, Closing(counts))
    lines = (await books.books("w", 0, 2 * HOUR)).lines
    assert {line.outcome: line.events for line in lines} == {"received": 40, "stored": 40}
    assert (await books.books("w", 0, 2 * HOUR)).closed == {1: 15}


async def test_a_closing_that_fails_leaves_no_line_of_the_books(database: Database):
    batches = Batches(database)
    one = plan((1, 0, 6))
    await batches.plan(one)
    letter = DeadLetter(
        shard=1, seq=5, workspace_id="w", site_id="s", hour=HOUR, reason="x", failed_at=1, size=0
    )
    counts = [LedgerCount("w", "s", HOUR, "received", 1)]
    with pytest.raises(IntegrityError):
        await batches.close(one, Closing(counts, [letter, letter]))
    books = await Ledger(database).books("w", 0, 2 * HOUR)
    assert (books.lines, books.closed, books.imbalances) == ([], {}, [])
    assert await batches.open_plans() == [one]

    await batches.close(one, Closing(counts, [letter]))
    books = await Ledger(database).books("w", 0, 2 * HOUR)
    assert {line.outcome: line.events for line in books.lines} == {"received": 1, "dead_lettered": 1}


async def test_a_database_of_a_program_that_knew_no_ledger_gets_one(places: Settings):
    database = open_state(place_of(places, "state"))
    await database.run(lambda c: METADATA.drop_all(c, [ledger, dead_letters, leases]))
    await database.close()
    database = open_state(place_of(places, "state"))
    assert (await Ledger(database).books("w", 0, HOUR)).lines == []
    await database.close()


# ----------------------------------------------------------------------------------- leases


async def test_salts_are_there_for_the_grace_today_and_tomorrow(database: Database):
    salts = Salts(database)
    assert salts.for_day(100) is None
    for day in (100, 101, 102):
        await salts.refresh(day * DAY + 5)
    known = [salts.for_day(day) for day in range(100, 104)]
    assert len({salt for salt in known if salt and len(salt) == 32}) == 4
    assert salts.for_day(99) is None
    assert salts.for_day(104) is None

    await salts.refresh(103 * DAY)
    assert salts.for_day(100) is None
    assert [salts.for_day(day) for day in (101, 102, 103)] == known[1:]


async def test_midnight_finds_the_salt_of_the_new_day_that_was_made_the_day_before(database: Database):
    early, late = Salts(database), Salts(database)
    await early.refresh(100 * DAY)
    tomorrow = early.for_day(101)
    assert tomorrow is not None
    await late.refresh(101 * DAY + 1)
    assert late.for_day(101) == tomorrow


async def test_racing_doors_agree_on_one_salt_a_day(places: Settings):
    code = OPEN + (
        "salts = Salts(database)\n"
        "for line in sys.stdin:\n"
        "    day = int(line)\n"
        "    asyncio.run(salts.refresh(day * 86400))\n"
        "    print(salts.for_day(day).hex(), salts.for_day(day + 1).hex(), flush=True)\n"
    )
    env = variables(places)
    doors = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=env, stdin=PIPE, stdout=PIPE)
        for _ in range(2)
    ]
    for day in range(100, 115, 3):  # each time both salts are missing
        for door in doors:
            assert door.stdin
            door.stdin.write(b"%d\n" % day)
        one, two = [await door.stdout.readline() for door in doors if door.stdout]
        assert one == two
        assert len(one) == 2 * 64 + 2
    for door in doors:
        await door.communicate(b"")
        assert door.returncode == 0


async def test_a_deleted_salt_is_really_gone(tmp_path: Path):
    path = tmp_path / "state.db"
    database = open_state(path)
    salts = Salts(database)

    def anywhere(salt: bytes) -> bool:
        return any(salt in file.read_bytes() for file in tmp_path.iterdir())

    old: list[bytes] = []
    for day in range(100, 140):
        await salts.refresh(day * DAY)
        salt = salts.for_day(day)
        assert salt is not None
        assert anywhere(salt)
        old.append(salt)
        assert [salt for salt in old[:-3] if anywhere(salt)] == []
    await database.close()
    assert [salt for salt in old[:-3] if anywhere(salt)] == []


# --------------------------------------------------------------------------------- database


async def test_the_file_is_private(tmp_path: Path):
    database = open_state(tmp_path / "new" / "state.db")
    await database.close()
    assert (tmp_path / "new" / "state.db").stat().st_mode & 0o777 == 0o600


async def test_a_file_of_another_version_or_no_database_is_refused_with_a_reason(tmp_path: Path):
    path = tmp_path / "state.db"
    database = Database.open(path, METADATA, [*MIGRATIONS, lambda _: None])
    await database.close()
    with pytest.raises(Misconfigured, match=f"schema {len(MIGRATIONS) + 2}"):
        open_state(path)
    (tmp_path / "text.db").write_text("no database, only words " * 200)
    with pytest.raises(Misconfigured, match=r"text\.db"):
        open_state(tmp_path / "text.db")
    with pytest.raises(Misconfigured, match="cannot be opened"):
        open_state(tmp_path)


async def test_a_busy_database_is_retryable(database: Database, places: Settings):
    other = open_state(place_of(places, "state"))
    entered, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(_connection: object) -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    if isinstance(database.place, Path):  # the other one waits its five seconds
        await database.read(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=20").close())
    holding = asyncio.create_task(other.run(hold))
    await entered.wait()
    with pytest.raises(Retryable, match="busy"):
        await Batches(database).plan(plan((1, 0, 6)))
    release.set()
    await holding
    await Batches(database).plan(plan((1, 0, 6)))
    await other.close()
