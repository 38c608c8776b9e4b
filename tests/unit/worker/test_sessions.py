"""Which visit each event belongs to."""

from collections.abc import Sequence

from footfall.enrich.visitor import session_id
from footfall.worker.sessions import Sessions

MINUTE = 60_000
TIMEOUT = 30 * MINUTE
NOW = 1_763_700_000_000


def sessions(memory: int = 1000) -> Sessions:
    return Sessions(timeout=TIMEOUT / 1000, memory=memory)


def assign(
    known: Sessions, *events: tuple[int, int], received: int | None = None, own: Sequence[int] = ()
) -> list[int]:
    """Events as (visitor, ms after NOW); received when they occurred, unless given."""
    visitors, times = [visitor for visitor, _ in events], [NOW + at for _, at in events]
    return known.assign(
        visitors, times, times if received is None else [received] * len(times), own or [0] * len(times)
    ).sessions


def test_activity_within_the_timeout_continues_the_session():
    first = session_id(7, NOW)
    assert assign(sessions(), (7, 0), (7, 20 * MINUTE), (7, 45 * MINUTE)) == [first] * 3


def test_exactly_the_timeout_still_belongs_and_one_ms_more_does_not():
    assert assign(sessions(), (7, 0), (7, TIMEOUT)) == [session_id(7, NOW)] * 2
    late = TIMEOUT + 1
    assert assign(sessions(), (7, 0), (7, late)) == [session_id(7, NOW), session_id(7, NOW + late)]


def test_sessions_go_on_over_batches_and_visitors_do_not_mix():
    known = sessions()
    one, two = assign(known, (1, 0), (2, 10))
    assert one != two
    assert assign(known, (2, MINUTE), (1, MINUTE), (3, MINUTE)) == [two, one, session_id(3, NOW + MINUTE)]


def test_an_unknown_visitor_has_no_session():
    assert assign(sessions(), (0, 0), (0, 5)) == [0, 0]


def test_the_clients_own_session_wins_and_is_joined_by_what_has_none():
    known = sessions()
    assert assign(known, (7, 0), (7, 10), (0, 20), own=[0, 99, 98]) == [session_id(7, NOW), 99, 98]
    assert assign(known, (7, MINUTE)) == [99]
    assert assign(known, (7, 2 * MINUTE), own=[55]) == [55]


def test_an_event_out_of_order_joins_the_session_it_falls_in():
    known = sessions()
    session = session_id(7, NOW)
    assert assign(known, (7, 0), (7, 10 * MINUTE), (7, 5 * MINUTE), (7, -TIMEOUT)) == [session] * 4
    # It reaches back from the first event, which moved; the id stays.
    assert assign(known, (7, -2 * TIMEOUT), (7, 40 * MINUTE)) == [session] * 2


def test_an_event_from_before_the_session_gets_its_own_and_leaves_the_live_one_alone():
    known = sessions()
    live = session_id(7, NOW)
    assert assign(known, (7, 0), (7, -TIMEOUT - 1), (7, MINUTE)) == [
        live,
        session_id(7, NOW - TIMEOUT - 1),
        live,
    ]


def test_an_import_of_old_times_forms_sessions_beside_the_live_ones():
    known = sessions()
    day = -86_400_000
    (live,) = assign(known, (7, 0))
    old, older = session_id(7, NOW + day), session_id(8, NOW + day)
    assert assign(known, (7, day), (8, day), (7, day + TIMEOUT), received=NOW) == [old, older, old]
    assert assign(known, (7, MINUTE), (8, MINUTE)) == [live, session_id(8, NOW + MINUTE)]
    assert assign(known, (7, day + 2 * TIMEOUT), received=NOW) == [old]


def test_a_late_queue_that_catches_up_is_one_session():
    known = sessions()
    times = [-50 * MINUTE, -30 * MINUTE, -10 * MINUTE, 0]  # the first is late, the last is not
    assert assign(known, *((7, at) for at in times), received=NOW) == [session_id(7, NOW + times[0])] * 4


def test_memory_is_bounded_and_the_longest_idle_are_forgotten_first():
    known = sessions(memory=10)
    assign(known, *((visitor, 0) for visitor in range(1, 11)))
    assign(known, (1, MINUTE))  # the first is the last to have been active
    assign(known, (11, MINUTE), (12, MINUTE))
    kept = assign(known, *((visitor, 2 * MINUTE) for visitor in (1, 4, 10)))
    assert kept == [session_id(visitor, NOW) for visitor in (1, 4, 10)]
    assert assign(known, (2, 2 * MINUTE)) == [session_id(2, NOW + 2 * MINUTE)]


def test_memory_of_an_import_is_bounded_too():
    known = sessions(memory=1000)
    day = -86_400_000
    assign(known, *((visitor, day) for visitor in range(1, 200)), received=NOW)
    assert assign(known, (1, day + 1), received=NOW) == [session_id(1, NOW + day + 1)]
    assert assign(known, (199, day + 1), received=NOW) == [session_id(199, NOW + day)]


OLD, NEW, NEXT = 71, 72, 73  # a device on three days


def test_a_visit_goes_on_over_midnight_as_its_first_visitor_and_todays_hash_counts_after_it():
    known = sessions()
    known.pair([OLD, NEW, NEW], [0, OLD, 0])
    visitors = [OLD, NEW, NEW, NEW]
    times = [NOW, NOW + 20 * MINUTE, NOW + 45 * MINUTE, NOW + 76 * MINUTE]
    first, last = session_id(OLD, NOW), session_id(NEW, times[3])
    assert known.assign(visitors, times, times, [0] * 4).sessions == [first] * 3 + [last]
    assert visitors == [OLD, OLD, OLD, NEW]


def test_the_same_batch_again_gives_the_same_visits():
    known = sessions()
    for _ in range(2):
        known.pair([OLD, NEW], [0, OLD])
        visitors = [OLD, NEW]
        assert (
            known.assign(visitors, [NOW, NOW + 1], [NOW, NOW + 1], [0, 0]).sessions
            == [session_id(OLD, NOW)] * 2
        )
        assert visitors == [OLD, OLD]
    # And so when its visitors were put right before.
    known.pair([OLD, NEW], [0, OLD])
    assert (
        known.assign(visitors, [NOW, NOW + 1], [NOW, NOW + 1], [0, 0]).sessions == [session_id(OLD, NOW)] * 2
    )
    assert visitors == [OLD, OLD]


def test_the_other_days_event_may_come_first():
    known = sessions()
    known.pair([NEW], [OLD])
    visitors = [NEW, OLD, NEW]
    times = [NOW + MINUTE, NOW - MINUTE, NOW + 2 * MINUTE]
    assert known.assign(visitors, times, times, [0] * 3).sessions == [session_id(NEW, times[0])] * 3
    assert visitors == [NEW] * 3


def test_a_late_queue_over_midnight_is_one_visit_and_leaves_the_live_one_alone():
    known = sessions()
    (live,) = assign(known, (NEW, 0))
    day = -600 * MINUTE
    known.pair([NEW], [OLD])
    visitors, times = [OLD, NEW], [NOW + day, NOW + day + MINUTE]
    assert known.assign(visitors, times, [NOW] * 2, [0] * 2).sessions == [session_id(OLD, NOW + day)] * 2
    assert visitors == [OLD] * 2
    assert assign(known, (NEW, MINUTE)) == [live]


def test_a_session_of_the_clients_own_does_not_go_on_in_another():
    known = sessions()
    known.pair([NEW], [OLD])
    visitors, times = [OLD, NEW, NEW], [NOW, NOW + 1, NOW + 2]
    assert known.assign(visitors, times, times, [0, 99, 0]).sessions == [session_id(OLD, NOW), 99, 99]
    assert visitors == [OLD, NEW, NEW]


def test_a_visit_is_carried_over_one_midnight_not_two():
    known = sessions()
    known.pair([NEW], [OLD])
    visitors, times = [OLD, NEW], [NOW, NOW + TIMEOUT]
    known.assign(visitors, times, times, [0, 0])
    known.pair([NEXT], [NEW])
    visitors = [NEXT]
    assert known.assign(visitors, [NOW + TIMEOUT + 1], [0], [0]).sessions == [
        session_id(NEXT, NOW + TIMEOUT + 1)
    ]
    assert visitors == [NEXT]


def test_what_is_known_of_hashes_is_bounded():
    known = sessions(memory=10)
    known.pair(range(1000, 1100), range(2000, 2100))
    # The newest stay.
    visitors, times = [2000, 1000, 2099, 1099], [NOW, NOW + 1, NOW + 2, NOW + 3]
    known.assign(visitors, times, times, [0] * 4)
    assert visitors == [2000, 1000, 2099, 2099]
