"""What the port of the store promises: limits of questions, opening, migrating and closing."""

import asyncio
import subprocess
import sys

import pytest

from footfall.errors import FootfallError, Invalid, Misconfigured, StoreDown
from footfall.settings import Settings
from footfall.store import BACKENDS, open_store
from footfall.store.migrate import migrations
from tests.contract.test_store import ENDLESS, count, opened, rows, runs, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=BACKENDS)
def settings(request, tmp_path):
    return Settings(data=tmp_path / "data", store=request.param, query_timeout=20)


@pytest.fixture
async def store(settings):
    async with opened(settings) as store:
        yield store


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


async def _rests(store):
    return not await runs(store, "SELECT sum(sip")


async def test_a_question_that_takes_too_long_is_ended_and_its_reader_works_again(store):
    for _ in range(6):  # more than there are readers
        with pytest.raises(Invalid, match=r"longer than 0\.5 s"):
            await store.query(ENDLESS, timeout=0.5)
        await until(lambda: _rests(store))  # a busy machine takes its time to end one
    assert await store.query("SELECT 1") == [(1,)]


async def test_the_default_limit_is_that_of_the_settings(settings):
    async with opened(settings.model_copy(update={"query_timeout": 0.3})) as store:
        with pytest.raises(Invalid, match="longer"):
            await store.query(ENDLESS, timeout=600)


async def test_a_question_that_nobody_waits_for_any_more_is_ended(store):
    task = asyncio.create_task(store.query(ENDLESS))
    await until(lambda: runs(store, "SELECT sum(sip"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: _rests(store))


async def test_who_is_cancelled_at_whatever_instant_learns_of_it(store):
    # Who does not goes on, and who waits for its end does so for ever: a stop that never ended.
    for steps in range(12):
        asking = asyncio.create_task(store.query("SELECT 1"))
        for _ in range(steps):
            await asyncio.sleep(0)
        if asking.cancel():
            with pytest.raises(asyncio.CancelledError):
                await asking
    assert await store.query("SELECT 1") == [(1,)]


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


async def test_a_question_that_reads_too_many_rows_is_refused(settings):
    async with opened(settings.model_copy(update={"query_rows": 1000})) as store:
        assert await store.query("SELECT count() FROM numbers(1000)") == [(1000,)]
        with pytest.raises(Invalid, match="reads or returns more than is allowed"):
            await store.query("SELECT count() FROM numbers(100000)")


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
    await asyncio.sleep(0)  # it is under way
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
