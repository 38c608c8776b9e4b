"""What only the log in PostgreSQL meets: servers that die, sessions that end, replicas that are promoted."""

import asyncio
import signal
import time

import psycopg
import pytest

from footfall.errors import LogFull, Misconfigured, Retryable
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry, GoneRecords
from footfall.settings import load
from tests.contract.log_load import ALL, Load, body, contents, opened
from tests.servers.postgres import postgres as running

pytestmark = pytest.mark.anyio


@pytest.fixture
def own():
    """A server that a test may kill."""
    with running() as server:
        yield server


def settings_of(url, tmp_path):
    return load(data=tmp_path / "data", log="postgres", log_database=url)


@pytest.fixture
def settings(postgres, tmp_path):
    return settings_of(postgres.database(), tmp_path)


def ask(settings, statement, *values):
    with psycopg.connect(settings.log_database.get_secret_value(), autocommit=True) as connection:
        found = connection.execute(statement, values)
        return found.fetchall() if found.description else []


async def test_a_server_that_is_killed_again_and_again_loses_nothing_and_keeps_nothing_refused(own, tmp_path):
    settings = settings_of(own.database(), tmp_path)
    async with opened(settings) as log:
        appends = Load(log)
        for _ in range(4):
            await appends.until(300)
            await asyncio.to_thread(own.end, signal.SIGQUIT)
            await asyncio.to_thread(own.start)
        await appends.until(300)
        await appends.end()
    async with opened(settings, "none") as log:
        await appends.check(log)


async def test_sessions_that_are_ended_again_and_again_cost_nothing(settings):
    async with opened(settings) as log:
        appends = Load(log)
        shard = log.shard
        for _ in range(20):
            await appends.until(50)
            await asyncio.to_thread(
                ask,
                settings,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid != pg_backend_pid()",
            )
        await appends.until(50)
        await appends.end()
        assert log.shard == shard
    async with opened(settings, "none") as log:
        await appends.check(log)


async def test_while_nobody_knows_what_became_of_a_commit_others_are_refused_at_once(own, tmp_path):
    settings = settings_of(own.database(), tmp_path)
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        holder = psycopg.connect(settings.log_database.get_secret_value())
        holder.execute("LOCK TABLE footfall.log_shards")
        waiting = asyncio.create_task(log.append(Entry("key", body(1))))
        while not ask(settings, "SELECT 1 FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own.end, signal.SIGQUIT)
        holder.close()
        deadline = time.monotonic() + 30
        while True:
            other = asyncio.create_task(log.append(Entry("key", body(2))))
            done, _ = await asyncio.wait([other], timeout=0.2)
            if done and isinstance(other.exception(), LogFull):
                break
            assert time.monotonic() < deadline
        assert not waiting.done()
        await asyncio.to_thread(own.start)
        await waiting
    async with opened(settings, "none") as log:
        assert (await contents(log)).count(1) == 1


async def test_a_commit_whose_session_ended_while_it_waited_for_the_standby_still_waits(own, tmp_path):
    settings = settings_of(own.database(), tmp_path)
    waiting_for_it = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    async def session_that_waits(but=0):
        async with asyncio.timeout(20):
            while not (found := set(ask(settings, waiting_for_it)) - {(but,)}):
                await asyncio.sleep(0.01)
        return found.pop()[0]

    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        ask(settings, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        ask(settings, "SELECT pg_reload_conf()")
        try:
            appending = asyncio.create_task(log.append(Entry("key", body(1))))
            first = await session_that_waits()
            ask(settings, "SELECT pg_terminate_backend(%s)", first)
            await session_that_waits(but=first)  # another one does: nothing is acknowledged
            assert not appending.done()
        finally:
            ask(settings, "ALTER SYSTEM RESET synchronous_standby_names")
            ask(settings, "SELECT pg_reload_conf()")
        await appending
        assert await contents(log) == [0, 1]


async def test_two_sessions_never_write_one_shard(settings):
    """Even where the lock of the first was lost without its noticing, as behind some poolers."""
    async with opened(settings) as one:
        await one.append(Entry("key", body(0)))
        (shard,) = await one.shards()
        ask(settings, "UPDATE footfall.log_shards SET next = next + 10")
        await one.append(Entry("key", body(1)))
        assert [stored.offset for stored in await one.read(shard, -1, ALL, ALL)] == [0, 11]


async def test_a_day_that_was_dropped_by_hand_is_named(settings):
    async with opened(settings) as log:
        for number in range(10):
            await log.append(Entry("key", body(number)))
        (shard,) = await log.shards()
        await log.commit(WORKER, shard, 3)
        ((partition,),) = ask(
            settings,
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'footfall.log'::regclass",
        )
        ask(settings, f"DROP TABLE {partition}")
        assert await log.read(shard, -1, ALL, ALL) == []
        (gone,) = await log.gone({shard: 3})
        assert gone == GoneRecords(shard, 4, 9, 6, gone.at)
        await log.append(Entry("key", body(10)))
        assert (await log.read(shard, -1, ALL, ALL))[0].offset == 10
        assert [(each.first, each.last) for each in await log.gone({shard: 3})] == [(4, 9)]


async def test_whole_days_go_by_dropping_their_partitions(settings):
    async with opened(settings) as log:
        for number in range(10):
            await log.append(Entry("key", body(number)))
        (shard,) = await log.shards()
        week = 7 * 86400
        ask(settings, "UPDATE footfall.log SET appended_at = appended_at")
        await log.commit(WORKER, shard, 4)
        assert await log.retain(time.time() - week) == 0
        ask(
            settings,
            "CREATE TABLE footfall.log_20200101 PARTITION OF footfall.log"
            " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')",
        )
        ask(settings, "UPDATE footfall.log SET day = '2020-01-01' WHERE last <= 5")
        assert await log.retain(time.time() - week) == 0, "record 5 is needed"
        await log.commit(WORKER, shard, 5)
        assert await log.retain(time.time() - week) == 6
        assert [stored.offset for stored in await log.read(shard, -1, ALL, ALL)] == [6, 7, 8, 9]


async def test_what_is_held_is_not_now(settings, monkeypatch):
    monkeypatch.setattr("footfall.eventlog.postgres.log._STATEMENT", 0.3)
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        (shard,) = await log.shards()
        with psycopg.connect(settings.log_database.get_secret_value()) as holder:
            holder.execute("LOCK TABLE footfall.log IN ACCESS EXCLUSIVE MODE")
            for call in (log.read(shard, -1, ALL, ALL), log.backlog(WORKER), log.gone({}), log.retain(ALL)):
                with pytest.raises(Retryable):
                    await call
            assert list(await log.shards()) == [shard]
        assert len(await log.read(shard, -1, ALL, ALL)) == 1


async def test_a_server_that_is_away_is_not_now_and_then_as_before(own, tmp_path):
    settings = settings_of(own.database(), tmp_path)
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        (shard,) = await log.shards()
        await asyncio.to_thread(own.end)
        for call in (
            log.shards(),
            log.read(shard, -1, ALL, ALL),
            log.commit(WORKER, shard, 0),
            log.backlog(WORKER),
        ):
            with pytest.raises(Retryable):
                await call
        with pytest.raises(LogFull):
            await log.append(Entry("key", body(1)))
        with pytest.raises(Retryable):
            await open_log(settings)
        await asyncio.to_thread(own.start)
        assert len(await log.read(shard, -1, ALL, ALL)) == 1


async def test_a_damaged_block_costs_its_records_and_nothing_behind_it(settings):
    async with opened(settings) as log:
        for number in range(3):
            await log.append(Entry("key", body(number)))
        (shard,) = await log.shards()
        ask(settings, "UPDATE footfall.log SET block = substr(block, 1, 60) WHERE last = 1")
        assert [stored.data and stored.data[:8] for stored in await log.read(shard, -1, ALL, ALL)] == [
            body(0)[:8],
            None,
            body(2)[:8],
        ]


async def test_positions_that_are_stored_are_not_used_again_when_the_database_was_set_back(settings):
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        shard = log.shard
    async with opened(settings, "none") as log:
        await log.commit(WORKER, shard, 50)
    async with opened(settings) as log:
        await log.append(Entry("key", body(1)))
        assert log.shard == shard
        assert [stored.offset for stored in await log.read(shard, 0, ALL, ALL)] == [51]


async def test_a_promoted_replica_has_shards_of_its_own(own, tmp_path):
    """It may lack the end of what the primary had: positions there must not name two records."""
    database = own.database()
    settings = settings_of(database, tmp_path)
    async with opened(settings) as log:
        await log.append(Entry("key", body(0)))
        before = log.shard
    with running(own) as replica:
        own.end(signal.SIGQUIT)
        with psycopg.connect(replica.url("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        promoted = settings_of(replica.url(database.rsplit("/", 1)[1]), tmp_path)
        async with opened(promoted) as log:
            await log.append(Entry("key", body(1)))
            assert log.shard != before
            assert sorted(await contents(log)) == [0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"log_database": ""}, "needs log_database"),
        ({"overflow": "drop_oldest"}, "drop_oldest"),
    ],
)
async def test_what_cannot_work_is_said_at_the_start(settings, change, words):
    wrong = load(data=settings.data, log="postgres", **{"log_database": settings.log_database} | change)
    with pytest.raises(Misconfigured, match=words):
        await open_log(wrong)


async def test_a_user_who_may_not_make_tables_is_told(settings, postgres):
    ask(settings, "DROP ROLE IF EXISTS stranger")
    ask(settings, "CREATE ROLE stranger LOGIN")
    url = settings.log_database.get_secret_value().replace("postgres@", "stranger@", 1)
    with pytest.raises(Misconfigured, match="permission denied"):
        await open_log(load(data=settings.data, log="postgres", log_database=url))
