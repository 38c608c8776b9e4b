"""The random oracle: see the package `chance`. Seeds here; in `make faults` as many as there is time for."""

import os
import subprocess
import sys

import pytest

from tests.e2e.serving import environment

_SHORT = 20  # rounds of `make test`
_MINUTES = 0.3  # of a round in `make faults`: an hour with 200

# Each group stands in one of them.
TOGETHER = ["letters+failures+garbage", "imports+held", "rollups+retention", "log+clock"]


@pytest.mark.parametrize("groups", TOGETHER)
def test_whatever_happens_in_whatever_order_every_event_counts_once(groups):
    check("--seeds", "2-3", "--groups", groups)


def test_whatever_happens_for_as_long_as_there_is_time(rounds):
    if rounds <= _SHORT:
        pytest.skip("only in `make faults`")
    check("--minutes", f"{rounds * _MINUTES:g}", "--first", os.environ.get("FOOTFALL_TEST_SEED", "1"))


def check(*arguments):
    """In a process of its own: the engine lives in the one that opened it, for ever."""
    command = [sys.executable, "-m", "tests.faults.chance", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-4000:]}"
