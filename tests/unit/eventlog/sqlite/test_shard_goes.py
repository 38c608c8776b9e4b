"""A shard whose last segment is removed by its door between two looks of somebody else."""

import pytest

from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, Entry
from footfall.settings import Settings

pytestmark = pytest.mark.anyio


async def test_a_shard_that_has_just_gone_ends_no_count_and_hides_nothing(tmp_path, monkeypatch):
    log = await open_log(Settings(data=tmp_path))
    reading = await open_log(Settings(data=tmp_path), shard="none")
    await log.append(Entry("key", b"one"))
    (shard,) = await reading.shards()
    gone = shard - 1 or 2
    monkeypatch.setattr(reading._reader, "shards", lambda: [gone, shard])
    assert (await reading.backlog(WORKER)).records == 1
    assert [len(await reading.read(each, -1, 10, 1000)) for each in (gone, shard)] == [0, 1]
    await reading.close()
    await log.close()
