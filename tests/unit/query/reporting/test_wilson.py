"""The interval of a share, against the values in the literature."""

import pytest

from footfall.query.reporting.wilson import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_it_is_that_of_the_literature(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_it_stays_between_0_and_1_and_is_symmetric():
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1
    low, high = wilson(2, 10)
    assert wilson(8, 10) == pytest.approx((1 - high, 1 - low))


def test_there_is_none_without_trials_or_for_what_is_no_share():
    assert wilson(0, 0) is None
    assert wilson(3, 0) is None
    assert wilson(3, 2) is None
