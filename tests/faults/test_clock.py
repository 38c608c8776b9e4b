"""Clocks that jump, and clients whose clocks are far off: nothing is lost, nothing counted twice."""

import time
from datetime import datetime

import pytest

from tests.faults.harness.bench import Bench
from tests.faults.harness.installation import until
from tests.faults.harness.judge import judge
from tests.faults.harness.shim import Shim

HOUR = 3600.0
DAY = 24 * HOUR


def seconds_to(text):
    """From now to that time."""
    return datetime.fromisoformat(text).timestamp() - time.time()


def test_clock_jumps(install, check, library, chance):
    site = install()
    shim = Shim(library, site.directory / "clock.control")
    # The machine's own zone has the changes of daylight-saving time that are jumped to.
    site.serve(**shim.environment, TZ="Europe/Berlin")
    oracle = site.oracle(odd_times=0.3, seed=chance.randrange(1 << 30))
    jumps = {
        "an-hour-back": -HOUR,
        "a-day-on": 24 * HOUR,
        "back": 0.0,
        "summer-time-begins": seconds_to("2026-03-29T00:59:59+00:00"),
        "summer-time-ends": seconds_to("2026-10-25T00:59:59+00:00"),
        "the-truth": 0.0,
    }
    for name, shift in jumps.items():
        shim.shift_clock(shift)
        oracle.phase(name)
        oracle.sent(at_least=100)
    oracle.stop()
    check(judge("clock jumps, DST, clients' times far away", len(jumps), site))


YEARS = (3.0, -56.0, 30.0, -5.0, 0.3, -0.3, 100 / 365, 1.0)
"""How far off; 56 years ago a clock that nobody set begins."""

JUMP, START, KILL = "jump", "start", "kill"
"""It happens while both run, between two runs, or after they were killed."""


def test_clocks_years_off(install, check, library, repeats, chance):
    """They are off for a moment, another night seems to come, and they are right again or off elsewhere."""
    # Long enough ago for whoever believes the clock.
    site = install(settings={"raw_retention": "2d", "rollup_retention": "40d", "log_retention": "1d"})
    bench = Bench(site, library, program="tests.faults.harness.keen", TICK="0.2")

    def shift(seconds, how):
        if how == START:
            bench.leave()
        elif how == KILL:
            for role in bench.processes:
                bench.end(role)
        for shim in bench.shims.values():
            shim.shift_clock(seconds)
        if how != JUMP:
            for role in bench.processes:
                bench.start_again(role)
        bench.wait()

    def send():
        site.hand.post()
        known = site.hand.tokens(5)
        for _ in range(2):
            until(lambda: site.hand.send(known, named=True) == 202, "it accepts")
        bench.drained()
        return known

    send()
    for number in range(repeats):
        years, how = YEARS[number % len(YEARS)], chance.choice((JUMP, START, KILL))
        site.hand.phase(f"{number}-{how}-{years:g}-years")
        shift(years * 365 * DAY, how)
        send()
        shift(years * 365 * DAY + 1.1 * DAY, JUMP)
        time.sleep(1)  # a few looks whether it is night
        known = send()
        if chance.random() < 0.5:
            shift(0, chance.choice((JUMP, START, KILL)))
            until(lambda known=known: site.hand.send(known, named=True) == 202, "it accepts")
    shift(0, START)
    send()
    check(judge("clocks years off, nights that never were", repeats, site))


@pytest.mark.parametrize("days", [3, -3])
def test_a_kill_while_the_clock_is_wrong_forgets_no_id(install, check, library, days):
    """Ids of seconds ago come again after it: from before it was ahead, or from while it was behind."""
    site = install()
    bench = Bench(site, library)

    def shift(seconds):
        for shim in bench.shims.values():
            shim.shift_clock(seconds)

    def send(tokens):
        until(lambda: site.hand.send(tokens, named=True) == 202, "it accepts")
        bench.drained()

    shift(min(days, 0) * DAY)
    known = site.hand.tokens(5)
    send(known)
    shift(max(days, 0) * DAY)
    send(site.hand.tokens(5))
    bench.kill("worker")
    bench.wait()
    send(known)
    assert site.counted() == 10
    check(judge("a kill while the clock is wrong", 1, site))
