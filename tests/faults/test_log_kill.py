"""kill -9 of a writer under load: what it acknowledged is in the log, whole and once."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footfall.eventlog import open_log
from footfall.eventlog.port import EventLog, StoredRecord
from footfall.settings import load

sys.path.insert(0, str(Path(__file__).parent))
from log_writer import record

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("FOOTFALL_TEST_ROUNDS", "10"))
SEED = int(os.environ.get("FOOTFALL_TEST_SEED", "1"))
ALL = 1 << 40


def run_and_kill(data: Path, first: int, after: float) -> list[int]:
    """Start a writer, kill it `after` seconds from its first acknowledgement; what it acknowledged."""
    command = [sys.executable, str(Path(__file__).with_name("log_writer.py")), str(data), str(first)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, bufsize=0) as writer:
        assert writer.stdout is not None
        said = writer.stdout.readline()
        deadline = time.monotonic() + after
        while time.monotonic() < deadline:
            said += os.read(writer.stdout.fileno(), 1 << 16)
        writer.kill()
        said += writer.stdout.read()
    # The last line may be torn by the kill.
    return [int(line) for line in said.split(b"\n")[:-1]]


async def everything(log: EventLog) -> list[tuple[int, StoredRecord]]:
    return [(shard, stored) for shard in await log.shards() for stored in await log.read(shard, -1, ALL, ALL)]


async def test_what_a_killed_writer_acknowledged_is_in_the_log_once(tmp_path):
    chance = random.Random(SEED)
    settings = load(data=tmp_path)
    acknowledged: set[int] = set()
    known: list[tuple[int, StoredRecord]] = []
    for round_ in range(ROUNDS):
        said = await asyncio.to_thread(run_and_kill, tmp_path, round_ * 1_000_000, chance.uniform(0, 0.4))
        assert said
        acknowledged.update(said)
        reader = await open_log(settings, shard="none")
        found = await everything(reader)
        await reader.close()
        assert len({shard for shard, _ in found}) == 1, "the next writer takes the dead one's shard"
        assert found[: len(known)] == known, "positions do not change"
        known = found
        bodies = [stored.data for _, stored in found]
        assert None not in bodies
        numbers = [int.from_bytes(body[:8], "big") for body in bodies]
        assert len(numbers) == len(set(numbers)), "no record twice"
        assert acknowledged <= set(numbers), "every acknowledged record is there"
        assert all(body == record(number) for body, number in zip(bodies, numbers, strict=True)), "none torn"
        offsets = [stored.offset for _, stored in found]
        assert offsets == sorted(set(offsets))


async def test_writers_started_together_never_share_a_shard(tmp_path):
    before: set[int] = set()
    for _ in range(3):
        logs = await asyncio.gather(*(open_log(load(data=tmp_path)) for _ in range(6)))
        shards = [log.shard for log in logs]  # type: ignore[attr-defined]  # only this adapter has it
        assert len(set(shards)) == 6
        await asyncio.gather(*(log.close() for log in logs))
        assert not before or set(shards) == before, "shards without a writer are taken over"
        before = set(shards)
