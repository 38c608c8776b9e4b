"""The enrichment of events, as a list to read from top to bottom."""

from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple, cast

from footfall.enrich.bots import Bot, classify
from footfall.enrich.page import PageFields, parse_page
from footfall.enrich.referrer import Source, parse_referrer
from footfall.enrich.user_agent import Device, parse_user_agent


class Step(NamedTuple):
    """A pure function of some columns that fills others; a later step may read what an earlier one wrote."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[..., tuple[Any, ...]]


STEPS: tuple[Step, ...] = (
    Step("user_agent", ("user_agent", "client_hints"), Device._fields, parse_user_agent),
    Step("bots", ("user_agent",), Bot._fields, classify),
    Step("page", ("page_url", "utm"), PageFields._fields, parse_page),
    Step("referrer", ("referrer", "page_url", "utm_source", "utm_medium"), Source._fields, parse_referrer),
)


class Pipeline:
    """Runs the steps over the columns of a batch, each step once per distinct input.

    Traffic repeats itself, so the answers for the newest `remember` distinct inputs of each
    step are kept; per event there remain a few dictionary look-ups. Not thread-safe.
    """

    def __init__(self, steps: tuple[Step, ...] = STEPS, remember: int = 50_000) -> None:
        self._remember = remember
        self._known: list[tuple[Step, dict[tuple[Any, ...], tuple[Any, ...]]]] = [
            (step, {}) for step in steps
        ]

    def run(self, columns: dict[str, list[Any]]) -> None:
        """Add what the steps write to `columns`: lists as long as those they read."""
        for step, known in self._known:
            reads = [columns[name] for name in step.reads]
            # No list of the keys: zip then uses one tuple over and over, and the collector stays quiet.
            answers = list(map(known.get, zip(*reads, strict=True)))
            if None in answers:
                for row, answer in enumerate(answers):
                    if answer is None:
                        key = tuple(column[row] for column in reads)
                        if key not in known:
                            known[key] = step.run(*key)
                        answers[row] = known[key]
            full = cast("list[tuple[Any, ...]]", answers)
            for place, name in enumerate(step.writes):
                columns[name] = [answer[place] for answer in full]
            for key in list(islice(known, max(0, len(known) - self._remember))):
                del known[key]  # the oldest first
