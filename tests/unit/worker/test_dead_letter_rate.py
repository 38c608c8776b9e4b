"""When there are too many dead letters."""

import pytest

from footfall.worker.dead_letter_rate import DeadLetterRate


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("events", "dead", "too_many"),
    [
        (100, 99, False),
        (100, 100, True),
        (499, 100, True),
        (500, 100, False),
        (10**6, 200_001, True),
        (0, 0, False),
    ],
)
def test_more_than_a_fifth_and_at_least_a_hundred(events: int, dead: int, too_many: object):
    assert DeadLetterRate(clock=Clock()).too_many(events, dead) is too_many


def test_the_batches_of_the_last_minute_count():
    clock = Clock()
    share = DeadLetterRate(clock=clock)
    share.closed(200, 60)
    clock.now += 50
    share.closed(100, 39)
    assert not share.too_many(1, 0)
    assert share.too_many(1, 1)
    clock.now += 11
    assert not share.too_many(1, 1), "the first batch is older than a minute"
    assert share.too_many(61, 61)


def test_many_good_events_make_some_bad_ones_bearable():
    share = DeadLetterRate(clock=Clock())
    share.closed(10_000, 0)
    assert not share.too_many(1000, 1000)
    assert share.too_many(3000, 3000)
