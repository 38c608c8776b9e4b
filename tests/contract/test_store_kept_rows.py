"""Events that are gone from the store when it is opened are told; nothing else is taken for such."""

import shutil
import uuid

import pytest

from footfall.metrics import STORE_ROWS_MISSING
from footfall.settings import Settings
from tests.contract.test_store import count, opened, rows
from tests.contract.test_store_parts import parts

pytestmark = pytest.mark.anyio


def missing():
    return STORE_ROWS_MISSING.collect()[0].samples[0].value


async def insert(store, many, first):
    await store.insert(rows(many, first), uuid.uuid4().hex)


def remove(part):
    shutil.rmtree(part)


def truncate(part):
    data = part / "data.bin"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])


@pytest.mark.parametrize("harm", [remove, truncate])
async def test_a_part_that_is_gone_or_broken_at_the_start_is_told_until_it_is_back(tmp_path, harm, capfd):
    settings = Settings(data=tmp_path / "data")
    async with opened(settings) as store:
        await insert(store, 30, 0)
        await insert(store, 70, 100)
        [victim] = [path for name, path in (await parts(store)).items() if "_1_1_" in name]
    victim = victim.resolve()
    shutil.copytree(victim, tmp_path / "copy")
    harm(victim)
    async with opened(settings) as store:
        assert await count(store) == 70
        assert missing() == 30
        said = capfd.readouterr().out
        assert "store.rows_missing" in said
        assert "202" in said
        if harm is truncate:
            assert f"broken-on-start_{victim.name}" in said
        await insert(store, 50, 1000)  # what is new does not make up for what is gone
        await store.look()
        assert missing() == 30
    async with opened(settings) as store:
        assert await count(store) == 120
        assert missing() == 30
    shutil.rmtree(victim, ignore_errors=True)
    shutil.copytree(tmp_path / "copy", victim)
    async with opened(settings) as store:
        assert await count(store) == 150
        assert missing() == 0


async def test_all_of_a_month_that_is_gone_is_told(tmp_path):
    settings = Settings(data=tmp_path)
    async with opened(settings) as store:
        await insert(store, 30, 0)
        paths = list((await parts(store)).values())
    for path in paths:
        shutil.rmtree(path)
    for _ in range(2):
        async with opened(settings) as store:
            assert missing() == 30
            await store.look()


async def test_what_was_deleted_is_not_missing_also_after_a_kill(tmp_path):
    settings = Settings(data=tmp_path / "data")
    async with opened(settings) as store:
        await insert(store, 30, 0)
        await store.look()
        [(month,)] = await store.query("SELECT DISTINCT toString(toYYYYMM(occurred_at)) FROM events")
        await store.build(
            "ALTER TABLE events DELETE IN PARTITION ID {partition:String} WHERE seq < 10"
            " SETTINGS mutations_sync = 1",
            {"partition": month},
        )
        shutil.copytree(tmp_path / "data", tmp_path / "killed", symlinks=True)
        await store.look()
        await insert(store, 5, 500)
    async with opened(settings) as store:
        assert (await count(store), missing()) == (25, 0)
        await store.build("ALTER TABLE events DELETE WHERE 1 SETTINGS mutations_sync = 1")
    for data in (settings.data, tmp_path / "killed"):
        async with opened(Settings(data=data)):
            assert missing() == 0


async def test_a_store_of_before_and_a_damaged_note_open_and_tell_nothing(tmp_path):
    settings = Settings(data=tmp_path)
    async with opened(settings) as store:
        await insert(store, 30, 0)
    note = tmp_path / "store" / "kept-rows.json"
    note.write_bytes(note.read_bytes()[:5])
    async with opened(settings) as store:
        assert (await count(store), missing()) == (30, 0)
    note.unlink()
    async with opened(settings) as store:
        assert (await count(store), missing()) == (30, 0)
