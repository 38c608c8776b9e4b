"""The books under random lives of events: closings, retries, discards, repeats, crashes in between.

A model in plain Python knows what each (workspace, site, hour) must read; the state database
must agree after every step, whatever was broken off on the way.
"""

import asyncio
import uuid
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from footfall.errors import Conflict
from footfall.model.record import RawEvent, Record, SenderContext
from footfall.state import ledger
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.dead_letters import rows
from footfall.state.dead_letters.letter import event_letter
from footfall.state.dead_letters.letters import DeadLetters, Settled
from footfall.state.ledger import HOUR, Ledger, LedgerCount
from footfall.state.tables import open_state

WORKSPACES, SITES, HOURS = ("acme", "other"), ("a", "b"), (10 * HOUR, 11 * HOUR)
OUTCOMES = ("stored", "duplicate", "rejected", "dropped", "lost", "dead_lettered")
events = st.lists(
    st.tuples(
        st.sampled_from(WORKSPACES),
        st.sampled_from(SITES),
        st.sampled_from(HOURS),
        st.sampled_from(OUTCOMES),
        st.booleans(),
    ),
    max_size=12,
)


class CrashError(Exception):
    """The process ends here: nothing of the transaction may be left."""


class BooksMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.database = open_state(Path(self.folder.name) / "state.db")
        self.batches, self.letters = Batches(self.database), DeadLetters(self.database)
        self.books = Ledger(self.database)
        self.truth = Counter()  # (workspace, site, hour, outcome) -> events
        self.kept = {}  # seq -> (workspace, site, hour, backfilled)
        self.due, self.retrying = set(), set()
        self.next = 0
        self.last = None

    def teardown(self):
        asyncio.run(self.database.close())
        self.folder.cleanup()

    def run(self, coroutine):
        return asyncio.run(coroutine)

    @initialize()
    def begin(self):
        self.run(self.batches.positions())

    # Closing a batch; `crash` says after which of its writes the process ends.

    @rule(events=events, crash=st.sampled_from(["", "", "ledger", "letters"]), repeat=st.booleans())
    def close(self, events, crash, repeat):
        offset = self.next
        self.next += 1
        part = SeqRange(1, offset, offset, offset * 4096, offset * 4096 + 4095)
        plan = BatchPlan(uuid.uuid4().hex, (part,), len(events), 0, 0, 1)
        counts, letters = [], []
        for index, (workspace, site, hour, outcome, backfilled) in enumerate(events):
            counts.append(LedgerCount(workspace, site, hour, "received", 1, "", backfilled))
            if outcome == "dead_lettered":
                made = RawEvent(b"i" * 16, "click", hour, site_id=site)
                source = "import:x" if backfilled else "api"
                record = Record(1, hour + 7, workspace, source, [made], [SenderContext()])
                letters.append(event_letter(record, 0, 1, offset * 4096 + index, reason="r", failed_at=1))
            else:
                reason = "why" if outcome in ("rejected", "dropped") else ""
                counts.append(LedgerCount(workspace, site, hour, outcome, 1, reason, backfilled))
        closing = Closing(counts, letters)
        self.run(self.batches.plan(plan))
        if crash:
            self.crash(crash, self.batches.close(plan, closing))
            self.compare()
        for _ in range(1 + repeat):
            self.run(self.batches.close(plan, closing))
        for index, (workspace, site, hour, outcome, backfilled) in enumerate(events):
            self.truth[workspace, site, hour, "received"] += 1
            self.truth[workspace, site, hour, outcome] += 1
            if outcome == "dead_lettered":
                self.kept[offset * 4096 + index] = (workspace, site, hour, backfilled)

    def crash(self, where, coroutine):
        """Run it with the process ending behind the given write."""
        module = ledger if where == "ledger" else rows
        write = module.add

        def end(*arguments):
            write(*arguments)
            raise CrashError

        with patch.object(module, "add", end):
            try:
                self.run(coroutine)
            except CrashError:
                return
        # Some transactions do not come by there.
        raise AssertionError("it should have ended")

    # People

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def retry(self, data):
        seq = data.draw(st.sampled_from(sorted(self.kept)))
        self.run(self.letters.retry(self.kept[seq][0], 1, seq))
        if seq not in self.retrying:
            self.due.add(seq)

    @rule(workspace=st.sampled_from(WORKSPACES))
    def retry_all(self, workspace):
        mine = {seq for seq, (owner, *_) in self.kept.items() if owner == workspace}
        fresh = mine - self.due - self.retrying
        assert self.run(self.letters.retry_all(workspace, "r")) == len(fresh)
        self.due |= fresh

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), crash=st.booleans())
    def discard(self, data, crash):
        seq = data.draw(st.sampled_from(sorted(self.kept)))
        workspace, site, hour, _ = self.kept[seq]
        if seq in self.retrying:
            try:
                self.run(self.letters.discard(workspace, 1, seq))
            except Conflict:
                return
            raise AssertionError("its row may be in the store")
        if crash:
            self.crash("ledger", self.letters.discard(workspace, 1, seq))
            self.compare()
        self.run(self.letters.discard(workspace, 1, seq))
        del self.kept[seq]
        self.due.discard(seq)
        self.move(workspace, site, hour, "dropped")

    # The worker

    @rule(limit=st.integers(1, 5))
    def take(self, limit):
        taken = {letter.seq for letter in self.run(self.letters.take(limit))}
        assert len(taken) == min(limit, len(self.due | self.retrying))
        assert taken <= self.due | self.retrying
        self.due -= taken
        self.retrying |= taken

    @precondition(lambda self: self.retrying)
    @rule(data=st.data(), crash=st.booleans(), repeat=st.booleans())
    def settle(self, data, crash, repeat):
        results = []
        for seq in data.draw(st.sets(st.sampled_from(sorted(self.retrying)), min_size=1)):
            letter = self.run(self.letters.show(self.kept[seq][0], 1, seq))
            assert letter.record().workspace_id == self.kept[seq][0]
            outcome = data.draw(st.sampled_from(["stored", "duplicate", "failed"]))
            results.append(Settled(letter, outcome, "r", "again", 2))
        if crash:
            self.crash("ledger", self.letters.settle(results))
            self.compare()
        for _ in range(1 + repeat):
            self.run(self.letters.settle(results))
        for result in results:
            self.retrying.discard(result.letter.seq)
            if result.outcome != "failed":
                workspace, site, hour, _ = self.kept.pop(result.letter.seq)
                self.move(workspace, site, hour, result.outcome)

    def move(self, workspace, site, hour, outcome):
        self.truth[workspace, site, hour, "dead_lettered"] -= 1
        self.truth[workspace, site, hour, outcome] += 1

    @invariant()
    def compare(self):
        found = Counter()
        for workspace in WORKSPACES:
            for site in SITES:
                books = self.run(self.books.books(workspace, 0, 100 * HOUR, site, by_hour=True))
                assert books.imbalances == []
                for line in books.lines:
                    found[workspace, site, line.hour, line.outcome] += line.events
            assert self.run(self.letters.page(workspace)).total == sum(
                owner == workspace for owner, *_ in self.kept.values()
            )
        assert found == Counter({key: events for key, events in self.truth.items() if events})
        for workspace in WORKSPACES:
            for site in SITES:
                for hour in HOURS:
                    outcomes = sum(found[workspace, site, hour, outcome] for outcome in OUTCOMES)
                    assert found[workspace, site, hour, "received"] == outcomes


BooksMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestBooks = BooksMachine.TestCase
