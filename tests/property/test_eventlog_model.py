"""The SQLite log against a model that is a list: any order of operations, any reopening."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from footfall.eventlog import open_log
from footfall.eventlog.port import Entry, EventLog
from footfall.settings import Settings, load

ALL = 1 << 40


def copy_while_nothing_changes(source: Path, target: Path) -> None:
    """As a kill leaves the files: all of the same moment. The writer may be tidying for a few ms."""

    def state() -> list[tuple[Path, int, int]]:
        return sorted((path, path.stat().st_size, path.stat().st_mtime_ns) for path in source.rglob("*"))

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            before = state()
            if time.time_ns() - max(changed for _, _, changed in before) > 30_000_000:
                shutil.copytree(source, target)
                if state() == before:
                    return
        except (shutil.Error, FileNotFoundError):
            pass
        shutil.rmtree(target, ignore_errors=True)
        time.sleep(0.005)
    raise AssertionError("the log's files never rest")


class LogModel(RuleBasedStateMachine):
    """`self.model` holds (offset, data) of all records of the one shard that are not deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.settings: Settings = load(data=self.directory, log_segment=1 << 16)
        self.runner = asyncio.Runner()
        self.log: EventLog = self.runner.run(open_log(self.settings))
        self.copies = 0
        self.shard = 0
        self.model: list[tuple[int, bytes]] = []
        self.highest = -1
        self.committed: dict[str, int] = {}

    def read(self, after: int, limit: int = ALL, max_bytes: int = ALL) -> list[tuple[int, bytes | None]]:
        stored = self.runner.run(self.log.read(self.shard, after, limit, max_bytes))
        return [(record.offset, record.data) for record in stored]

    @rule(
        sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=20),
        seed=st.binary(min_size=1, max_size=4),
    )
    def append(self, sizes, seed):
        bodies = [(seed * size)[:size] for size in sizes]

        async def append_all() -> None:
            await asyncio.gather(*(self.log.append(Entry("", body)) for body in bodies))

        self.runner.run(append_all())
        (self.shard,) = self.runner.run(self.log.shards())
        new = self.read(self.highest)
        assert [data for _, data in new] == bodies
        offsets = [self.highest, *(offset for offset, _ in new)]
        assert offsets == sorted(set(offsets))
        self.model += new
        self.highest = offsets[-1]

    @rule()
    def reopen(self):
        self.runner.run(self.log.close())
        self.log = self.runner.run(open_log(self.settings))

    @rule()
    def reopen_as_after_a_kill(self):
        """The files as they are now, without a proper end."""
        self.copies += 1
        copy = self.directory / f"copy{self.copies}"
        copy_while_nothing_changes(self.settings.data / "log", copy / "log")
        self.runner.run(self.log.close())
        self.settings = load(data=copy, log_segment=1 << 16)
        self.log = self.runner.run(open_log(self.settings))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), consumer=st.sampled_from(["worker", "archive"]))
    def commit(self, data, consumer):
        upto, _ = data.draw(st.sampled_from(self.model))
        self.runner.run(self.log.commit(consumer, self.shard, upto))
        self.committed[consumer] = max(self.committed.get(consumer, -1), upto)

    @rule(consumer=st.sampled_from(["worker", "archive"]))
    def drop_consumer(self, consumer):
        self.runner.run(self.log.drop_consumer(consumer))
        self.committed.pop(consumer, None)

    @rule(old=st.booleans())
    def retain(self, old):
        deleted = self.runner.run(self.log.retain(time.time() + (60 if old else -60)))
        released = min(self.committed.values(), default=-1)
        assert all(offset <= released for offset, _ in self.model[:deleted])
        assert old or deleted == 0
        del self.model[:deleted]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), limit=st.integers(1, 50), max_bytes=st.integers(1, 100_000))
    def read_a_part(self, data, limit, max_bytes):
        after = data.draw(st.sampled_from([-1, *(offset for offset, _ in self.model)]))
        part = self.read(after, limit, max_bytes)
        expected = [record for record in self.model if record[0] > after]
        assert part == expected[: len(part)]
        assert len(part) <= limit
        assert bool(part) == bool(expected)
        if len(part) < min(limit, len(expected)):
            assert sum(len(body or b"") for _, body in part) >= max_bytes

    @invariant()
    def all_records_are_there(self):
        assert self.read(-1) == self.model

    @invariant()
    def the_backlog_is_what_is_not_committed(self):
        for consumer in ("worker", "archive"):
            committed = self.committed.get(consumer, -1)
            waiting = sum(offset > committed for offset, _ in self.model)
            assert self.runner.run(self.log.backlog(consumer)).records == waiting

    def teardown(self):
        self.runner.run(self.log.close())
        self.runner.close()
        shutil.rmtree(self.directory)


TestLogModel = LogModel.TestCase
TestLogModel.settings = hypothesis_settings(max_examples=15, stateful_step_count=25, deadline=None)
