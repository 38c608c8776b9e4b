"""The queue of the client: what is sent when, what is dropped, and that the counts are right."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.client.answers import Again, Halve, Read, Refused, Verdict
from footfall.client.core import Batch, Core, Limits
from footfall.client.event import make

OK = Read([])


def made(count, start=0):
    return [make("test", {"n": n}, {}) for n in range(start, start + count)]


def new(**limits):
    return Core(Limits(**limits), queue_id="q1", uniform=lambda: 1.0)


def numbers(batch):
    return [event["properties"]["n"] for event in json.loads(batch.body)["events"]]


def assert_balanced(stats):
    assert stats.tracked == (
        stats.accepted + stats.duplicate + sum(stats.rejected.values()) + stats.dropped + stats.waiting
    )


def test_a_body_names_queue_site_and_events():
    core = Core(Limits(linger=0), queue_id="q1", site_id="site_x")
    events = made(2)
    core.add(events, 0)
    body = json.loads(core.next(0).body)
    assert (body["queue_id"], body["site_id"]) == ("q1", "site_x")
    assert [event["event_id"] for event in body["events"]] == [event.id for event in events]


def test_events_linger_for_company():
    core = new(linger=0.2, batch_events=3)
    assert core.next(0) is None
    core.add(made(1), 10)
    assert core.next(10) == pytest.approx(0.2)
    core.add(made(1, 1), 10.1)
    assert core.next(10.1) == pytest.approx(0.1)
    assert numbers(core.next(10.2)) == [0, 1]


def test_a_full_batch_and_a_flush_go_at_once():
    core = new(linger=100, batch_events=3)
    assert core.add(made(3), 0)[0]
    batch = core.next(0)
    assert numbers(batch) == [0, 1, 2]
    core.settle(batch, OK, 0)
    core.add(made(1, 3), 0)
    flush = core.flush()
    batch = core.next(0)
    assert numbers(batch) == [3]
    assert not core.flushed(flush)
    core.settle(batch, OK, 0)
    assert core.flushed(flush)
    assert flush.ok


def test_a_batch_is_bounded_in_bytes():
    events = made(10)
    core = new(linger=0, batch_bytes=3 * (len(events[0].data) + 1))
    core.add(events, 0)
    assert numbers(core.next(0)) == [0, 1, 2]


def test_one_batch_is_under_way_at_a_time():
    core = new(linger=0, batch_events=2)
    core.add(made(4), 0)
    first = core.next(0)
    assert core.next(0) is None
    core.settle(first, OK, 0)
    assert numbers(core.next(0)) == [2, 3]


def test_the_same_batch_is_sent_again_and_later_each_time():
    core = new(linger=0, backoff=1, backoff_max=3)
    core.add(made(2), 0)
    first = core.next(0)
    core.settle(first, Again("503"), 0)
    core.add(made(1, 2), 0)
    waits = []
    now = 0.0
    for _ in range(4):
        waits.append(core.next(now))
        now += waits[-1]
        again = core.next(now)
        assert again.body == first.body
        core.settle(again, Again("503"), now)
    assert waits == [1, 2, 3, 3]
    assert core.stats.sent == 2
    assert core.stats.retried == 8


def test_retry_after_is_honoured():
    core = new(linger=0, backoff=1)
    core.add(made(1), 0)
    core.settle(core.next(0), Again("503", 20), 100)
    assert core.next(100) == pytest.approx(21)  # and spread, lest all senders come at once


def test_verdicts_are_counted_and_handed_over():
    core = new(linger=0)
    core.add(made(5), 0)
    verdicts = [
        Verdict(1, "rejected", "invalid_field", "page_url", "page_url: Expected str"),
        Verdict(2, "duplicate", "duplicate"),
        Verdict(4, "retry"),
    ]
    rejections = core.settle(core.next(0), Read(verdicts), 0)
    assert [(r.reason, r.field, r.events[0]["properties"]["n"]) for r in rejections] == [
        ("invalid_field", "page_url", 1)
    ]
    stats = core.stats
    assert (stats.accepted, stats.duplicate, stats.rejected, stats.waiting) == (2, 1, {"invalid_field": 1}, 1)
    assert numbers(core.next(1000)) == [4]
    assert_balanced(stats)


def test_too_large_a_batch_is_halved_down_to_the_event_that_is():
    core = new(linger=0, batch_events=8)
    core.add(made(8), 0)
    refused, stored = [], []
    while isinstance(batch := core.next(0), Batch):
        if 5 in numbers(batch):
            refused += core.settle(batch, Halve("at most 3 bytes"), 0)
        else:
            stored += numbers(batch)
            core.settle(batch, OK, 0)
    assert stored == [0, 1, 2, 3, 4, 6, 7]
    assert [(r.reason, r.message, len(r.events)) for r in refused] == [("too_large", "at most 3 bytes", 1)]
    assert_balanced(core.stats)


def test_batches_stay_as_small_as_the_door_takes_and_grow_again():
    core = new(linger=0, batch_events=100)
    core.add(made(1000), 0)
    sizes = []
    while isinstance(batch := core.next(0), Batch):
        sizes.append(len(batch.items))
        core.settle(batch, Halve("") if sizes[-1] > 30 else OK, 0)
    assert sum(size for size in sizes if size <= 30) == 1000
    assert sum(size > 30 for size in sizes) < 10


def test_a_refused_request_is_not_sent_again():
    core = new(linger=0)
    core.add(made(3), 0)
    (rejection,) = core.settle(core.next(0), Refused("http_401", "", "unknown key"), 0)
    assert len(rejection.events) == 3
    assert core.stats.rejected == {"http_401": 3}
    assert core.next(0) is None


def test_a_full_queue_drops_the_oldest_that_was_never_sent():
    core = new(linger=0, queue_events=3, batch_events=2)
    core.add(made(2), 0)
    first = core.next(0)
    flush = core.flush()
    core.add(made(5, 2), 0)
    assert core.stats.dropped == 2
    core.settle(first, OK, 0)
    assert core.flushed(flush)
    assert flush.ok  # those dropped came later
    assert not core.flush().ok
    second = core.next(0)
    assert numbers(second) == [4, 5]
    core.settle(second, OK, 0)
    assert numbers(core.next(0)) == [6]
    assert_balanced(core.stats)


def test_the_queue_is_bounded_in_bytes():
    events = made(9)
    core = new(queue_bytes=4 * len(events[0].data))
    core.add(events, 0)
    assert (core.stats.waiting, core.stats.dropped) == (4, 5)


def test_a_flush_says_that_some_was_refused_or_dropped():
    core = new(linger=0, queue_events=2)
    core.add(made(2), 0)
    refused = core.flush()
    core.settle(core.next(0), Read([Verdict(1, "rejected", "invalid_field")]), 0)
    assert core.flushed(refused)
    assert not refused.ok
    core.add(made(2), 0)
    dropped = core.flush()
    core.add(made(2), 0)
    assert core.flushed(dropped)
    assert not dropped.ok


def test_a_flush_tells_of_losses_before_it_once():
    core = new(linger=0)
    core.add(made(1), 0)
    core.settle(core.next(0), Refused("http_401", "", ""), 0)
    assert not core.flush().ok
    assert core.flush().ok


def test_nobody_waits_for_a_flush_that_was_given_up():
    core = new(linger=5)
    core.add(made(1), 0)
    flush = core.flush()
    core.give_up(flush)
    assert core.next(0) == 5


def test_what_is_given_up_is_counted_and_its_late_answer_ignored():
    core = new(linger=0, batch_events=2)
    core.add(made(3), 0)
    batch = core.next(0)
    assert core.abandon() == 3
    assert core.settle(batch, OK, 0) == []
    assert (core.stats.dropped, core.stats.accepted, core.stats.waiting) == (3, 0, 0)


def test_what_cannot_be_sent_is_refused_here():
    core = new(linger=0)
    bad = make("test", {"text": "\ud800", "n": float("nan")}, {})
    _, (rejection,) = core.add([bad, *made(1)], 0)
    assert rejection.reason == "invalid_property"
    assert rejection.events == ({"event_id": bad.id},)
    assert core.add([make("test", {"n": 10**5000}, {})], 0)[1][0].reason == "invalid_property"
    assert numbers(core.next(0)) == [0]
    assert_balanced(core.stats)


def test_limits_make_sense():
    with pytest.raises(ValueError, match="batch_events"):
        Limits(batch_events=0)
    with pytest.raises(ValueError, match="linger"):
        Limits(linger=-1)


# What a door may do with a request: take it, with verdicts for some events; fail before or after it
# has stored it; find it too large; refuse it.
answers = st.one_of(
    st.tuples(st.just("ok"), st.lists(st.sampled_from(["", "rejected", "duplicate", "retry"]), max_size=6)),
    st.tuples(st.sampled_from(["lost before", "lost after", "too large", "denied"]), st.just([])),
)
steps = st.lists(st.one_of(st.integers(1, 12), answers, st.just("flush")), max_size=40)


class Door:
    """Stores by id, as Footfall does, and remembers the order in which ids first came."""

    def __init__(self):
        self.stored = []
        self.seen = set()
        self.refused = Counter()

    def answer(self, batch, kind, verdicts):
        events = numbers(batch)
        if kind == "lost before":
            return Again("connection refused")
        if kind == "too large":
            if len(events) == 1:
                self.refused["too_large"] += 1
            return Halve("too large")
        if kind == "denied":
            self.refused["http_403"] += len(events)
            return Refused("http_403", "", "")
        told = dict(enumerate(verdicts[: len(events)]))
        for index, event in enumerate(events):
            if not told.get(index) and event not in self.seen:
                self.seen.add(event)
                self.stored.append(event)
        if kind == "lost after":
            return Again("connection reset")
        self.refused["bad"] += sum(verdict == "rejected" for verdict in told.values())
        return Read([Verdict(index, verdict, "bad") for index, verdict in told.items() if verdict])


@given(steps, st.integers(1, 9), st.integers(1, 20))
def test_nothing_is_lost_or_stored_twice_whatever_the_door_does(steps, batch_events, queue_events):
    core = new(batch_events=batch_events, queue_events=queue_events, linger=0.1)
    door, now, tracked, flushes = Door(), 0.0, 0, []

    def send(kind, verdicts):
        nonlocal now
        while not isinstance(step := core.next(now), Batch):
            if step is None:
                return False
            assert step > 0
            now += step
        assert 1 <= len(step.items) <= batch_events
        core.settle(step, door.answer(step, kind, verdicts), now)
        return True

    for step in steps:
        if step == "flush":
            flushes.append(core.flush())
        elif isinstance(step, int):
            core.add(made(step, tracked), now)
            tracked += step
        else:
            send(*step)
        assert_balanced(core.stats)
        assert core.stats.waiting <= queue_events + batch_events
    while send("ok", []):
        pass

    stats = core.stats
    assert_balanced(stats)
    assert (stats.tracked, stats.waiting) == (tracked, 0)
    if not any("retry" in step[1] for step in steps if isinstance(step, tuple)):
        assert door.stored == sorted(door.stored), "out of order"
    assert +Counter(stats.rejected) == +door.refused
    # What was acknowledged is stored; what was not may be, when the answer got lost.
    assert stats.accepted <= len(door.stored) <= tracked - stats.dropped
    assert all(core.flushed(flush) for flush in flushes)
    if not (stats.dropped or stats.rejected or stats.duplicate):
        assert sorted(door.stored) == list(range(tracked))
        assert all(flush.ok for flush in flushes)
