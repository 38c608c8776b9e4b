"""Which time has come for sure: whatever the clock says for less than 20 hours, nobody deletes by it."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from footfall.retention.announced import NIGHT, decide
from footfall.state.days_seen import Look, believed, enter
from footfall.state.retention import Item

DAY, HOUR = 86400.0, 3600.0
BEGAN = 20_000 * DAY + 14 * HOUR


class Machine:
    """A process that looks at its clocks, on a machine whose clock is `ahead` of the true time."""

    def __init__(self):
        self.true = BEGAN
        self.ahead = 0.0
        self.seen = ()
        self.last = None

    def look(self):
        wall = self.true + self.ahead
        if self.last is not None and self.last.seen != self.seen:
            raise AssertionError("one process only")
        entered = enter(self.seen, self.last, wall, self.true)
        if entered != self.seen or self.last is None:
            self.seen, self.last = entered, Look(entered, wall, self.true)
        return believed(self.seen, wall)

    def run(self, hours, step=1.0):
        """What is believed at each look."""
        found = [self.look()]
        while hours > 0:
            self.true += min(step, hours) * HOUR
            hours -= step
            found.append(self.look())
        return found

    def restart(self, hours=0.0):
        self.true += hours * HOUR
        self.last = None


hours = st.floats(0.01, 90)
right = st.tuples(st.just("right"), hours)
off = st.tuples(st.just("off"), st.floats(0.01, 24 * 100))
wrong = st.tuples(
    st.just("wrong"),
    st.floats(-400, 400),
    st.lists(st.floats(0.01, 6), min_size=1, max_size=3),
    st.booleans(),
)


@given(st.lists(right | off | wrong, max_size=12))
@example([("right", 60), ("wrong", 365, [0.02], False), ("right", 60)])
@example([("right", 60), ("wrong", 365, [5, 5, 5], True), ("right", 60)])
@example([("right", 57.9), ("wrong", 1.0, [6, 6, 6], True), ("right", 60)])
def test_a_clock_that_is_wrong_for_less_than_a_night_is_not_believed(steps):
    machine = Machine()

    def check(believed_times, true):
        assert all(each < true + 2 * DAY for each in believed_times)

    for kind, *what in steps:
        if kind == "right":
            machine.run(what[0])
        elif kind == "off":
            machine.restart(what[0])
        else:
            ahead, runs, restarts = what
            machine.ahead = ahead * DAY
            for each in runs:
                if restarts:
                    machine.restart()
                found = machine.run(each)
                check(found, machine.true)
            machine.ahead = 0.0
        assert machine.look() <= machine.true


@given(st.lists(right | off | wrong, max_size=8), st.booleans())
def test_once_the_clock_runs_right_the_time_is_believed_again_within_three_days(steps, restarted):
    machine = Machine()
    for kind, *what in steps:
        if kind == "right":
            machine.run(what[0])
        elif kind == "off":
            machine.restart(what[0])
        else:
            machine.ahead = what[0] * DAY
            for each in what[1]:
                machine.run(each)
            machine.ahead = 0.0
    if restarted:
        machine.restart()
    machine.run(72)
    assert all(later == machine.true for later in [machine.run(1)[-1]])


def test_a_machine_that_is_on_for_an_hour_every_few_days_believes_them_all_but_the_last():
    machine = Machine()
    for _ in range(10):
        machine.run(1, 0.25)
        machine.restart(24 * 3)
    assert machine.true - machine.run(1)[-1] < 8 * DAY


def test_a_running_machine_believes_every_day_as_it_comes():
    machine = Machine()
    machine.run(48)
    found = machine.run(24 * 30, 0.5)
    assert found[-1] == machine.true
    assert all(later >= earlier for earlier, later in pairwise(found))
    assert min(true - each for true, each in zip(_times(machine, found), found, strict=True)) == 0


def _times(machine, found):
    return [machine.true - 0.5 * HOUR * back for back in reversed(range(len(found)))]


items = st.sets(
    st.builds(Item, st.sampled_from(["events", "rollups"]), st.integers(1, 4), st.sampled_from("ab"))
)


@given(st.lists(st.tuples(items, st.integers(0, 200), st.sampled_from([0, 0, 5, 30, 900])), max_size=30))
def test_only_what_was_due_and_announced_on_an_earlier_night_and_ever_since_goes(nights):
    announced = {}
    history = []
    for due, hour, ahead in nights:
        now = hour * 3600
        decision = decide(due, announced, now, now + ahead * 3600)
        for item in decision.ripe:
            since = []
            for before, at in reversed(history):
                if item not in before:
                    break
                since.append(at)
            assert any(at <= now - NIGHT for at in since), "whatever was believed then"
            assert item in due
        assert decision.announced.keys() == due
        assert all(at <= now + ahead * 3600 for at in decision.announced.values())
        announced = decision.announced
        history.append((due, now + ahead * 3600))


@given(items)
def test_what_stays_due_goes_the_next_night(due):
    first = decide(due, {}, 0, 0)
    assert not first.ripe
    assert decide(due, first.announced, 10 * 3600, 10 * 3600).ripe == frozenset()
    assert decide(due, first.announced, 86400, 86400).ripe == due
