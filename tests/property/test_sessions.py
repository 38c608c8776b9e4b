"""Sessions against the plainest reference: sort by visitor, split at gaps above the timeout."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from footfall.enrich.visitor import session_id
from footfall.worker.sessions import Sessions

TIMEOUT = 1_800_000
START = 1_763_700_000_000

# Gaps around the timeout are what it is about.
gaps = st.one_of(st.integers(0, 10), st.integers(TIMEOUT - 2, TIMEOUT + 2), st.integers(0, 3 * TIMEOUT))
events = st.lists(st.tuples(st.integers(0, 4), gaps), max_size=60)


def reference(visitors: list[int], times: list[int]) -> list[int]:
    last: dict[int, tuple[int, int]] = {}
    result: list[int] = []
    for visitor, at in zip(visitors, times, strict=True):
        before, session = last.get(visitor, (0, 0))
        if at - before > TIMEOUT:
            session = session_id(visitor, at)
        if visitor == 0:
            session = 0
        last[visitor] = (at, session)
        result.append(session)
    return result


def timeline(steps: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    visitors, times, now = [], [], START
    for visitor, gap in steps:
        now += gap
        visitors.append(visitor)
        times.append(now)
    return visitors, times


@given(events, st.lists(st.integers(0, 60), max_size=3))
def test_in_order_events_get_the_sessions_of_the_reference_however_they_are_batched(
    steps: list[tuple[int, int]], cuts: list[int]
):
    visitors, times = timeline(steps)
    known = Sessions(timeout=TIMEOUT / 1000, memory=1000)
    bounds = [0, *sorted(min(cut, len(times)) for cut in cuts), len(times)]
    result: list[int] = []
    for start, end in pairwise(bounds):
        part = times[start:end]
        result += known.assign(visitors[start:end], part, part, [0] * len(part)).sessions
    assert result == reference(visitors, times)


@given(events, events)
def test_an_import_in_between_gets_the_same_sessions_as_alone_and_disturbs_nobody(
    steps: list[tuple[int, int]], old: list[tuple[int, int]]
):
    visitors, times = timeline(steps)
    old_visitors, old_times = timeline(old)
    old_times = [at - 1000 * TIMEOUT for at in old_times]
    known = Sessions(timeout=TIMEOUT / 1000, memory=1000)
    live: list[int] = []
    imported: list[int] = []
    for index in range(max(len(times), len(old_times))):
        one = slice(index, index + 1)
        live += known.assign(visitors[one], times[one], times[one], [0] * len(times[one])).sessions
        received = [START] * len(old_times[one])
        imported += known.assign(old_visitors[one], old_times[one], received, [0] * len(received)).sessions
    assert live == reference(visitors, times)
    assert imported == reference(old_visitors, old_times)


MIDNIGHT = START // 86_400_000 * 86_400_000
steps_over_midnight = st.lists(st.tuples(st.integers(1, 3), gaps), min_size=1, max_size=40)


@given(steps_over_midnight, st.integers(0, 4 * TIMEOUT), st.lists(st.integers(0, 40), max_size=3))
def test_a_change_of_the_hash_at_midnight_changes_no_visit_however_it_is_batched(
    steps: list[tuple[int, int]], before: int, cuts: list[int]
):
    devices, times = timeline(steps)
    times = [at - START + MIDNIGHT - before for at in times]
    hashes = [device + (100 if at >= MIDNIGHT else 0) for device, at in zip(devices, times, strict=True)]
    previous = [
        device if 0 <= at - MIDNIGHT < TIMEOUT else 0 for device, at in zip(devices, times, strict=True)
    ]
    known = Sessions(timeout=TIMEOUT / 1000, memory=1000)
    bounds = [0, *sorted(min(cut, len(times)) for cut in cuts), len(times)]
    sessions: list[int] = []
    visitors: list[int] = []
    for start, end in pairwise(bounds):
        known.pair(hashes[start:end], previous[start:end])
        part, own = times[start:end], hashes[start:end]
        sessions += known.assign(own, part, part, [0] * len(part)).sessions
        visitors += own
    # A visit's visitor is the hash it began with; and so are its ids.
    began: dict[tuple[int, int], int] = {}
    expected: list[int] = []
    for device, session, own in zip(devices, reference(devices, times), hashes, strict=True):
        expected.append(began.setdefault((device, session), own))
    assert visitors == expected
    first: dict[tuple[int, int], int] = {}
    for device, session, visitor, at, got in zip(
        devices, reference(devices, times), visitors, times, sessions, strict=True
    ):
        assert got == first.setdefault((device, session), session_id(visitor, at))
