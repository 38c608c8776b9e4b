"""The witness beside the log: that it cannot be read or written costs no event, is seen, and ends."""

import itertools

import pytest

from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.eventlog.sqlite.ends import read_commits
from footfall.eventlog.sqlite.files import GAP, list_shards
from footfall.metrics import LOG_WITNESS_OFF
from footfall.settings import load

pytestmark = pytest.mark.anyio


def open_(tmp_path):
    return open_log(load(data=tmp_path, log_segment=65_536), shard="claim")


def unwitnessed():
    return LOG_WITNESS_OFF.collect()[0].samples[0].value


async def test_a_log_whose_witness_cannot_be_opened_takes_events_and_says_so(tmp_path):
    ends = tmp_path / "log-ends"
    ends.write_text("in its way")
    log = await open_(tmp_path)
    for _ in range(3):
        await log.append(Entry("", bytes(70_000)))  # each begins a new segment
    assert unwitnessed() == 1

    ends.unlink()
    for _ in range(3):
        await log.append(Entry("", bytes(70_000)))
    await log.close()
    assert unwitnessed() == 0
    (shard,) = list_shards(tmp_path / "log")
    noted = [commit for _, commit in read_commits(tmp_path / "log", shard)]
    assert [commit.first for commit in noted] == list(range(6)), "also what was durable before"


async def test_a_log_that_is_closed_says_nothing_of_its_witness(tmp_path):
    (tmp_path / "log-ends").write_text("in its way")
    log = await open_(tmp_path)
    await log.append(Entry("", b"x"))
    await log.close()
    assert unwitnessed() == 0


async def test_what_cannot_be_read_is_not_taken_for_knowing_nothing(tmp_path):
    """After a kill a position that the witness may know of is not used again."""
    log = await open_(tmp_path)
    await log.append(Entry("", b"x"))
    await log.close()
    root = tmp_path / "log"
    (shard,) = list_shards(root)
    (root / f"{shard:016x}" / "lock").write_text("")  # as if its writer had been killed
    ring = tmp_path / "log-ends" / f"{shard:016x}"
    ring.unlink()
    ring.mkdir()

    log = await open_(tmp_path)
    await log.append(Entry("", b"y"))
    found = await log.read(shard, -1, 10, 1 << 20)
    await log.close()
    assert [each.data for each in found] == [b"x", b"y"]
    (gap,) = (b.offset - a.offset for a, b in itertools.pairwise(found))
    assert gap > 100 * GAP
