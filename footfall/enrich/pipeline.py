"""The enrichment of events, as a list to read from top to bottom."""

from collections.abc import Callable, Mapping
from functools import partial
from sys import getsizeof
from typing import Any, NamedTuple, cast

from footfall.enrich import told
from footfall.enrich.bots import Bot
from footfall.enrich.campaign import parse_page_and_source
from footfall.enrich.page import PageFields
from footfall.enrich.referrer import Source, parse_referrer
from footfall.enrich.user_agent import Device

_Input = tuple[Any, ...]
_Answer = tuple[Any, ...]


class Step(NamedTuple):
    """A pure function of some columns that fills others; a later step may read what an earlier one wrote."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[..., tuple[Any, ...]]


_OF_THE_SOURCE = ("referrer", "page_url", "utm_source", "utm_medium", "own_referrer")

STEPS: tuple[Step, ...] = (
    Step("user_agent", ("user_agent", "client_hints", "told"), Device._fields, told.device),
    Step("bots", ("user_agent", "client_hints", "told"), Bot._fields, told.bot),
    Step("page", ("page_url", "utm", "referrer"), PageFields._fields, parse_page_and_source),
    Step("referrer", _OF_THE_SOURCE, Source._fields, parse_referrer),
)


def steps_of(*, hash_routes: bool) -> tuple[Step, ...]:
    """The steps, with what the settings say of pages."""
    if not hash_routes:
        return STEPS
    page = partial(parse_page_and_source, hash_routes=True)
    return tuple(step._replace(run=page) if step.name == "page" else step for step in STEPS)


def check_lists() -> None:
    """Read the lists that the package has of agents. It takes a second.

    Raises Misconfigured where one is missing: every event would become a dead letter.
    """
    told.device("-", "", None)
    told.bot("-", "", None)


# Of what is remembered by one step, in bytes; and of one input with its answer.
MEMORY = 16 << 20
_LONG = 4096


class Pipeline:
    """Runs the steps over the columns of a batch, each step once per distinct input.

    Traffic repeats itself, so the answers for the newest `remember` distinct inputs of each
    step are kept, of `memory` bytes at most, and none of a long one; per event there remain a few
    dictionary look-ups. Not thread-safe.
    """

    def __init__(self, steps: tuple[Step, ...] = STEPS, remember: int = 50_000, memory: int = MEMORY) -> None:
        self._remember = remember
        self._memory = memory
        self._known = [(step, _Answers()) for step in steps]

    def run(self, columns: dict[str, list[Any]]) -> None:
        """Add what the steps write to `columns`: lists as long as those they read."""
        for step, known in self._known:
            reads = [columns[name] for name in step.reads]
            # No list of the keys: zip then uses one tuple over and over, and the collector stays quiet.
            answers = list(map(known.get, zip(*reads, strict=True)))
            new: dict[_Input, _Answer] = {}
            if None in answers:
                for row, answer in enumerate(answers):
                    if answer is None:
                        key = tuple(column[row] for column in reads)
                        if key not in new:
                            new[key] = step.run(*key)
                        answers[row] = new[key]
            full = cast("list[_Answer]", answers)
            for place, name in enumerate(step.writes):
                columns[name] = [answer[place] for answer in full]
            known.learn(new, self._remember, self._memory)


class _Answers(dict[_Input, _Answer]):
    """What a step said of the newest inputs, and about how many bytes that takes."""

    def __init__(self) -> None:
        self._bytes = 0

    def learn(self, new: Mapping[_Input, _Answer], count: int, memory: int) -> None:
        """Remember these, but the long ones; forget the oldest beyond so many and so many bytes."""
        for key, answer in new.items():
            size = _size(key) + _size(answer)
            if size <= _LONG:
                self[key] = answer
                self._bytes += size
        oldest: list[_Input] = []
        left = len(self)
        for key, answer in self.items():
            if left <= count and self._bytes <= memory:
                break
            oldest.append(key)
            left -= 1
            self._bytes -= _size(key) + _size(answer)
        for key in oldest:
            del self[key]


def _size(values: tuple[Any, ...]) -> int:
    """About the bytes that they take in memory."""
    return getsizeof(values) + sum(
        _size(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else getsizeof(value)
        for value in values
    )
