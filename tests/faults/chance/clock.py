"""The time that all parts are told: it goes on by itself, jumps when asked, and may be wrong for a while."""

import time
from collections.abc import Generator
from contextlib import contextmanager

_real = time.time
_LONGEST_WRONG = 12 * 3600.0  # seconds: what deletes trusts a clock that is wrong for a night and a day
START = 1_782_000_000.0  # 2026-06-21: months begin and end on both sides


class Clock:
    """Seconds. `skew`: how wrong what it shows is."""

    def __init__(self) -> None:
        self._base = START - time.monotonic()
        self.skew = 0.0
        self._wrong = 0.0  # seconds that passed while it was

    def true(self) -> float:
        return self._base + time.monotonic()

    def shown(self) -> float:
        return self.true() + self.skew

    def advance(self, seconds: float) -> None:
        """So much time passes. Before it is wrong for too long somebody sets it right."""
        self._wrong = self._wrong + seconds if self.skew else 0.0
        if self._wrong > _LONGEST_WRONG:
            self.skew = 0.0
        self._base += seconds

    @contextmanager
    def everywhere(self) -> Generator[None]:
        """Whatever asks `time.time` is told this time."""
        time.time = self.shown
        try:
            yield
        finally:
            time.time = _real
