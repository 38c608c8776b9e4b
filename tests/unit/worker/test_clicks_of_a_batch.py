"""Two visits of one visitor with a click each, in one batch: neither click is a row of the next one."""

from footfall.worker.entry import OF_CLICK, OF_VIEW, EventFacts
from footfall.worker.sessions import Sessions

NOW = 1_763_700_000_000
HOUR = 3_600_000


def facts(kinds: list[int], source: str) -> EventFacts:
    none = EventFacts.none(len(kinds))
    columns = [[source if place == 3 else ""] * len(kinds) for place in range(len(none.columns))]
    return none._replace(kinds=kinds, columns=columns)


def test_the_click_of_each_visit_is_remembered():
    sessions = Sessions(timeout=1800, memory=1000)
    others = [100, 101, 102]
    times = [NOW] * 4 + [NOW - 10 * HOUR]
    sessions.assign([*others, 7, 7], times, [NOW] * 5, [0] * 5, events=facts([OF_CLICK] * 5, "letter"))
    for at in (NOW + 60_000, NOW - 10 * HOUR + 60_000):
        (entry,) = sessions.assign([7], [at], [NOW], [0], events=facts([OF_VIEW], "")).entries
        assert "letter" in entry
