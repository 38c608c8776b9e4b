"""Runs every fault and prints what became of the acknowledged events.

    python -m tests.faults [--rounds 200] [--seed 1] [--record FILE] [--only EXPRESSION]

Above 100 rounds everything is hit: each system call by a kill, and the store stands still for a minute.
"""

import argparse
import os
import sys
from pathlib import Path

import pytest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Prove that nothing is lost.")
    parser.add_argument("--rounds", type=int, default=200, help="rounds of random kills (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default 1)")
    parser.add_argument("--record", type=Path, help="also write the table into this file")
    parser.add_argument("--only", default="", help="only tests whose name matches, as pytest's -k")
    given = parser.parse_args()
    os.environ["FOOTFALL_TEST_ROUNDS"] = str(given.rounds)
    os.environ["FOOTFALL_TEST_SEED"] = str(given.seed)
    if given.record:
        os.environ["FOOTFALL_TEST_RECORD"] = str(given.record.absolute())
    return pytest.main([str(Path(__file__).parent), "-q", "--tb=short", "-k", given.only])


if __name__ == "__main__":
    sys.exit(main())
