"""chDB answers OK although a write of a part failed. Nothing of that is ever counted or lost.

A file that is emptied between a statement and the look at what it wrote stands for the failed
write; `tests/faults/test_injection.py` makes the real one.
"""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from footfall.errors import Retryable, StoreDown
from footfall.metrics import DAMAGED
from footfall.runtime import damage
from footfall.settings import Settings
from footfall.store.chdb.store import open_store
from tests.contract.test_store import NOON, count, opened, rows

pytestmark = pytest.mark.anyio

# Each file of a part; the last three are covered by no checksum.
FILES = (
    "data.bin", "data.cmrk4", "primary.cidx", "skp_idx.packed", "partition.dat", "minmax_occurred_at.idx",
    "count.txt", "serialization.json", "columns.txt", "checksums.txt",
    "columns_substreams.txt", "metadata_version.txt", "default_compression_codec.txt",
)  # fmt: skip


@pytest.fixture
async def store(tmp_path):
    async with opened(Settings(data=tmp_path)) as store:
        yield store


async def parts(store):
    """The directories of the active parts of `events`, by name."""
    found = await store.query(
        "SELECT name, path FROM system.parts WHERE table = 'events' AND active AND rows > 0"
    )
    return {name: Path(path) for name, path in found}


async def command(store, sql):
    await asyncio.to_thread(store._handles.commands.command, sql)


def breaking(store, file, *, keep=0, only="2026", fail=False):
    """The next insert leaves `keep` bytes of a file of each part of `only` it makes, and may `fail` too."""
    writer, directory = store._handles.writer, Path(store._lock.name).parent
    insert, pattern = writer.insert, f"store/store/*/*/{only}*/{file}"
    before = set(directory.glob(pattern))

    def broken(*arguments):
        writer.insert = insert
        insert(*arguments)
        for path in set(directory.glob(pattern)) - before:
            path.write_bytes(path.read_bytes()[:keep])
        if fail:
            raise StoreDown("the answer got lost")

    writer.insert = broken


@pytest.mark.parametrize("file", FILES)
async def test_an_insert_that_was_not_written_whole_fails_and_can_be_repeated(store, file):
    await store.insert(rows(10), "before")
    breaking(store, file)
    with pytest.raises(StoreDown):
        await store.insert(rows(1000, first=10), "broken")
    assert await count(store) == 10
    await store.insert(rows(1000, first=10), "again")
    assert await count(store) == 1010


async def test_a_list_of_columns_that_was_cut_off_is_found(store):
    breaking(store, "columns_substreams.txt", keep=1000)
    with pytest.raises(StoreDown):
        await store.insert(rows(10), "broken")
    assert await count(store) == 0


async def test_of_an_insert_only_the_broken_months_are_taken_out(store):
    breaking(store, "data.bin", only="202604")
    april = 31 * 86_400_000
    data = rows(30, occurred_at=[NOON + (n % 3 == 0) * april for n in range(30)])
    with pytest.raises(StoreDown):
        await store.insert(data, "months")
    assert await count(store) == 20


async def test_after_an_error_only_whole_rows_are_seen_once_it_is_settled(store):
    await store.insert(rows(10), "before")
    breaking(store, "primary.cidx", fail=True)
    with pytest.raises(StoreDown):
        await store.insert(rows(1000, first=10), "broken")
    await store.settle()
    assert await count(store) == 10


async def test_an_insert_after_an_error_settles_that_first(store):
    breaking(store, "primary.cidx", fail=True)
    with pytest.raises(StoreDown):
        await store.insert(rows(1000), "broken")
    await store.insert(rows(10), "next")
    assert await count(store) == 10


@pytest.mark.parametrize("file", ["data.bin", "count.txt", "metadata_version.txt"])
async def test_a_merge_that_was_not_written_whole_is_undone(store, file):
    await merged(store)
    [path] = (await parts(store)).values()
    (path / file).write_bytes(b"")
    await store.look()
    assert len(await parts(store)) == 3
    assert await count(store) == 30
    assert not path.exists()
    await store.insert(rows(10, first=30), "next")
    await command(store, "OPTIMIZE TABLE events FINAL")
    await store.look()
    assert await count(store) == 40


async def test_a_damaged_part_whose_sources_are_gone_stays(store):
    await merged(store)
    [path] = (await parts(store)).values()
    await command(store, "DETACH TABLE events")
    for source in path.parent.glob("202603_*_0"):
        shutil.rmtree(source)
    await command(store, "ATTACH TABLE events")
    (path / "metadata_version.txt").write_bytes(b"")
    await store.look()
    assert await count(store) == 30


async def test_questions_wait_while_a_part_is_taken_out(store):
    await store.insert(rows(10), "before")
    asking = True

    async def ask():
        while asking:
            assert await count(store) in {10, 1010}

    asked = [asyncio.create_task(ask()) for _ in range(8)]
    for number in range(5):
        breaking(store, "count.txt")
        with pytest.raises(StoreDown):
            await store.insert(rows(1000, first=10), f"broken-{number}")
    asking = False
    await asyncio.gather(*asked)
    assert await count(store) == 10


KILLED = """
import asyncio, os, sys
from pathlib import Path
from footfall.settings import Settings
from footfall.store import open_store
from tests.contract.test_store import rows
from tests.contract.test_store_parts import breaking

async def main():
    store = await open_store(Settings(data=Path(sys.argv[1])))
    await store.migrate()
    await store.insert(rows(10), "before")
    breaking(store, sys.argv[2])
    store._handles.writer.insert(rows(1000, first=10), "broken")
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.mark.parametrize("file", ["count.txt", "default_compression_codec.txt"])
async def test_what_was_not_looked_at_before_a_kill_is_when_it_is_loaded(tmp_path, file):
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path), file)
    assert await killed.wait() == -9
    async with opened(Settings(data=tmp_path)) as store:
        assert await count(store) == 10


async def test_what_was_there_before_is_not_looked_at_again(tmp_path):
    settings = Settings(data=tmp_path)
    async with opened(settings) as store:
        await store.insert(rows(10), "before")
    store = await open_store(settings)
    try:
        looked = []
        store._handles.parts._check = lambda _, part: looked.append(part) or True
        await store.insert(rows(10, first=10), "after")
        assert len(looked) == 1
    finally:
        await store.close()


async def merged(store):
    """Three inserts, merged into one part."""
    for number in range(3):
        await store.insert(rows(10, first=10 * number), f"source-{number}")
    await command(store, "OPTIMIZE TABLE events FINAL")
    assert len(await parts(store)) == 1


def flip(path):
    """Whatever column is read, some of it is hit. Returns how to undo it."""
    whole = path.read_bytes()
    content = bytearray(whole)
    for at in range(len(content) // 4, len(content), 512):
        content[at] ^= 0xFF
    path.write_bytes(content)
    return lambda: path.write_bytes(whole)


def cut(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return lambda: path.write_bytes(whole)


async def read_all(store):
    await command(store, "SYSTEM DROP MARK CACHE")
    await command(store, "SYSTEM DROP UNCOMPRESSED CACHE")
    return await store.query("SELECT sum(cityHash64(*)) FROM events")


def alert():
    return DAMAGED._value.get()


@pytest.fixture
async def damaged(store, monkeypatch):
    """A store of one part, and what a test calls to damage it."""
    monkeypatch.setattr(damage, "_AGAIN", 0.0)
    for kind in (damage.PARTS, damage.DATABASES):  # of tests before this one
        kind._known.clear()
    DAMAGED.set(0)
    await store.insert(rows(100), "flipped")
    await read_all(store)
    assert alert() == 0
    (path,) = (await parts(store)).values()
    yield lambda harm: harm(path / "data.bin")
    damage.PARTS._known.clear()
    DAMAGED.set(0)


@pytest.mark.parametrize("harm", [flip, cut])
async def test_damage_is_told_by_the_alert_where_it_is_read_and_until_it_is_repaired(store, damaged, harm):
    repair = damaged(harm)
    with pytest.raises(Retryable):
        await read_all(store)
    assert alert() == 1
    await store.look()
    assert alert() == 1
    repair()
    await store.look()
    assert alert() == 0
    await read_all(store)


async def test_the_alert_ends_when_the_damaged_part_is_gone(store, damaged):
    damaged(flip)
    with pytest.raises(Retryable):
        await read_all(store)
    assert alert() == 1
    await command(store, "TRUNCATE TABLE events")
    await store.look()
    assert alert() == 0


async def test_a_part_that_the_engine_did_not_name_is_found(store, damaged):
    repair = damaged(flip)
    damage.PARTS.report(Path(store._lock.name).parent / "store")
    for _ in range(2):
        await store.look()
        assert alert() == 1
    repair()
    await store.look()
    assert alert() == 0
