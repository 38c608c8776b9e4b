"""Every parser of what strangers and readers send, with some thousand inputs; a million each: see fuzz.py."""

import os

import pytest

from tests.security.fuzz import PARSERS, run

INPUTS = int(os.environ.get("FOOTFALL_TEST_INPUTS", "3000"))


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", PARSERS)
def test_no_input_breaks_a_parser_or_holds_it(name):
    run(name, INPUTS)
