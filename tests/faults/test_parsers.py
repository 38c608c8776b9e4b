"""Inputs that nobody would write, for every parser that meets what strangers and readers send."""

from tests.faults.harness.judge import Verdict
from tests.security.fuzz import PARSERS, run

INPUTS = 250  # for each parser, a round


def test_no_input_breaks_a_parser_or_holds_it(check, rounds, chance):
    verdict = Verdict("inputs that nobody would write, at each parser", rounds)
    verdict.notes.append(f"{rounds * INPUTS:,} inputs for each parser; longest steps")
    for name in PARSERS:
        try:
            longest = run(name, rounds * INPUTS, chance.randrange(1 << 30))
        except AssertionError as error:
            verdict.problems.append(str(error))
        else:
            verdict.notes.append(f"{name} {longest * 1000:.1f} ms")
    check(verdict)
