"""Clocks that jump, and clients whose clocks are far off: nothing is lost, nothing counted twice."""

import time
from datetime import datetime

from tests.faults.harness.judge import judge
from tests.faults.harness.shim import Shim

HOUR = 3600.0


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
