"""Time: which unit a number has, and how one becomes the other.

Events, records and answers have Millis; settings, pauses and clocks have Seconds. A name that does not
say which is Seconds. The checker takes both for numbers: these names are for readers.
"""

import time

Millis = int
"""Milliseconds since 1970 UTC, or so many of them."""

Seconds = float
"""Seconds since 1970 UTC, or so many of them."""

QUARTER_MS: Millis = 900_000
HOUR_MS: Millis = 3_600_000
DAY_MS: Millis = 86_400_000
DAY: Seconds = 86_400.0


def now_ms() -> Millis:
    """What this machine's clock says."""
    return int(time.time() * 1000)


def to_millis(seconds: Seconds) -> Millis:
    """Rounded down."""
    return int(seconds * 1000)
