"""Real servers that the tests start: programs of the system, data and ports of their own."""

import os

import pytest


def needs(found, how):
    """Skip where a program is missing; fail where nothing may be missing. `how`: how to install it."""
    if found:
        return
    if "FOOTFALL_TESTS_NEED_EVERYTHING" in os.environ:
        pytest.fail(how)
    pytest.skip(how)
