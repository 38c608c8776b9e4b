"""What may be deleted tonight: what is due, and was due and announced on an earlier night."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from footfall.model.times import Millis
from footfall.state.retention import Item

NIGHT = 20 * 3600
"""Seconds for which a deletion is announced at least, from one night to the next."""


class Decision(NamedTuple):
    """`ripe`: what goes tonight. `announced`: all that is due, since when (Unix seconds)."""

    ripe: frozenset[Item]
    announced: Mapping[Item, int]


def decide(due: Collection[Item], announced: Mapping[Item, int], now: Millis, clock: int) -> Decision:
    """Of what is `due` now; `announced`: what was until now. Unix seconds.

    `now`: the time that has come for sure; `clock`: what the clock says, which may be ahead of it for a day.
    An announcement counts from the later one: else a night could pass in the minute in which the
    clock is believed.

    What is not due any more (a setting was changed back, an event came) is forgotten, and must be announced
    anew; what was announced at a time that has not come (the clock was set back) counts from the clock's.
    """
    latest = max(now, clock)
    kept = {item: min(announced.get(item, latest), latest) for item in due}
    return Decision(frozenset(item for item, at in kept.items() if now - at >= NIGHT), kept)
