"""What only links and books in PostgreSQL meet: servers that go away, and what their errors must not say."""

import asyncio
import signal
import time
from contextlib import suppress

import psycopg
import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from footfall import installation, parts
from footfall.database import Database, PostgresSchema, place_of
from footfall.errors import Misconfigured, Retryable
from footfall.settings import load
from footfall.state.tables import METADATA, open_state, positions, salts
from footfall.tenants import directory as directories
from footfall.tenants.directory import UNKNOWN, Directory
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants
from tests.servers.postgres import postgres as running

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("places", ["postgres"], indirect=True)]


@pytest.fixture
async def database(places):
    database = open_state(place_of(places, "state"))
    yield database
    await database.close()


async def until(condition):
    deadline = time.monotonic() + 20
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def is_down():
    return REGISTRY.get_sample_value("footfall_database_down", {"schema": "footfall_meta"})


async def test_what_is_cached_works_on_while_the_server_is_away_and_all_is_well_again_after(tmp_path, places):
    with running() as server:
        settings = load(data=tmp_path, database=server.url("postgres"))
        tenants = Tenants(open_metadata(place_of(settings, "meta")), settings)
        await tenants.bootstrap()
        link = await tenants.create_link(DEFAULT_WORKSPACE, "https://example.com/", "a")
        directory = Directory(tenants, settings)
        await directory.start()
        assert await directory.link("", "a") == link
        assert is_down() == 0
        await asyncio.to_thread(server.end, signal.SIGQUIT)
        with pytest.raises(Retryable, match="database does not answer now"):
            await directory.link("", "b")
        assert await directory.link("", "a") == link
        with pytest.raises(Retryable):
            await tenants.create_link(DEFAULT_WORKSPACE, "https://example.com/", "b")
        assert is_down() == 1
        await asyncio.to_thread(server.start)
        # The first call meets connections of before, and takes others.
        assert await tenants.create_link(DEFAULT_WORKSPACE, "https://example.com/", "b")
        await tenants.update_link(DEFAULT_WORKSPACE, link.id, url="https://example.com/2")

        async def seen():
            found = await directory.link("", "a")
            return found.url == "https://example.com/2"

        await until(seen)
        assert is_down() == 0
        await directory.stop()
        await tenants.database.close()


async def test_a_server_that_was_restarted_between_two_calls_is_not_noticed(tmp_path, places):
    with running() as server:
        database = open_state(PostgresSchema(server.url("postgres"), "footfall_state"))
        await asyncio.to_thread(server.end)
        await asyncio.to_thread(server.start)
        await database.run(lambda it: it.execute(positions.insert().values(shard="1", offset=1)))
        assert await database.read(lambda it: it.scalar(sa.select(positions.c.offset))) == 1
        await database.close()


async def test_doors_are_told_of_changes_and_need_not_look(places, monkeypatch):
    monkeypatch.setattr(directories, "_LOOK_SECONDS", 3600.0)
    tenants = Tenants(open_metadata(place_of(places, "meta")), places)
    await tenants.bootstrap()
    link = await tenants.create_link(DEFAULT_WORKSPACE, "https://example.com/", "a")
    other = Tenants(open_metadata(place_of(places, "meta")), places)
    directory = Directory(other, places)
    await directory.start()
    assert await directory.link("", "a") == link
    listens = sa.text("SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN \"footfall_meta\"'")

    async def is_listening():
        return await tenants.database.read(lambda it: it.scalar(listens))

    await until(is_listening)
    await tenants.update_link(DEFAULT_WORKSPACE, link.id, url="https://example.com/2")

    async def is_forgotten():
        return directory.cached_link("", "a") is UNKNOWN

    await until(is_forgotten)
    await directory.stop()
    await other.database.close()
    await tenants.database.close()


async def test_a_change_that_nobody_is_told_of_is_seen_all_the_same(places, monkeypatch):
    monkeypatch.setattr("footfall.tenants.tables.notify", lambda _: None)
    tenants = Tenants(open_metadata(place_of(places, "meta")), places)
    await tenants.bootstrap()
    link = await tenants.create_link(DEFAULT_WORKSPACE, "https://example.com/", "a")
    directory = Directory(tenants, places)
    await directory.start()
    assert await directory.link("", "a") == link
    await tenants.delete_link(DEFAULT_WORKSPACE, link.id)

    async def is_gone():
        return await directory.link("", "a") is None

    await until(is_gone)
    await directory.stop()
    await tenants.database.close()


async def test_a_writer_that_waited_sees_what_was_committed_whatever_is_usual_there(postgres, places):
    usual = "ALTER DATABASE {} SET default_transaction_isolation = '{}'"
    name = places.database.get_secret_value().rpartition("/")[2].partition("?")[0]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(usual.format(name, "serializable"))
        try:
            database = open_state(place_of(places, "state"))
            ask = sa.text("SHOW transaction_isolation")
            assert await database.run(lambda it: it.scalar(ask)) == "read committed"
            await database.close()
        finally:
            connection.execute(usual.format(name, "read committed"))


async def test_an_error_shows_no_row(database):
    secret = b"\xde\xad\xbe\xef" * 8
    with pytest.raises(Exception, match=r"(?i)not[ -]null") as caught:
        await database.run(lambda it: it.execute(salts.insert().values(day=None, salt=secret)))
    said = f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__cause__!r}"
    assert "deadbeef" not in said
    assert "xde" not in said


@pytest.mark.parametrize("password", ["se@cret", "se/cret", "1/se@cret", "se%cret"])
def test_an_address_that_would_show_its_password_is_refused_without_it(password, places):
    with pytest.raises(Misconfigured, match="database must be written as") as caught:
        open_state(PostgresSchema(f"postgresql://footfall:{password}@127.0.0.1:1/x", "footfall_state"))
    assert "cret" not in str(caught.value)


def test_a_user_without_rights_is_told_so_in_a_sentence(postgres, places):
    url = postgres.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS weak")
        connection.execute("CREATE ROLE weak LOGIN PASSWORD 'secret'")
    with pytest.raises(Misconfigured, match="permission denied") as caught:
        open_state(PostgresSchema(url.replace("postgres@", "weak:secret@"), "footfall_state"))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_text_that_postgresql_cannot_hold_is_text_all_the_same(places):
    tenants = Tenants(open_metadata(place_of(places, "meta")), places)
    await tenants.bootstrap()
    assert await tenants.link(DEFAULT_WORKSPACE, "link\0") is None
    directory = Directory(tenants, places)
    assert await directory.link("", "a\0b") is None
    await tenants.database.close()


async def test_a_migration_is_applied_once_and_what_is_newer_is_refused(postgres, places):
    place = PostgresSchema(postgres.database(), "footfall_state")
    open_state(place).dispose()
    applied = []
    for _ in range(2):
        database = Database.open(place, METADATA, [lambda _: applied.append(2), lambda _: applied.append(3)])
        await database.close()
    assert applied == [2, 3]
    with pytest.raises(Misconfigured, match="has schema 3, this version of Footfall works with schema 1"):
        open_state(place)


# ------------------------------------------------------------------- what belongs together


@pytest.fixture
def bare(tmp_path, postgres):
    return load(data=tmp_path / "data", database=postgres.database())


def test_links_and_books_bear_the_stamp_of_the_installation(bare, places):
    installation.prepare(bare)
    known = installation.examine(bare)
    assert known
    installation.prepare(bare)
    installation.check(bare)
    assert installation.examine(bare) == known


def test_a_database_of_another_installation_or_an_empty_one_is_refused(bare, postgres, tmp_path, places):
    installation.prepare(bare)
    other = load(data=tmp_path / "other", database=postgres.database())
    installation.prepare(other)
    swapped = load(data=bare.data, database=other.database.get_secret_value())
    with pytest.raises(Misconfigured, match="schema footfall_meta of the database belongs to another"):
        installation.prepare(swapped)
    emptied = load(data=bare.data, database=postgres.database())
    with pytest.raises(Misconfigured, match="schema footfall_meta of the database is empty"):
        installation.prepare(emptied)
    with pytest.raises(Misconfigured, match=r"meta\.db is missing"):
        installation.prepare(load(data=bare.data))
    installation.prepare(bare)


def test_books_that_are_older_than_the_rest_are_refused(bare, places):
    installation.prepare(bare)
    url = bare.database.get_secret_value()
    with psycopg.connect(url) as connection:
        (before,) = connection.execute("SELECT start FROM footfall_state.installation").fetchone()
    installation.prepare(bare)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE footfall_state.installation SET start = %s", (before,))
    with pytest.raises(Misconfigured, match="schema footfall_state of the database is older than the rest"):
        installation.prepare(bare)


def test_books_are_put_aside_and_come_back_where_new_ones_fail(bare, places):
    installation.prepare(bare)
    place = place_of(bare, "state")
    with suppress(ZeroDivisionError), installation.new_part(bare, parts.STATE):
        open_state(place).dispose()
        raise ZeroDivisionError
    installation.check(bare)
    with installation.new_part(bare, parts.STATE) as old:
        open_state(place).dispose()
    assert str(old).startswith("the schema footfall_state_old_")
    installation.check(bare)
