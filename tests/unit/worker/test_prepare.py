"""What a batch comes to: its rows, its books, its letters, and the ids to remember."""

from collections import Counter
from uuid import UUID

import pytest
from msgspec.structs import replace

from footfall.model.record import SEQ_PER_RECORD, RawEvent, Record, SenderContext, Tally, encode
from footfall.state.batches import SeqRange
from footfall.worker import prepare as module
from footfall.worker.dedup.by_key import RecentIdsByKey
from footfall.worker.dedup.sorted_run import sort
from footfall.worker.prepare import Preparer
from footfall.worker.reader import Placed, RecordBatch
from footfall.worker.sessions import Sessions

SHARD = 2**64 - 5
AT = 1_790_000_000_000
BAD = "https://acme.example/bad"


@pytest.fixture
def recent():
    return RecentIdsByKey()


@pytest.fixture
def preparer(recent, monkeypatch):
    table = module.table

    def fail(columns):
        if BAD in columns["page_url"]:
            raise OverflowError("secret value")
        return table(columns)

    monkeypatch.setattr(module, "table", fail)
    return Preparer(Sessions(timeout=1800, memory=1000), recent)


def event(number, **fields):
    return RawEvent(number.to_bytes(16, "big"), "click", AT, client_id=True, **fields)


def record(*events, tallies=(), workspace="acme"):
    return Record(
        1, AT, workspace, "api", list(events), [SenderContext("Firefox"), SenderContext()], list(tallies)
    )


def batch(*records):
    """Of consecutive records; None for one that is damaged."""
    placed = [
        Placed(SHARD, offset, AT / 1000, 10 if one else 0, one, "" if one else "damaged")
        for offset, one in enumerate(records)
    ]
    last = len(records) - 1
    return RecordBatch((SeqRange(SHARD, 0, last, 0, last * SEQ_PER_RECORD + 4095),), placed)


def books(prepared):
    """The closing as {(outcome, reason): events}, its letters included."""
    found = Counter()
    for count in prepared.closing.ledger:
        found[count.outcome, count.reason] += count.count
    for letter in prepared.closing.dead_letters:
        found["dead_lettered", letter.reason] += letter.events
    return {key: count for key, count in found.items() if count}


def seqs(prepared):
    return prepared.rows["seq"].to_pylist()


def test_every_received_event_has_one_outcome(preparer):
    prepared = preparer.prepare(
        batch(
            record(
                event(1), event(2), event(1), tallies=[Tally("s", "too_old", 4), Tally("s", "duplicate", 2)]
            ),
            None,
            record(event(3, page_url=BAD), event(4, visit=0)),
            record(event(5, visit=7), event(6)),
        )
    )
    assert seqs(prepared) == [0, 1, 2 * SEQ_PER_RECORD + 1, 3 * SEQ_PER_RECORD + 1]
    assert books(prepared) == {
        ("received", ""): 14,
        ("stored", ""): 4,
        ("duplicate", ""): 3,
        ("rejected", "too_old"): 4,
        ("dead_lettered", "damaged"): 1,
        ("dead_lettered", "unprocessable"): 2,
    }
    assert (prepared.weight.events, prepared.dead) == (8, 3)
    assert prepared.plan.rows == prepared.rows.num_rows == len(prepared.ids.key) == 4
    assert prepared.received == (AT / 1000, AT / 1000)


def test_a_letter_says_what_kind_of_error_it_was_and_nothing_of_the_value(preparer):
    prepared = preparer.prepare(batch(record(event(1), event(2, page_url=BAD))))
    (letter,) = prepared.closing.dead_letters
    assert (letter.shard, letter.seq, letter.reason, letter.detail) == (
        SHARD,
        1,
        "unprocessable",
        "OverflowError",
    )
    assert [each.event_id for each in letter.record().events] == [(2).to_bytes(16, "big")]


def test_the_ids_of_dead_letters_are_not_remembered(preparer, recent):
    prepared = preparer.prepare(batch(record(event(1), event(2, page_url=BAD), event(3, visit=0))))
    recent.enter(sort(prepared.ids), AT / 1000)
    again = preparer.prepare(batch(record(event(1), event(2), event(3))))
    assert seqs(again) == [1]


def test_duplicates_of_the_batch_being_inserted(preparer):
    first = preparer.prepare(batch(record(event(1), event(2))))
    second = preparer.prepare(batch(record(event(2), event(3))), [first.pending])
    assert seqs(second) == [1]
    assert preparer.prepare(batch(record(event(2), event(3)))).rows.num_rows == 2, "they were never entered"


def test_what_is_present_counts_whatever_the_index_knows(preparer, recent):
    whole = batch(record(event(1), event(2), event(1)))
    first = preparer.prepare(whole)
    recent.enter(sort(first.ids), AT / 1000)
    again = preparer.prepare(whole, (), first.plan, {(SHARD, 0)})
    assert (again.plan, seqs(again)) == (first.plan, [0])
    assert books(again) == {("received", ""): 3, ("stored", ""): 1, ("duplicate", ""): 2}


def test_refused_events_are_set_aside_and_nothing_else_is_decided_anew(preparer, recent):
    first = preparer.prepare(batch(record(event(1), event(2), event(1), event(3, page_url=BAD), event(4))))
    recent.enter(sort(first.ids), AT / 1000)  # as if the index had learnt something meanwhile
    again = preparer.set_aside(first, {(SHARD, 1)})
    assert (again.plan, seqs(again)) == (first.plan, [0, 4])
    assert len(again.ids.key) == 2
    assert books(again) == {
        ("received", ""): 5,
        ("stored", ""): 2,
        ("duplicate", ""): 1,
        ("dead_lettered", "unprocessable"): 1,
        ("dead_lettered", "refused_by_store"): 1,
    }


def test_the_duplicates_of_what_becomes_a_letter_are_letters_too(preparer):
    """Whoever gives the first one up has not given up the copy that was acknowledged as well."""
    first = preparer.prepare(
        batch(record(event(1, page_url=BAD), event(2), event(3)), record(event(1), event(2)))
    )
    assert seqs(first) == [1, 2]
    letters = [(each.seq, each.reason, each.detail) for each in first.closing.dead_letters]
    assert letters == [
        (0, "unprocessable", "OverflowError"),
        (SEQ_PER_RECORD, "unprocessable", "OverflowError"),
    ]
    again = preparer.set_aside(first, {(SHARD, 1)})
    assert seqs(again) == [2]
    assert books(again) == {
        ("received", ""): 5,
        ("stored", ""): 1,
        ("dead_lettered", "unprocessable"): 2,
        ("dead_lettered", "refused_by_store"): 2,
    }
    assert preparer.prepare(first.batch, (), first.plan, {(SHARD, 1)}).dead == 2


def test_letters_keep_their_positions_and_those_that_fail_cost_no_others(preparer):
    first = preparer.prepare(batch(record(event(1)), record(*(event(n, page_url=BAD) for n in range(2, 9)))))
    letters = first.closing.dead_letters
    made = [replace(each, payload=mended(each)) for each in letters[:5]]
    broken = replace(letters[6], payload=b"\xc1 no record")
    attempt, failed = preparer.prepare_letters([*made, letters[5], broken])
    assert failed == {
        (SHARD, SEQ_PER_RECORD + 5): "OverflowError",
        (SHARD, SEQ_PER_RECORD + 6): "ValueError",
    }
    assert attempt.letters == made
    assert attempt.rows["seq"].to_pylist() == [SEQ_PER_RECORD + n for n in range(5)]
    assert attempt.names == [("acme", UUID(int=n)) for n in range(2, 7)]


def mended(letter):
    one = letter.record()
    one.events[0].page_url = ""
    return encode(one)


def test_no_letters_are_no_rows(preparer):
    attempt, failed = preparer.prepare_letters([])
    assert (attempt.rows.num_rows, attempt.letters, failed) == (0, [], {})


def test_a_batch_of_nothing_but_damage(preparer):
    prepared = preparer.prepare(batch(None, None))
    assert prepared.rows.num_rows == prepared.plan.rows == 0
    assert books(prepared) == {("received", ""): 2, ("dead_lettered", "damaged"): 2}
