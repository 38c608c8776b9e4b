"""What verify finds, and that it finds nothing else: a real log, store and state database."""

import time
import uuid
from collections import Counter

import pytest
from msgspec.structs import replace

from footfall.errors import Invalid
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.model.record import SEQ_PER_RECORD, Tally, decode
from footfall.settings import Settings
from footfall.state import ledger as state_ledger
from footfall.state.batches import BatchPlan, Closing, SeqRange
from footfall.state.dead_letters.letter import unreadable_letter
from footfall.state.dead_letters.letters import Settled
from footfall.state.ledger import HOUR, LedgerCount, add, hour_of
from footfall.state.losses import Loss, Reserve, book_losses
from footfall.state.rollups.row_counts import RowCounts, StoredEvents
from footfall.state.tables import ledger, positions
from footfall.verify import busy, ledger_snapshot, log_audit, log_records, store_queries
from footfall.verify.verifier import Verifier
from tests.contract.verified import END, NOW, START, THIS_HOUR, World, event

pytestmark = pytest.mark.anyio


# Nothing to find


async def test_nothing_at_all_adds_up(world):
    result = await world.verify()
    assert (result.sites, result.findings, result.notes) == ([], [], [])


async def test_all_that_can_become_of_an_event_adds_up(world):
    first = await world.append(
        event(), event("blog"), event(client_id=True), tallies=[Tally("shop", "origin", 3)]
    )
    again = decode((await world.log.read(world.shard, first - 1, 1, 1 << 20))[0].data).events[2]
    second = await world.append(again, event(), event("blog"), tallies=[Tally("shop", "duplicate", 2)])
    await world.append(tallies=[Tally("", "unreadable", 1)])
    await world.append(event("other"), workspace="umbrella")
    await world.take(duplicates=[(second, 0)], letters=[(second, 1), (first, 1)])
    result = await world.verify()
    assert result.findings == []
    assert not result.notes
    sites = {(site.workspace_id, site.site_id): site for site in result.sites}
    shop = sites["acme", "shop"]
    assert (shop.received, shop.stored, shop.rows, shop.duplicate, shop.rejected, shop.dead_lettered) == (
        9, 2, 2, 3, 3, 1,
    )  # fmt: skip
    assert (shop.log_received, shop.log_missing, shop.rows_in_flight) == (9, 1, 0)
    assert sites["umbrella", "other"].rows == 1


async def test_lost_clicks_add_up_with_a_tally_in_the_log_and_without(world, tmp_path):
    await world.append(
        event(), tallies=[Tally("shop", "click_unlogged", 3), Tally("shop", "click_too_large", 1)]
    )
    await world.take()
    reserve = Reserve.open(tmp_path)
    reserve.keep([Loss("acme", "shop", 5)])
    reserve.close()
    assert await book_losses(tmp_path, world.database) == 5
    result = await world.verify()
    assert result.findings == []
    (shop,) = result.sites
    assert (shop.received, shop.stored, shop.lost) == (10, 1, 9)


async def test_a_workspace_sees_itself_only(world):
    await world.append(event())
    await world.append(event("other"), workspace="umbrella")
    await world.take(unstored=[(1, 0)])
    result = await world.verify(workspace="acme")
    assert [site.workspace_id for site in result.sites] == ["acme"]
    assert result.findings == []
    assert {each.workspace_id for each in (await world.verify(workspace="umbrella")).findings} == {"umbrella"}


async def test_only_the_hours_asked_for_are_compared(world):
    await world.append(event(), at=NOW - 5 * HOUR)
    await world.append(event())
    await world.take(unstored=[(0, 0)])
    assert await world.found() == []
    assert len(await world.found(start=THIS_HOUR - 6 * HOUR, end=THIS_HOUR - 4 * HOUR)) > 0


async def test_what_is_in_flight_is_no_finding(world):
    await world.append(event())
    await world.take()
    await world.append(event(), event())
    await world.take(close=False)
    await world.append(event())
    result = await world.verify()
    assert result.findings == []
    assert [(site.received, site.rows, site.rows_in_flight) for site in result.sites] == [(1, 1, 2)]


class Busy:
    """The store, with a worker that takes another batch to it (or is half-way) before each question."""

    def __init__(self, world):
        self._world, self._store = world, world.store
        self.questions = 0

    async def query(self, *arguments, **options):
        world, self._world.store = self._world, self._store
        self.questions += 1
        if self.questions % 3:
            await world.append(event(), event("blog", client_id=True))
            half = self.questions % 3 == 2
            await world.take(close=not half)
            if half:
                self.open = world.taken
        elif self.questions > 2:
            await world.batches.close(*self.open)
        return await self._store.query(*arguments, **options)


async def test_it_may_run_beside_the_worker(world):
    await world.append(event())
    await world.take()
    busy = Busy(world)
    world.verifier = Verifier(busy, world.log, world.database)
    for _ in range(2):
        assert await world.found() == []
    assert busy.questions > 9


async def test_dead_letters_may_be_retried_and_discarded(world):
    offset = await world.append(event(), event(), event(client_id=True), event())
    await world.take(letters=[(offset, i) for i in range(4)])
    for index, what in enumerate(("stored", "discard", "duplicate", "kept")):
        seq = offset * SEQ_PER_RECORD + index
        if what == "discard":
            await world.letters.discard("acme", world.shard, seq)
        elif what != "kept":
            await world.letters.retry("acme", world.shard, seq)
            (letter,) = await world.letters.take()
            if what == "stored":
                await world.insert([(offset, index)])
            await world.letters.settle([Settled(letter, what)])
    # A duplicate must have a first copy somewhere.
    twin = decode((await world.log.read(world.shard, offset - 1, 1, 1 << 20))[0].data).events[2]
    await world.append(twin)
    await world.take()
    assert await world.found() == []


async def test_a_letter_that_was_discarded_hides_no_loss_in_its_hour(world):
    """It was sent again, so by their numbers the one that is nowhere could be the one that was given up."""
    twin = event(client_id=True)
    await world.append(twin, event())
    await world.append(twin)
    await world.take(letters=[(0, 0)], duplicates=[(0, 1)])
    assert await world.found() == [("error", "not_a_duplicate", "shop", 0, 1)]
    await world.letters.discard("acme", world.shard, 0)
    assert await world.found() == [("error", "not_a_duplicate", "shop", 0, 1)]


async def test_poisoned_events_are_compared_too(world):
    poison = [
        event(occurred_at=1 << 62),
        event(occurred_at=-(1 << 62)),
        event(event_id=b"short", client_id=True),
    ]
    offset = await world.append(event(), *poison)
    await world.take(letters=[(offset, 1), (offset, 2), (offset, 3)])
    assert await world.found() == []
    for index in (1, 2, 3):
        await world.letters.discard("acme", world.shard, offset * SEQ_PER_RECORD + index)
    assert await world.found() == []


async def test_a_letter_that_the_worker_has_is_compared_later(world):
    offset = await world.append(event(), event())
    await world.take(letters=[(offset, 0)])
    await world.letters.retry("acme", world.shard, offset * SEQ_PER_RECORD)
    (letter,) = await world.letters.take()
    await world.insert([(offset, 0)])  # and the worker has not settled yet
    result = await world.verify()
    assert result.findings == []
    assert len(result.notes) == 1
    await world.letters.settle([Settled(letter, "stored")])
    result = await world.verify()
    assert (result.findings, result.notes) == ([], [])


async def test_an_unreadable_record_is_compared_with_its_letter(world, monkeypatch):
    await world.append(event())
    await world.take()
    await world.log.append(Entry("key", b"\xc1 no record"))
    (bad,) = await world.log.read(world.shard, 0, 1, 1 << 20)
    hour = hour_of(int(bad.appended_at * 1000))
    letter = unreadable_letter(
        "default", world.shard, bad.offset * SEQ_PER_RECORD, bad.data,
        appended_at=int(bad.appended_at * 1000), reason="undecodable", failed_at=NOW,
    )  # fmt: skip
    batch = BatchPlan(uuid.uuid4().hex, (SeqRange(world.shard, bad.offset, bad.offset, 0, 0),), 0, 0, 0, NOW)
    await world.batches.plan(batch)
    await world.batches.close(batch, Closing([LedgerCount("default", "", hour, "received", 1)], [letter]))
    assert await world.found() == []
    assert [(await world.verify(workspace=workspace)).unreadable for workspace in (None, "acme")] == [1, 1]
    await world.letters.discard("default", world.shard, letter.seq)
    assert await world.found() == []
    assert (await world.verify()).unreadable == 1  # the log still has it


async def test_a_record_that_is_damaged_after_it_was_stored_is_told(world, monkeypatch):
    await world.append(event(), event())
    await world.append(event())
    await world.take()
    assert (await world.verify()).unreadable == 0
    real = world.log.read

    async def read(shard, *arguments):
        return [
            entry._replace(data=None) if entry.offset == 0 else entry
            for entry in await real(shard, *arguments)
        ]

    monkeypatch.setattr(world.log, "read", read)
    result = await world.verify()
    assert result.unreadable == 1
    assert not result.errors


async def test_what_retention_deleted_is_not_missed(world, tmp_path):
    settings = Settings(data=tmp_path / "small", log_segment=1 << 16, log_max=1 << 22)
    log = await open_log(settings)
    small = World(log, world.store, world.database)
    small.clock = world.clock
    for _ in range(60):
        await small.append(*(event(properties='{"a":"' + "x" * 2000 + '"}') for _ in range(5)))
    await small.take()
    await log.commit("worker", log.shard, 59)
    assert await log.retain(time.time() + 60) > 0
    result = await small.verify()
    assert result.findings == []
    assert result.log_from > 0
    assert result.sites[0].rows == 300 > result.sites[0].log_received
    await log.close()


# Everything that can be wrong


async def test_a_row_that_was_counted_and_is_not_there(world):
    await world.append(event(), event("blog"))
    await world.take(unstored=[(0, 0)])
    assert await world.found() == [
        ("error", "stored", "shop", 1, 0),
        ("error", "missing", "shop", 0, 1),
        ("error", "not_a_duplicate", "shop", 0, 1),
    ]
    finding = (await world.verify()).findings[1]
    assert finding.examples == (f"{world.shard:016x}-0",)
    assert finding.hour == THIS_HOUR


async def test_a_loss_that_is_booked_as_a_duplicate(world):
    """What becomes of a batch when its own ids are entered before it is closed, and it is replayed."""
    await world.append(event(client_id=True), event(client_id=True))
    await world.take(duplicates=[(0, 0), (0, 1)])
    assert await world.found() == [("error", "not_a_duplicate", "shop", 0, 2)]


async def test_losses_that_are_booked_as_duplicates_behind_many_resends(world, monkeypatch):
    """Two of them of one id, of which no copy is stored."""
    monkeypatch.setattr(log_audit, "_MOST_ASKED", 2)
    firsts = [event(client_id=True) for _ in range(5)]
    await world.append(*firsts)
    resent = await world.append(*firsts)
    once = event(client_id=True)
    last = await world.append(once, once)
    await world.take(duplicates=[*((resent, index) for index in range(5)), (last, 0), (last, 1)])
    assert await world.found() == [("error", "not_a_duplicate", "shop", 0, 2)]


async def test_an_event_without_an_id_of_its_own_is_no_duplicate(world):
    await world.append(event(), event())
    await world.take(duplicates=[(0, 1)])
    assert await world.found() == [("error", "not_a_duplicate", "shop", 0, 1)]


async def test_a_batch_that_was_inserted_twice(world):
    await world.append(event(), event())
    await world.take()
    await world.insert([(0, 0), (0, 1)])
    assert await world.found() == [
        ("error", "stored", "shop", 2, 4),
        ("error", "doubled_position", "shop", 1, 2),
        ("error", "doubled_position", "shop", 1, 2),
    ]


async def test_a_position_and_a_row_swapped_for_another(world):
    """The number of rows is right, and the rows are not."""
    await world.append(event(), event())
    await world.take(unstored=[(0, 1)])
    await world.insert([(0, 0)])
    found = await world.found()
    assert ("error", "doubled_position", "shop", 1, 2) in found
    assert ("error", "missing", "shop", 0, 1) in found
    assert not [each for each in found if each[1] == "stored"]


async def test_a_resend_that_was_stored_again(world):
    twin = event(client_id=True)
    await world.append(twin)
    await world.append(twin)
    await world.take()
    assert await world.found() == [("error", "doubled_id", "shop", 1, 2)]


async def test_a_resend_after_the_window_is_a_warning(world):
    twin = event(client_id=True)
    await world.append(twin, at=NOW - 3 * HOUR)
    await world.append(twin)
    await world.take()
    world.verifier = Verifier(world.store, world.log, world.database, window=2 * 3600)
    assert await world.found(start=START - 4 * HOUR) == [("warning", "doubled_id", "shop", 1, 2)]
    world.verifier = Verifier(world.store, world.log, world.database, window=4 * 3600)
    # Also where the first copy came before the range.
    assert await world.found() == [("error", "doubled_id", "shop", 1, 2)]
    world.verifier = Verifier(world.store, world.log, world.database, window=4 * 3600, limit=1)
    assert await world.found() == [("warning", "doubled_id", "shop", 1, 2)]
    assert (await world.verify()).errors == 0


async def test_a_crowd_without_a_key_is_no_excuse_for_ids_that_came_with_one(world):
    twin = event(client_id=True)
    await world.append(twin)
    await world.append(*(event(client_id=True) for _ in range(5)), source="beacon")
    await world.append(twin)
    await world.take()
    world.verifier = Verifier(world.store, world.log, world.database, limit=4)
    assert await world.found() == [("error", "doubled_id", "shop", 1, 2)]
    stranger = event(client_id=True)
    for _ in range(2):
        await world.append(stranger, source="beacon")
    await world.take()
    assert sorted(await world.found())[1] == ("warning", "doubled_id", "shop", 1, 2)


async def test_the_id_of_a_redirect_that_somebody_sends_as_their_own_is_two_events(world):
    click = event()
    await world.append(click, source="redirect")
    await world.append(event(event_id=click.event_id, client_id=True))
    await world.take()
    assert await world.found() == []
    await world.append(click, source="redirect")
    await world.take()
    assert await world.found() == [("error", "doubled_id", "shop", 1, 2)]


async def test_the_same_id_in_two_workspaces_is_two_events(world):
    twin = event(client_id=True)
    await world.append(twin)
    await world.append(twin, workspace="umbrella")
    await world.take()
    assert await world.found() == []


async def test_rows_that_nobody_planned(world):
    await world.append(event())
    await world.take()
    await world.append(event(), event())
    await world.take(close=False, plan=False)
    assert await world.found() == [("error", "out_of_plan", "shop", 0, 1)]  # records


async def test_rows_at_positions_that_the_log_does_not_have(world):
    await world.append(event())
    await world.append(event())
    await world.take(unstored=[(0, 0)])
    await world.insert([(0, 0), (0, 0)], moved_to=0)  # the second one at index 1 of a record of one
    assert await world.found() == [
        ("error", "stored", "shop", 2, 3),
        ("error", "out_of_plan", "", 0, 1),
        ("error", "doubled_id", "shop", 1, 2),
    ]


async def test_a_row_of_a_shard_that_is_unknown(world):
    await world.append(event())
    await world.take()

    def forget(connection):
        connection.execute(positions.delete())

    await world.database.run(forget)
    assert ("error", "out_of_plan", "shop", 0, 1) in await world.found()


async def test_books_that_do_not_balance(world):
    await world.append(event())
    await world.take()
    await world.count("acme", "shop", received=1)
    assert ("error", "balance", "shop", 2, 1) in await world.found()
    assert ("warning", "received", "shop", 2, 1) in await world.found()
    assert await ledger_snapshot.imbalances(world.database, START) == 1
    assert await ledger_snapshot.imbalances(world.database, END) == 0


async def test_a_huge_ledger_is_read_in_parts_between_which_batches_are_closed(world, monkeypatch):
    hours, sites = 8, [f"site{n}" for n in range(5)]
    lines = [
        LedgerCount(workspace, site, THIS_HOUR - back * HOUR, outcome, 1)
        for workspace in ("acme", "other")
        for site in sites
        for back in range(hours)
        for outcome in ("received", "stored")
    ]
    wrong = LedgerCount("other", "site3", THIS_HOUR - 5 * HOUR, "received", 1)
    monkeypatch.setattr(state_ledger, "PAGE_LINES", 20)  # two hours of a workspace
    await world.database.run(lambda it: add(it, [*lines, wrong]))
    real, closed = world.database.read, []

    async def read(fn):
        found = await real(fn)
        batch = LedgerCount("acme", "site0", THIS_HOUR, "stored", 1)
        await world.database.run(lambda it: add(it, [batch, replace(batch, outcome="received")]))
        closed.append(batch)
        return found

    monkeypatch.setattr(world.database, "read", read)
    assert await ledger_snapshot.imbalances(world.database, THIS_HOUR - hours * HOUR) == 1
    assert len(closed) > hours
    assert await StoredEvents(world.database).of("other") == RowCounts(
        dict.fromkeys(sites, hours), {}, frozenset()
    )
    monkeypatch.setattr(world.database, "read", real)
    read = await ledger_snapshot.read_snapshot(world.database, THIS_HOUR - 2 * HOUR, THIS_HOUR, None)
    assert {(key[0], key[2]) for key in read.counts} == {
        (workspace, THIS_HOUR - back * HOUR) for workspace in ("acme", "other") for back in (1, 2)
    }


async def test_a_batch_that_was_booked_twice(world):
    await world.append(event())
    await world.take()
    await world.count("acme", "shop", received=1, stored=1)
    assert ("error", "stored", "shop", 2, 1) in await world.found()


async def test_a_batch_that_was_not_booked(world):
    await world.append(event())
    await world.take()

    def forget(connection):
        connection.execute(ledger.delete())

    await world.database.run(forget)
    assert await world.found() == [("error", "stored", "shop", 0, 1), ("error", "received", "shop", 0, 1)]


async def test_more_duplicates_than_were_left_out(world):
    await world.append(event())
    await world.take()
    await world.count("acme", "shop", duplicate=1, stored=-1)
    found = await world.found()
    assert ("error", "missing", "shop", 1, 0) in found


async def test_a_letter_that_is_gone(world):
    await world.append(event())
    await world.take()
    await world.count("acme", "shop", received=1, dead_lettered=1)
    assert ("error", "dead_letters", "shop", 1, 0) in await world.found()


# The rest


async def test_parts_and_groups_change_nothing(world, monkeypatch):
    twin = event(client_id=True)
    for number in range(40):
        await world.append(*(event(f"site{number % 3}") for _ in range(number % 7)), twin)
    monkeypatch.setattr(store_queries, "_MOST_DISTINCT", 7)
    monkeypatch.setattr(log_records, "_GROUP_EVENTS", 9)
    monkeypatch.setattr(log_records, "_CHUNK_RECORDS", 4)
    await world.take(duplicates=[(offset, offset % 7) for offset in range(1, 40)])
    assert await world.found() == []
    await world.insert([(17, 1), (33, 0)])
    checks = Counter(each[1] for each in await world.found())
    assert checks["doubled_position"] == 2
    assert checks["stored"] == 2


async def test_a_range_of_several_pieces_is_one_result(world, monkeypatch):
    for hours_ago in (20, 13, 7, 0):
        await world.append(event(), at=NOW - hours_ago * HOUR)
    await world.take()
    monkeypatch.setattr(busy, "_MOST_HOURS", 6 * HOUR)
    assert len(await world.verifier.pieces(THIS_HOUR - 24 * HOUR, END)) > 3
    result = await world.verify(start=THIS_HOUR - 24 * HOUR)
    assert [(site.received, site.stored, site.rows) for site in result.sites] == [(4, 4, 4)]
    assert result.findings == []
    assert (result.start, result.end) == (THIS_HOUR - 24 * HOUR, END)


@pytest.mark.parametrize(("start", "end"), [(START + 1, END), (START, END - 1), (END, START), (START, START)])
async def test_a_range_is_whole_hours(world, start, end):
    with pytest.raises(Invalid):
        await world.verify(start=start, end=end)
