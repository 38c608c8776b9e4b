"""What the port of the store promises. Every adapter runs this suite."""

import asyncio
import math
import time
import uuid
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from footfall.errors import StoreDown
from footfall.model.columns import COLUMNS, NAMES
from footfall.model.ids import uuid7
from footfall.settings import Settings
from footfall.store import BACKENDS, open_store
from footfall.store.arrow import Constant, table

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


async def runs(store, what):
    found = await store.query(
        "SELECT count() FROM system.processes"
        " WHERE query LIKE {what:String} AND query NOT LIKE '%processes%'",
        {"what": f"{what}%"},
    )
    return found[0][0]


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
    await until(lambda: runs(store, "INSERT"))
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
