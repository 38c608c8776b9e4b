"""Lines with a traceback: many that are alike fill no disk."""

import pytest
import structlog

from footfall.runtime.logs import FewTraces


def _written(few, *, event="door.failed", error=None):
    try:
        return few(None, "error", {"event": event, "exc_info": error or ValueError("x")})
    except structlog.DropEvent:
        return None


@pytest.fixture
def clock():
    return [0.0]


def test_of_many_alike_a_few_are_written_in_a_minute(clock):
    few = FewTraces(lambda: clock[0])
    assert sum(_written(few) is not None for _ in range(1000)) == 20


def test_the_next_minute_says_how_many_were_left_out(clock):
    few = FewTraces(lambda: clock[0])
    for _ in range(1000):
        _written(few)
    clock[0] = 61.0
    assert _written(few)["left_out"] == 980
    assert "left_out" not in _written(few)


def test_another_kind_of_line_is_not_left_out_for_it(clock):
    few = FewTraces(lambda: clock[0])
    for _ in range(100):
        _written(few)
    assert _written(few, error=KeyError("y")) is not None
    assert _written(few, event="append.failed") is not None


def test_lines_without_a_traceback_are_never_left_out(clock):
    few = FewTraces(lambda: clock[0])
    assert all(few(None, "info", {"event": "redirect", "exc_info": None}) for _ in range(1000))
