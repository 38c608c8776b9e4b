"""A log, a store and the books to be verified, filled as the worker does, or wrongly."""

import asyncio
import time
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace

from footfall.enrich.pipeline import Pipeline
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.eventlog.sqlite import writer
from footfall.model.columns import NAMES
from footfall.model.ids import uuid7
from footfall.model.record import SEQ_PER_RECORD, RawEvent, Record, SenderContext, decode, encode
from footfall.settings import Settings
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.dead_letters.letter import event_letter
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.hours_logged import HourLogged
from footfall.state.ledger import HOUR, LedgerCount, add, hour_of, received
from footfall.state.tables import open_state
from footfall.store import open_store
from footfall.store.arrow import table
from footfall.verify.verifier import Verifier
from footfall.worker.columnar import columns
from footfall.worker.entry import OF_ITSELF, entry_columns

NOW = int(time.time() * 1000)
THIS_HOUR = hour_of(NOW)
START, END = THIS_HOUR - 2 * HOUR, THIS_HOUR + 2 * HOUR


class World:
    """A log, a store and the books, filled as the worker does, or wrongly where a test says so."""

    def __init__(self, log, store, database):
        self.log, self.store, self.database = log, store, database
        self.batches = Batches(database)
        self.letters = DeadLetters(database)
        self.verifier = Verifier(store, log, database)
        self.clock = SimpleNamespace()

    @property
    def shard(self):
        return self.log.shard

    async def append(self, *events, tallies=(), workspace="acme", at=NOW, source="api"):
        """A record with these events; its offset."""
        record = Record(1, at, workspace, source, list(events), [SenderContext()], list(tallies))
        self.clock.time = lambda: at / 1000
        await self.log.append(Entry("key", encode(record)))
        return (await self.log.read(self.shard, -1, 100_000, 1 << 30))[-1].offset

    async def take(
        self, *, skip=(), duplicates=(), letters=(), unstored=(), close=True, plan=True, ids_known=None
    ):
        """Take to the store what is not closed yet.

        `duplicates`, `letters`: (offset, index) that become such; `unstored` are counted as
        stored but are not; `skip`: offsets whose rows are counted nowhere.
        """
        after = (await self.batches.positions()).get(self.shard, -1)
        stored = await self.log.read(self.shard, after, 100_000, 1 << 30)
        records = [(entry.offset, decode(entry.data)) for entry in stored]
        counts, dead = [], []
        for offset, record in records:
            keyed = Counter(received(record))
            for index, event in enumerate(record.events):
                if (offset, index) in letters:
                    seq = offset * SEQ_PER_RECORD + index
                    dead.append(
                        event_letter(record, index, self.shard, seq, reason="unprocessable", failed_at=NOW)
                    )
                    continue
                keyed[event.site_id, "duplicate" if (offset, index) in duplicates else "stored", ""] += 1
            counts += [
                LedgerCount(record.workspace_id, site, hour_of(record.received_at), outcome, count, reason)
                for (site, outcome, reason), count in keyed.items()
            ]
        left_out = {*duplicates, *letters, *unstored}
        part = SeqRange(self.shard, records[0][0], records[-1][0], 0, 0)
        batch = BatchPlan(uuid.uuid4().hex, (part,), 1, 0, 0, NOW)
        if plan:
            await self.batches.plan(batch)
        await self.insert(
            [
                (offset, index)
                for offset, record in records
                for index in range(len(record.events))
                if (offset, index) not in left_out and offset not in skip
            ]
        )
        by_hour = {}
        for offset, record in records:
            by_hour.setdefault(hour_of(record.received_at), []).append(offset)
        hours = [HourLogged(hour, self.shard, min(at), max(at)) for hour, at in by_hour.items()]
        self.taken = batch, Closing(counts, dead, ids_known=ids_known or {}, hours=hours)
        if close:
            await self.batches.close(*self.taken)

    async def insert(self, places, moved_to=None):
        """The rows of these (offset, index), at `moved_to` (offset) if that is given."""
        if not places:
            return
        parts = []
        for offset, index in places:
            (entry,) = await self.log.read(self.shard, offset - 1, 1, 1 << 30)
            record = decode(entry.data)
            part = columns([(self.shard, entry.offset, record)])
            parts.append({name: values[index] for name, values in part.items()})
        found = {name: [part[name] for part in parts] for name in parts[0]}
        Pipeline().run(found)
        if moved_to is not None:
            found["seq"] = [moved_to * SEQ_PER_RECORD + i for i in range(len(places))]
        found |= entry_columns([OF_ITSELF] * len(places))
        await self.store.insert(table({name: found[name] for name in NAMES}), uuid.uuid4().hex)

    async def verify(self, start=START, end=END, workspace=None):
        return await self.verifier.run(start, end, workspace)

    async def found(self, **asked):
        """The findings as (level, check, site, expected, found)."""
        result = await self.verify(**asked)
        assert result.total == len(result.findings)
        return [(each.level, each.check, each.site_id, each.expected, each.found) for each in result.findings]

    async def count(self, workspace, site, **outcomes):
        """Falsify the ledger of this hour."""
        counts = [LedgerCount(workspace, site, THIS_HOUR, name, n) for name, n in outcomes.items()]

        await self.database.run(lambda connection: add(connection, counts))


def event(site="shop", **fields):
    return RawEvent(
        **{"event_id": uuid7(), "event_type": "click", "occurred_at": NOW, "site_id": site, **fields}
    )


@asynccontextmanager
async def open_engine(path):
    """The store for a module: the engine allows one directory in a process."""
    store = await open_store(Settings(data=path))
    await store.migrate()
    yield store
    await store.close()


@asynccontextmanager
async def open_world(path, engine, monkeypatch):
    """An installation of its own, but for the store, which is emptied."""
    await asyncio.to_thread(engine._handles.commands.command, "TRUNCATE TABLE events")
    database = open_state(path / "state.db")
    log = await open_log(Settings(data=path))
    world = World(log, engine, database)
    # The log's writer notes when a record was appended.
    world.clock = SimpleNamespace(time=time.time, monotonic=time.monotonic, perf_counter=time.perf_counter)
    monkeypatch.setattr(writer, "time", world.clock)
    yield world
    await log.close()
    await database.close()
