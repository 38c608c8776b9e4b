"""Migrations: in order, once, resumable, and never at the price of the schema that is there."""

import shutil
from pathlib import Path

import pytest

from footfall.errors import Misconfigured
from footfall.model.columns import COLUMNS
from footfall.settings import Settings
from footfall.store.chdb.handles import open_handles
from footfall.store.migrate import SQL, check, migrate, migrations
from footfall.store.schema import differences
from tests.contract.test_store import rows


@pytest.fixture
def handles(tmp_path):
    opened = open_handles(Settings(), tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def engine(handles):
    return handles.commands


@pytest.fixture
def directory(tmp_path):
    """A copy of the real migrations, to which a test adds its own."""
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


def add(directory, name, text):
    (directory / name).write_text(text)
    return name.removesuffix(".sql")


def tables(engine):
    return {
        row[0] for row in engine.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")
    }


def test_each_is_applied_once_in_the_order_of_its_number(engine, directory):
    shipped = [migration.name for migration in migrations()]
    later = add(directory, "9002_b.sql", "CREATE TABLE b AS a;")
    earlier = add(directory, "9001_a.sql", "CREATE TABLE a (x UInt8) ENGINE = MergeTree ORDER BY x;\n")
    assert migrate(engine, directory) == [*shipped, earlier, later]
    assert migrate(engine, directory) == []
    last = add(directory, "9003_c.sql", "-- c\nCREATE TABLE c AS a")
    assert migrate(engine, directory) == [last]
    assert tables(engine) >= {"events", "a", "b", "c"}


def test_one_that_fails_leaves_the_old_schema_usable_and_is_resumed_when_it_is_mended(handles, directory):
    engine = handles.commands
    migrate(engine, directory)
    name = add(
        directory,
        "9001_more.sql",
        "CREATE TABLE IF NOT EXISTS first (x UInt8) ENGINE = MergeTree ORDER BY x;\n"
        "CREATE TABLE IF NOT EXISTS second (x NoSuchType) ENGINE = MergeTree ORDER BY x;\n",
    )
    for _ in range(2):
        with pytest.raises(Misconfigured, match=r"9001_more\.sql failed, .* stays in use: .*NoSuchType"):
            migrate(engine, directory)
    handles.writer.insert(rows(3), "still-usable")
    assert engine.rows("SELECT count() FROM events") == [(3,)]
    assert (name,) not in engine.rows("SELECT name FROM schema_migrations")

    text = (directory / "9001_more.sql").read_text()
    add(directory, "9001_more.sql", text.replace("NoSuchType", "UInt8"))
    assert migrate(engine, directory) == [name]
    assert tables(engine) >= {"first", "second"}


def test_an_applied_one_may_get_better_comments_but_not_change(engine, directory):
    migrate(engine, directory)
    path = directory / "0001_events.sql"
    path.write_text("-- better explained\n" + path.read_text().replace("    seq ", "    seq  "))
    assert migrate(engine, directory) == []
    path.write_text(
        path.read_text().replace("min_bytes_for_wide_part = 67108864", "min_bytes_for_wide_part = 0")
    )
    with pytest.raises(Misconfigured, match="0001_events has changed"):
        migrate(engine, directory)


def test_a_store_of_a_newer_version_is_left_alone(engine, directory):
    add(directory, "9999_future.sql", "CREATE TABLE future (x UInt8) ENGINE = MergeTree ORDER BY x;")
    migrate(engine, directory)
    with pytest.raises(Misconfigured, match=r"newer version .*9999_future"):
        migrate(engine)


@pytest.mark.parametrize(
    "name", ["events.sql", "1_short.sql", "0001_again.sql", "0002_Upper.sql", "0002-dash.sql"]
)
def test_a_wrong_or_doubled_name_is_named(directory, name):
    add(directory, name, "SELECT 1;")
    with pytest.raises(Misconfigured, match=r"NNNN_name\.sql, each number once"):
        migrations(directory)


def test_statements_end_at_a_semicolon_at_the_end_of_a_line(tmp_path):
    add(tmp_path, "0001_two.sql", "-- one; two;\nSELECT 'a;b'; \n\nSELECT\n  ';' -- no;\n;\n")
    [migration] = migrations(tmp_path)
    assert migration.statements == ("SELECT 'a;b'", "SELECT\n  ';' -- no")


def test_a_table_with_other_columns_than_the_model_is_refused(engine):
    migrate(engine)
    check(engine)
    engine.command("ALTER TABLE events DROP COLUMN asn, ADD COLUMN extra UInt8, MODIFY COLUMN is_bot UInt8")
    with pytest.raises(Misconfigured) as refused:
        check(engine)
    for difference in ("asn UInt32 is missing", "is_bot is UInt8, not Bool", "extra UInt8 is unknown"):
        assert difference in str(refused.value)


def test_differences_ignore_what_is_not_stored():
    actual = [(c.name, c.type, "") for c in COLUMNS if c.name != "properties"]
    actual += [("properties", "String", ""), ("more", "String", "ALIAS")]
    assert differences(actual) == []


def test_a_batch_is_found_again_by_its_position_without_reading_the_table(handles):
    migrate(handles.commands)
    for batch in range(5):
        handles.writer.insert(rows(20_000, first=batch * 20_000), f"batch-{batch}")
    handles.commands.command("OPTIMIZE TABLE events FINAL")
    where = "shard = 1 AND seq BETWEEN 30000 AND 31000"
    assert handles.commands.rows(f"SELECT count(), min(seq) FROM events WHERE {where}") == [(1001, 30_000)]
    [(_, _, _, read, _)] = handles.commands.rows(f"EXPLAIN ESTIMATE SELECT seq FROM events WHERE {where}")
    assert read <= 3 * 8192
    assert handles.commands.rows("SELECT count() FROM events WHERE shard = 2 AND seq = 30000") == [(0,)]
