"""What the port of the store promises. Every adapter runs this suite."""

import asyncio
import math
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from footfall.errors import FootfallError, Invalid, Misconfigured, StoreDown
from footfall.model.columns import COLUMNS, NAMES
from footfall.model.ids import uuid7
from footfall.settings import Settings
from footfall.store import BACKENDS, open_store
from footfall.store.arrow import Constant, table
from footfall.store.migrate import migrations

pytestmark = pytest.mark.anyio

NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
_BLANK = {"UUID": bytes(16), "Float32": 0.0, "Bool": False, "JSON": ""}


def rows(count, first=0, **columns):
    """A table of `count` rows; what is not given is blank."""
    given = {
        "event_id": [uuid7() for _ in range(count)],
        "occurred_at": Constant(NOON),
        "received_at": Constant(NOON),
        "workspace_id": Constant("w"),
        "shard": Constant(1),
        "seq": list(range(first, first + count)),
        **columns,
    }
    for column in COLUMNS:
        blank = _BLANK.get(column.type, "" if "String" in column.type else 0)
        given.setdefault(column.name, Constant(blank))
    return table(given)


@pytest.fixture(params=BACKENDS)
def settings(request, tmp_path):
    return Settings(data=tmp_path / "data", store=request.param, query_timeout=20)


@asynccontextmanager
async def opened(settings, *, migrated=True):
    store = await open_store(settings)
    try:
        if migrated:
            await store.migrate()
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(settings):
    async with opened(settings) as store:
        yield store


async def count(store):
    return (await store.query("SELECT count() FROM events"))[0][0]


async def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


# What goes in comes out


EXTREMES = {
    "UUID": [(b"\0" * 16, uuid.UUID(int=0)), (b"\xff" * 16, uuid.UUID(int=2**128 - 1))],
    "UInt16": [(0, 0), (2**16 - 1, 2**16 - 1)],
    "UInt32": [(0, 0), (2**32 - 1, 2**32 - 1)],
    "UInt64": [(0, 0), (2**64 - 1, 2**64 - 1)],
    "Bool": [(False, False), (True, True)],
    "Float32": [(-0.5, -0.5), (math.inf, math.inf)],
    "String": [("", ""), ("\0 'ü\\\n\t\"{x:UInt8}😀", "\0 'ü\\\n\t\"{x:UInt8}😀")],
    "DateTime64(3, 'UTC')": [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (4_102_444_799_999, datetime(2099, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
    ],
    "JSON": [("", ""), ('{"a.b":1.0,"a":{"b":null}}', '{"a.b":1.0,"a":{"b":null}}')],
}
EXTREMES["LowCardinality(String)"] = EXTREMES["String"]


async def test_every_column_keeps_its_extremes(store):
    values = {c.name: [given for given, _ in EXTREMES[c.type]] for c in COLUMNS}
    expected = [tuple(EXTREMES[c.type][row][1] for c in COLUMNS) for row in (0, 1)]
    await store.insert(table(values), "extremes")
    assert await store.query(f"SELECT {', '.join(NAMES)} FROM events ORDER BY seq") == expected


async def test_unknown_values_become_the_columns_blanks_and_unknown_places_nan(store):
    values = {c.name: [None] for c in COLUMNS} | {"occurred_at": [NOON]}
    await store.insert(table(values), "unknown")
    [row] = await store.query("SELECT city, asn, via_click_id, is_bot, properties, latitude FROM events")
    assert row[:-1] == ("", 0, uuid.UUID(int=0), False, "")
    assert math.isnan(row[-1])


async def test_times_come_back_in_utc_whatever_their_zone(store):
    await store.insert(rows(1, occurred_at=[NOON + 123]), "zones")
    [found] = await store.query(
        "SELECT occurred_at, toStartOfDay(occurred_at, 'Asia/Kolkata'), toDateTime(occurred_at) FROM events"
    )
    assert found == (
        datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC),
        datetime(2026, 2, 28, 18, 30, tzinfo=UTC),
        datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    assert {at.utcoffset() for at in found} == {timedelta(0)}


NASTY = ["", "'", "\\", "\\'", "' OR 1=1 --", "\t\n\r", "\0", "\\N", "{p:String}", "%s", "ü😀", "`", '"', ";"]


async def test_values_are_never_part_of_the_statement(store):
    for text in NASTY:
        answer = await store.query("SELECT {p:String}, {l:Array(String)}", {"p": text, "l": [text, "x"]})
        assert answer == [(text, [text, "x"])]
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    sql = (
        "SELECT {n:UInt64}, {i:Int64}, {f:Float64}, {t:DateTime64(3, 'UTC')},"
        " {x:Nullable(String)}, {e:Array(Int8)}"
    )
    values = {"n": 2**64 - 1, "i": -(2**63), "f": 0.1, "t": at, "x": None, "e": []}
    assert await store.query(sql, values) == [(2**64 - 1, -(2**63), 0.1, at, None, [])]


async def test_questions_asked_at_once_keep_their_own_values(store):
    sql = "SELECT {a:String}, {b:UInt64} FROM numbers(1000) LIMIT 1"
    asked = [(f"value {n}", n) for n in range(300)]
    assert await asyncio.gather(*(store.query(sql, {"a": a, "b": b}) for a, b in asked)) == [
        [a] for a in asked
    ]


# Inserts


async def test_an_insert_is_seen_by_the_next_question_and_is_never_taken_for_a_repetition(store):
    batch = rows(1000)
    for times in (1, 2, 3):
        await store.insert(batch, "same")
        assert await count(store) == 1000 * times


async def test_one_insert_is_one_part_a_month(store):
    day = 86_400_000
    await store.insert(rows(3000, occurred_at=[NOON + row % 3 * 31 * day for row in range(3000)]), "months")
    parts = await store.query(
        "SELECT sum(rows) FROM system.parts WHERE table = 'events' AND active GROUP BY name"
    )
    assert parts == [(1000,)] * 3


async def test_an_import_over_many_years_is_stored(store):
    month = 31 * 86_400_000
    await store.insert(rows(300, occurred_at=[NOON - row * month for row in range(300)]), "years")
    assert await count(store) == 300


@contextmanager
def in_the_way(directory):
    """A file stands where the directory should be."""
    away = directory.rename(f"{directory}.away")
    directory.touch()
    yield
    directory.unlink()
    away.rename(directory)


async def test_rows_that_cannot_be_written_are_never_acknowledged(store):
    await store.insert(rows(10), "good")
    where = "database = currentDatabase() AND name = 'events'"
    [(directory,)] = await store.query(f"SELECT data_paths[1] FROM system.tables WHERE {where}")
    with in_the_way(Path(directory)), pytest.raises(StoreDown, match="an insert failed"):
        await store.insert(rows(1000), "nowhere")
    assert await count(store) == 10
    await store.insert(rows(1), "good-again")
    assert await count(store) == 11


async def test_a_cancelled_insert_leaves_no_attempt_behind(store):
    task = asyncio.create_task(store.insert(rows(100_000), "cancelled"))
    await until(lambda: _runs(store, "INSERT"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await count(store)
    assert found in {0, 100_000}
    await store.insert(rows(1), "next")
    assert await count(store) == found + 1


async def test_questions_during_inserts_see_whole_batches(store):
    done = asyncio.Event()
    seen: list[int] = []

    async def ask():
        while not done.is_set():
            seen.append(await count(store))

    readers = [asyncio.create_task(ask()) for _ in range(6)]
    for batch in range(8):
        await store.insert(rows(20_000, first=batch * 20_000), f"batch-{batch}")
    done.set()
    await asyncio.gather(*readers)
    assert {number % 20_000 for number in seen} == {0}
    assert await store.query("SELECT count(), uniqExact(seq) FROM events") == [(160_000, 160_000)]


# Limits


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO events (seq) VALUES (1)",
        "DROP TABLE events",
        "TRUNCATE TABLE events",
        "ALTER TABLE events DELETE WHERE 1",
        "CREATE TABLE other (a UInt8) ENGINE = Memory",
        "OPTIMIZE TABLE events FINAL",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "DESCRIBE file('/etc/passwd')",
        "SET readonly = 0",
        "SET max_execution_time = 0",
        "SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/passwd')",
        "SELECT 1 INTO OUTFILE '/dev/null' TRUNCATE",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/x', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1:1', system.one)",
    ],
)
async def test_a_question_can_neither_write_nor_reach_outside(store, sql):
    await store.insert(rows(1), "one")
    with pytest.raises(FootfallError):
        await store.query(sql)
    assert await count(store) == 1


async def _runs(store, what):
    found = await store.query(
        "SELECT count() FROM system.processes"
        " WHERE query LIKE {what:String} AND query NOT LIKE '%processes%'",
        {"what": f"{what}%"},
    )
    return found[0][0]


async def _rests(store):
    return not await _runs(store, "SELECT sum(sip")


async def test_a_question_that_takes_too_long_is_ended_and_its_reader_works_again(store):
    for _ in range(6):  # more than there are readers
        with pytest.raises(Invalid, match=r"longer than 0\.05 s"):
            await store.query(ENDLESS, timeout=0.05)
    await until(lambda: _rests(store))
    assert await store.query("SELECT 1") == [(1,)]


async def test_the_default_limit_is_that_of_the_settings(settings):
    async with opened(settings.model_copy(update={"query_timeout": 0.3})) as store:
        with pytest.raises(Invalid, match="longer"):
            await store.query(ENDLESS, timeout=600)


async def test_a_question_that_nobody_waits_for_any_more_is_ended(store):
    task = asyncio.create_task(store.query(ENDLESS))
    await until(lambda: _runs(store, "SELECT sum(sip"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: _rests(store))


async def test_who_finds_all_readers_busy_is_told_to_try_again(store):
    slow = [asyncio.create_task(store.query(ENDLESS)) for _ in range(32)]
    for _ in range(3):
        await asyncio.sleep(0)  # let them take the readers, and stand in line
    with pytest.raises(StoreDown, match="busy"):
        await store.query("SELECT 1", timeout=0.05)
    for task in slow:
        task.cancel()
    assert all(
        isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*slow, return_exceptions=True)
    )
    await until(lambda: _answers(store))


async def _answers(store):
    try:
        return await store.query("SELECT 1", timeout=0.5) == [(1,)]
    except StoreDown:
        return False


async def test_a_question_that_needs_too_much_memory_is_refused(settings):
    async with opened(settings.model_copy(update={"store_memory": 1 << 30})) as store:
        with pytest.raises(Invalid, match="memory"):
            await store.query("SELECT length(groupArray(toString(number))) FROM numbers(100000000)")
        assert await store.query("SELECT 1") == [(1,)]


async def test_a_value_of_the_wrong_kind_is_invalid_and_a_missing_table_a_matter_of_setup(store):
    with pytest.raises(Invalid):
        await store.query("SELECT {n:UInt8}", {"n": "many"})
    with pytest.raises(Invalid):
        await store.query("SELECT match('x', {p:String})", {"p": "("})
    with pytest.raises(Misconfigured, match="migrate"):
        await store.query("SELECT 1 FROM no_such_table")


# Opening, migrating, closing


async def test_nothing_is_migrated_unasked_and_migrating_again_changes_nothing(settings):
    async with opened(settings, migrated=False) as store:
        await store.ping()
        with pytest.raises(Misconfigured, match="footfall migrate"):
            await count(store)
        assert await store.migrate() == [migration.name for migration in migrations()]
        assert await store.migrate() == []
        assert await count(store) == 0


async def test_what_was_stored_is_there_after_reopening(settings):
    async with opened(settings) as store:
        await store.insert(rows(10), "ten")
    await store.close()
    with pytest.raises(StoreDown, match="closed"):
        await store.query("SELECT 1")
    with pytest.raises(StoreDown, match="closed"):
        await store.insert(rows(1), "late")
    async with opened(settings) as store:
        assert await count(store) == 10


async def test_closing_waits_for_a_running_insert(settings):
    store = await open_store(settings)
    await store.migrate()
    task = asyncio.create_task(store.insert(rows(50_000), "last"))
    await until(lambda: _runs(store, "INSERT"))
    await store.close()
    await task
    async with opened(settings) as store:
        assert await count(store) == 50_000


def child(program, settings):
    arguments = [sys.executable, "-c", program, str(settings.data), settings.store]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


HOLD = """
import asyncio, sys
from footfall.settings import Settings
from footfall.store import open_store

async def main():
    await open_store(Settings(data=sys.argv[1], store=sys.argv[2]))
    print("open", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


async def test_a_second_process_is_told_that_the_data_directory_is_in_use(settings):
    with child(HOLD, settings) as holder:
        assert await asyncio.to_thread(holder.stdout.readline) == "open\n"
        with pytest.raises(Misconfigured, match=rf"in use by another process \(pid {holder.pid}\)"):
            await open_store(settings)
        holder.kill()
    async with opened(settings) as store:  # free with the end of its owner
        with pytest.raises(Misconfigured, match="in use"):
            await open_store(settings)
        await store.ping()


INSERT = """
import asyncio, sys
from footfall.settings import Settings
from footfall.store import open_store
from tests.contract.test_store import rows

async def main():
    store = await open_store(Settings(data=sys.argv[1], store=sys.argv[2]))
    await store.migrate()
    for batch in range(1_000_000):
        await store.insert(rows(500, first=batch * 500), f"batch-{batch}")
        print(batch, flush=True)

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_an_insert_has_returned_for(settings):
    with child(INSERT, settings) as writer:
        acknowledged = -1
        while acknowledged < 25:
            acknowledged = int(await asyncio.to_thread(writer.stdout.readline))
        writer.kill()
        for line in writer.stdout:
            acknowledged = int(line) if line.endswith("\n") else acknowledged
    async with opened(settings) as store:
        [(total, distinct, sure)] = await store.query(
            "SELECT count(), uniqExact(seq), countIf(seq < {n:UInt64}) FROM events",
            {"n": (acknowledged + 1) * 500},
        )
        assert sure == (acknowledged + 1) * 500
        assert total == distinct
        assert total - sure in {0, 500}  # the batch that was under way: whole or not at all


async def test_a_directory_that_cannot_be_used_is_named(settings, tmp_path):
    (tmp_path / "file").write_text("")
    for data in (tmp_path / "file", tmp_path / "what?"):
        with pytest.raises(Misconfigured, match=f"data: .*{data.name[:4]}"):
            await open_store(settings.model_copy(update={"data": data}))
