"""Times and sizes as people write them: "90d", "25ms", "64GiB".

In a file, a variable or an option a number alone says nothing: 90 may be days or seconds. So what is
written has its unit. Within the program times are seconds and sizes are bytes.
"""

import math
import re
from collections.abc import Mapping

from footfall.model.times import DAY, Seconds

FOREVER = math.inf
"""A time without an end, written "forever"."""

_TIMES = {
    "ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY, "y": 365 * DAY,
}  # fmt: skip
_SIZES = {"b": 1} | {
    f"{letter}{kind}": base**power
    for kind, base in (("b", 1000), ("ib", 1024))
    for power, letter in enumerate("kmgt", 1)
}
_QUANTITY = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")

# Three ways to write a time that is rather short, one that is rather long, and a size.
_SHORT = '"25ms", "30s" or "5m"'
_LONG = '"90d", "12w" or "2160h"'
_SIZE = '"64GiB", "500MB" or "65536B"'


def parse_time(text: str, *, long: bool = False) -> float:
    """Seconds; "forever" is FOREVER. `long`: for examples in days.

    Raises ValueError, with three ways to write a time.
    """
    return FOREVER if text == "forever" else _parse(text, _TIMES, _LONG if long else _SHORT)


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError, with three ways to write a size."""
    return int(_parse(text.lower(), _SIZES, _SIZE))


def _parse(text: str, units: Mapping[str, float], examples: str) -> float:
    found = _QUANTITY.fullmatch(text.strip())
    number, unit = found.groups() if found else ("", "")
    if number == "0" and not unit:
        return 0
    if unit not in units:
        raise ValueError(f"write {examples}")
    return float(number) * units[unit]


def spell_time(seconds: Seconds) -> str:
    """The time in the largest unit in which it is a whole number, as `parse_time` takes it."""
    if seconds == FOREVER:
        return "forever"
    for unit in ("d", "h", "m", "s", "ms"):
        count = seconds / _TIMES[unit]
        if count >= 1 and math.isclose(count, round(count), rel_tol=1e-9):
            return f"{round(count)}{unit}"
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms" if seconds else "0"


def spell_size(size: int) -> str:
    """The size in the largest unit in which it is a whole number, as `parse_size` takes it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit.lower()] == 0:
            return f"{size // int(_SIZES[unit.lower()])}{unit}"
    return f"{size}B"
